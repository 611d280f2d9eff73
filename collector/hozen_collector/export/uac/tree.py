"""Writes the tree as a PAX tar, front to back; each member is hashed and gets a line in the list of links."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Final, Self

from hozen_collector.export.uac.names import parents
from hozen_hashes.errors import MismatchError
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import BinaryIO

    from hozen_collector.export.target import Stream

_BILLION: Final = 10**9
_SPOOL: Final = 16 << 20
_MAX_ID: Final = 0o7777777  # of the old header; PAX has the rest


@dataclass(frozen=True, slots=True)
class Facts:
    """Owner, mode and times of a member; times in nanoseconds since 1970."""

    mode: int = 0o444
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    atime: int | None = None
    ctime: int | None = None


class Tree:
    """The tar that is being written.

    Attributes:
        members: files and links so far, directories not counted.
    """

    def __init__(self, out: Stream, when: int) -> None:
        """Begin; `when` is the time of members that have none of their own, in nanoseconds."""
        self._tar = tarfile.open(  # noqa: SIM115 - closed by `close`
            fileobj=out,
            mode="w|",
            format=tarfile.PAX_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
        )  # type: ignore[call-overload]
        self._when = when
        self._directories: set[bytes] = set()
        self._list: BinaryIO = SpooledTemporaryFile(_SPOOL)  # type: ignore[assignment]  # noqa: SIM115
        self.members = 0

    def __enter__(self) -> Self:
        """Return the tree; after the block nothing of it is open, whole or not."""
        return self

    def __exit__(self, *_: object) -> None:
        self._list.close()

    def file(
        self,
        name: bytes,
        size: int,
        chunks: Iterable[bytes],
        facts: Facts | None = None,
        **link: object,
    ) -> None:
        """Write a regular file.

        Args:
            name: of the member, bytes as on the host.
            size: of the content.
            chunks: the content.
            facts: owner, mode, times.
            link: what ties it to the sealed bundle, for its line in the list.

        Raises:
            MismatchError: the content has another size.
        """
        reader = _Chunks(iter(chunks))
        info = self._info(name, tarfile.REGTYPE, facts)
        info.size = size
        self._above(name)
        try:
            self._tar.addfile(info, reader)
        except OSError as error:
            raise MismatchError(f"a file has not the size that was verified: {error}") from error
        reader.close_checked()
        more = {"size": str(size), "sha256": reader.digest.hexdigest(), **link}
        self._note(name, "file", more)

    def link(self, name: bytes, target: bytes, facts: Facts | None = None, **link: object) -> None:
        """Write a symbolic link."""
        info = self._info(name, tarfile.SYMTYPE, facts)
        info.mode = 0o777  # links have no mode of their own
        info.linkname = target.decode("utf-8", "surrogateescape")
        self._above(name)
        self._tar.addfile(info)
        self._note(name, "link", {"target": percent_encode(target), **link})

    def text(self, name: bytes, content: bytes, facts: Facts | None = None, **link: object) -> None:
        """Write a small file of our own making."""
        self.file(name, len(content), [content], facts, **link)

    def close(self, list_name: bytes) -> None:
        """Write the list of all members as the last one, and end the tar."""
        size = self._list.tell()
        self._list.seek(0)
        info = self._info(list_name, tarfile.REGTYPE, None)
        info.size = size
        self._above(list_name)
        self._tar.addfile(info, self._list)
        self._list.close()
        self._tar.close()

    def _above(self, name: bytes) -> None:
        """Write the directories above a member that are not there yet: tools want each by name."""
        for one in parents(name):
            if one not in self._directories:
                self._directories.add(one)
                self._tar.addfile(
                    self._info(one, tarfile.DIRTYPE, Facts(mode=0o755, mtime=self._when))
                )

    def _info(self, name: bytes, kind: bytes, facts: Facts | None) -> tarfile.TarInfo:
        facts = facts or Facts(mtime=self._when)
        info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
        info.type, info.mode, info.mtime = kind, facts.mode & 0o7777, 0
        info.pax_headers = dict(_pax(facts))
        for key in ("uid", "gid"):
            value = getattr(facts, key)
            if value <= _MAX_ID:
                setattr(info, key, value)
            else:
                info.pax_headers[key] = str(value)
        return info

    def _note(self, name: bytes, kind: str, more: Mapping[str, object]) -> None:
        self.members += 1
        self._list.write(dump_line({"path": percent_encode(name), "type": kind, **more}))


def _pax(facts: Facts) -> Iterator[tuple[str, str]]:
    for key in ("mtime", "atime", "ctime"):
        value = getattr(facts, key)
        if value is not None:
            whole, fraction = divmod(abs(value), _BILLION)
            yield key, f"{'-' if value < 0 else ''}{whole}.{fraction:09d}"


class _Chunks(io.RawIOBase):
    """Chunks as a file to be read forward, hashed."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")
        self.digest = sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return exactly `size` bytes, fewer only at the end; tarfile asks so."""
        parts: list[bytes] = []
        while size > 0:
            if not self._left:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._left = memoryview(chunk)
                continue
            part = bytes(self._left[:size])
            self._left = self._left[len(part) :]
            size -= len(part)
            parts.append(part)
        data = b"".join(parts)
        self.digest.update(data)
        return data

    def close_checked(self) -> None:
        """Take what is left, so that its hash is compared; MismatchError when there is anything."""
        if self._left or any(self._chunks):
            raise MismatchError("a file has not the size that was verified")
