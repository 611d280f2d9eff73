"""An unpacked bundle: a directory, read without following a link or opening anything but plain files (bundle-v1 §4)."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes import names
from hozen_hashes.errors import FormatError, LimitError, NotVerifiableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 20
_MAX_DEPTH = 8
_MAX_FILES = 1 << 24
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class FileMember:
    """One plain file below the bag's directory."""

    path: str
    file: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes.

        Raises:
            FormatError: it is no plain file any more.
            NotVerifiableError: the operating system does not give the bytes.
        """
        try:
            descriptor = os.open(self.file, _FLAGS)
        except OSError as error:
            raise NotVerifiableError(f"cannot be read: {error.strerror}") from error
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FormatError("is not a plain file")
            try:
                while chunk := file.read(_CHUNK):
                    yield chunk
            except OSError as error:
                raise NotVerifiableError(f"cannot be read: {error.strerror}") from error


class DirectoryBundle:
    """A bag as a directory; what is no plain file or has no name of ours is listed in `odd`."""

    form = "directory"
    resumable = True

    def __init__(self, top: Path) -> None:
        self.top = top
        self.bundle_id: str | None = top.name if names.BUNDLE_ID.match(top.name) else None
        self.odd: list[tuple[str, str]] = []

    def members(self) -> Iterator[FileMember]:
        """Yield every plain file, sorted, so that two runs read alike."""
        self.odd.clear()
        count = 0
        for relative, entry in self._walk(str(self.top), "", 0):
            count += 1
            if count > _MAX_FILES:
                raise LimitError(f"more than {_MAX_FILES} files")
            if not entry.is_file(follow_symlinks=False):
                self.odd.append((relative, "is not a plain file"))
                continue
            try:
                yield FileMember(names.check_member_path(relative), entry.path)
            except FormatError:
                self.odd.append((relative, "is not a name of a bundle"))

    def ciphertext_sha256(self) -> str | None:
        """Return None: a directory is not encrypted."""
        return None

    def is_ours(self) -> bool:
        """Return whether there is a bag declaration or a sealed text."""
        return any((self.top / one).is_file() for one in ("bagit.txt", "tagmanifest-sha256.txt"))

    def _walk(self, folder: str, prefix: str, depth: int) -> Iterator[tuple[str, os.DirEntry[str]]]:
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise NotVerifiableError(
                f"{prefix or '.'}: cannot be listed: {error.strerror}"
            ) from error
        for entry in entries:
            relative = prefix + entry.name
            if not entry.is_dir(follow_symlinks=False) or depth >= _MAX_DEPTH:
                yield relative, entry
            else:
                yield from self._walk(entry.path, relative + "/", depth + 1)
