"""Reads a container that can be seeked: its directory, with every check of bundle-v1 §4, then members.

For one that comes through a pipe see `hozen_hashes.zipwalk`; both accept the same containers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hozen_hashes.errors import FormatError, LimitError, NotVerifiableError
from hozen_hashes.zipdata import Content, Feed
from hozen_hashes.zipend import TAIL64, Extent, check_end, claimed_extent
from hozen_hashes.zipformat import CENTRAL, END
from hozen_hashes.zipheaders import (
    MAX_EXTRA,
    MAX_NAME,
    Central,
    check_against,
    check_descriptor,
    descriptor_length,
    parse_central,
    read_local,
)
from hozen_hashes.ziprules import Entry, Roster, ZipLimits
from hozen_hashes.zipwalk import StreamMember, Walk, walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["Entry", "StreamMember", "Walk", "ZipLimits", "open_entry", "read_directory", "walk"]

_DEFAULT = ZipLimits()
_LARGEST_ENTRY = CENTRAL.size + MAX_NAME + MAX_EXTRA


def read_directory(file: BinaryIO, *, limits: ZipLimits = _DEFAULT) -> list[Entry]:
    """Return all members of the container in their order, directory entries included.

    Every byte of the container is then accounted for: by a header, a member's content, a data
    descriptor, the central directory or the end records. The contents themselves are checked when
    they are read. Memory: about 400 bytes a member.

    Args:
        file: seekable; its position is not kept.
        limits: bounds of bundle-v1 §4.

    Raises:
        FormatError: anything that bundle-v1 §4 refuses.
        LimitError: more members or larger ones than allowed.
        NotVerifiableError: the file cannot be read.
    """
    length = _length(file)
    extent, records = claimed_extent(_Window(file, max(0, length - TAIL64 - END.size)).take_rest())
    _check_extent(extent, length - len(records), limits)
    roster = Roster(limits)
    entries: list[Entry] = []
    expected = 0
    source = _Window(file, extent.offset)
    directory = Feed(source.read, position=extent.offset)
    for _ in range(extent.count):
        central = parse_central(directory.take(CENTRAL.size), directory.take)
        entry, expected = _admit(file, central, roster, expected)
        entries.append(entry)
    if directory.position != extent.end:
        raise FormatError("the central directory is longer than its entries")
    if expected != extent.offset:
        raise FormatError(f"bytes {expected} to {extent.offset} of the container belong to nothing")
    check_end(records, Extent(roster.count, extent.size, expected))
    roster.close()
    return entries


def open_entry(file: BinaryIO, entry: Entry, *, limits: ZipLimits = _DEFAULT) -> Iterator[bytes]:
    """Yield the content of a member in pieces of at most 256 KiB.

    Other reads of `file` may happen between two pieces.

    Raises:
        FormatError: after the last good piece, when content, size or CRC-32 is not what the headers
            say; never more than the size in the header comes out.
        LimitError: the member is larger than `limits.member`.
        NotVerifiableError: the file cannot be read.
    """
    if entry.size > limits.member:
        raise LimitError(f"a member of {entry.size} bytes: {entry.name}")
    content = Content(
        _Window(file, entry.start).read,
        name=entry.name,
        method=entry.method,
        length=entry.compressed,
        bound=entry.size,
    )
    yield from content.chunks()
    if content.size != entry.size:
        raise FormatError(f"{content.size} bytes instead of {entry.size}: {entry.name}")
    if content.crc != entry.crc:
        raise FormatError(f"the CRC-32 of the content differs: {entry.name}")


class _Window:
    """Reads forward from a place of a file that others may read meanwhile."""

    __slots__ = ("_at", "_file")

    def __init__(self, file: BinaryIO, at: int) -> None:
        self._file = file
        self._at = at

    def read(self, limit: int) -> bytes:
        """Return between 1 and `limit` bytes; none at the end."""
        try:
            self._file.seek(self._at)
            piece = self._file.read(limit)
        except (OSError, ValueError) as error:
            raise NotVerifiableError(f"the container cannot be read: {error}") from error
        self._at += len(piece)
        return piece

    def take(self, size: int) -> bytes:
        """Return exactly `size` bytes.

        Raises:
            FormatError: the container ends before.
        """
        piece = self.read(size)
        while len(piece) < size:
            more = self.read(size - len(piece))
            if not more:
                raise FormatError("the container ends in the middle of a record")
            piece += more
        return piece

    def take_rest(self) -> bytes:
        """Return everything up to the end; only for a place near it."""
        pieces = []
        while piece := self.read(TAIL64 + END.size):
            pieces.append(piece)
        return b"".join(pieces)


def _length(file: BinaryIO) -> int:
    try:
        return file.seek(0, os.SEEK_END)
    except (OSError, ValueError) as error:
        raise NotVerifiableError(f"the container cannot be read: {error}") from error


def _check_extent(extent: Extent, end: int, limits: ZipLimits) -> None:
    """Refuse a claimed extent before anything is read because of it."""
    if extent.end != end:
        raise FormatError("the central directory does not end where the end records begin")
    if extent.count > limits.members:
        raise LimitError(f"{extent.count} members, {limits.members} are allowed")
    if not extent.count * CENTRAL.size <= extent.size <= extent.count * _LARGEST_ENTRY:
        raise FormatError(f"{extent.count} entries in {extent.size} bytes of central directory")


def _admit(file: BinaryIO, central: Central, roster: Roster, expected: int) -> tuple[Entry, int]:
    """Return the entry and where the next member has to begin."""
    name, method, crc = central.name, central.method, central.crc
    size, compressed, offset = central.size, central.compressed, central.offset
    directory = roster.admit(name)
    roster.measure(name, method, compressed, size)
    if offset != expected:
        raise FormatError(
            f"a member at byte {offset}, {expected} was expected (a gap, an overlap, or out of order): "
            f"{name}"
        )
    window = _Window(file, offset)
    local = read_local(window.take)
    check_against(local, central)
    start = offset + local.length
    end = start + compressed
    if local.streamed:
        raw = _Window(file, end).take(descriptor_length(local, compressed, size))
        check_descriptor(raw, name, crc, compressed, size)
        end += len(raw)
    return Entry(name, method, size, compressed, crc, offset, directory, start), end
