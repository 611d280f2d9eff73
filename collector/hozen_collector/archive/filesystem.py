"""A write-once archive in a directory: a container's name is its SHA-256, its mode 0440."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hozen_collector import durable, faults
from hozen_hashes.digest import Digest, sha256_hex
from hozen_hashes.errors import InternalError

if TYPE_CHECKING:
    from pathlib import Path

_READ: Final = 1 << 20
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class FilesystemArchive:
    """Containers by content. Methods block."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, sha256: str) -> Path:
        """Give where a container lies or would lie.

        Raises:
            InternalError: not a SHA-256; nothing foreign may name a path.
        """
        if not _HASH.fullmatch(sha256):
            raise InternalError("the archive is asked for something that is no SHA-256")
        return self._root / sha256[:2] / sha256

    def envelope(self, sha256: str, digest: str) -> Path:
        """Give where an envelope of the container lies or would lie; errors as `path`."""
        if not _HASH.fullmatch(digest):
            raise InternalError("the archive is asked for something that is no SHA-256")
        container = self.path(sha256)
        return container.with_name(f"{container.name}.envelope") / digest

    def stamp(self, sha256: str, reply: bytes) -> Path:
        """Give where a time stamp of the container's machine seal lies or would lie; errors as `path`."""
        container = self.path(sha256)
        return container.with_name(f"{container.name}.stamps") / sha256_hex(reply)

    def put_once(self, source: Path, sha256: str, size: int) -> None:
        """Make the container at `source`, whose bytes were just found to have this hash, part of the archive.

        It is durable then. No byte is copied: the archive gets a second name for the file. What is there already
        stays.

        Raises:
            CannotWriteError: the archive cannot be written.
            InternalError: something else lies under this name.
        """
        target = self.path(sha256)
        durable.make_directory(target.parent)
        made = durable.publish_link(source, target)
        if not made and _hash(target) != (sha256, size):
            raise InternalError(
                f"the archive holds other bytes as {sha256}",
                hint="Verify the archive before anything else.",
            )
        faults.reach("archived")


def _hash(path: Path) -> tuple[str, int]:
    digest = Digest()
    with durable.writing(path.name), path.open("rb") as file:
        while chunk := file.read(_READ):
            digest.update(chunk)
    return digest.hexdigest(), digest.size
