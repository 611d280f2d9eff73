"""Where main memory lies: `/proc/iomem` says which addresses are memory, the head of `/proc/kcore` where to read them.

Pure: bytes in, ranges out. Addresses are physical unless said otherwise; ends are not included.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_RANGES: Final = 8192
PAGE: Final = 4096
_LINE: Final = re.compile(rb"\s*([0-9a-f]{1,16})-([0-9a-f]{1,16}) : System RAM\b")
_ELF: Final = struct.Struct(
    "<4sBBBB8xHHIQQQIHHHHHH"
)  # ELF-64, little endian (System V gABI, "ELF Header")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
ELF_HEAD: Final = _ELF.size
_LOAD: Final = 1
_CORE: Final = 4
_NOWHERE: Final = (1 << 64) - 1  # p_paddr of what has no single place in memory


class Range(NamedTuple):
    """Memory from `start` to before `end`."""

    start: int
    end: int


class Piece(NamedTuple):
    """Memory that can be read: from `start` to before `end`, at `offset` of /proc/kcore."""

    start: int
    end: int
    offset: int


def memory_ranges(iomem: bytes) -> list[Range]:
    """Return the ranges that /proc/iomem calls System RAM, in order, each address once.

    Without CAP_SYS_ADMIN the kernel writes zeros; then there are none.
    """
    found: list[Range] = []
    for line in iomem.split(b"\n"):
        match = _LINE.match(line)
        if match:
            start, last = (int(number, 16) for number in match.groups())
            if last > start:
                found.append(Range(start, last + 1))
    return _merged(sorted(found)[:MAX_RANGES])


def table_size(head: bytes) -> tuple[int, int]:
    """Return offset and length of the program headers, from the first ELF_HEAD bytes of /proc/kcore.

    Raises:
        FormatError: this is no 64-bit little-endian ELF core.
    """
    if len(head) < ELF_HEAD:
        raise FormatError("/proc/kcore has no ELF header")
    magic, width, order, _, _, kind, _, _, _, offset, _, _, _, size, count, *_ = _ELF.unpack_from(
        head
    )
    if magic != b"\x7fELF" or (width, order, kind) != (2, 1, _CORE) or size != _SEGMENT.size:
        raise FormatError("/proc/kcore is no 64-bit little-endian ELF core")
    if count > MAX_RANGES or offset > 1 << 20:
        raise FormatError("/proc/kcore has an impossible table of segments")
    return offset, count * size


def segments(table: bytes) -> list[Piece]:
    """Return the segments that have a place in main memory, in order, each address once.

    The kernel's own text is mapped a second time; what a larger segment holds already is left out.
    """
    found: list[Piece] = []
    for at in range(0, len(table) - _SEGMENT.size + 1, _SEGMENT.size):
        kind, _, offset, _, place, _, size, _ = _SEGMENT.unpack_from(table, at)
        if kind == _LOAD and place != _NOWHERE and 0 < size <= _NOWHERE - place:
            found.append(Piece(place, place + size, offset))
    found.sort(key=lambda one: one.start - one.end)
    kept: list[Piece] = []
    for one in found:
        kept += _without(one, kept)
    return sorted(kept)


def readable(ranges: Iterable[Range], pieces: list[Piece]) -> list[Piece]:
    """Return the parts of `ranges` that `pieces` can give, in order, whole pages only at their ends.

    The first range ends within a page that the kernel does not count as memory: it is cut to the segment.
    """
    found: list[Piece] = []
    for memory in ranges:
        for piece in pieces:
            start, end = max(memory.start, piece.start), min(memory.end, piece.end)
            if start < end:
                found.append(Piece(start, end, piece.offset + start - piece.start))
    return found[:MAX_RANGES]


def left_out(ranges: Iterable[Range], taken: list[Piece]) -> list[Range]:
    """Return the parts of `ranges` that are not in `taken`."""
    gaps: list[Range] = []
    for memory in ranges:
        at = memory.start
        for piece in taken:
            if piece.end <= at or piece.start >= memory.end:
                continue
            if piece.start > at:
                gaps.append(Range(at, piece.start))
            at = piece.end
        if at < memory.end:
            gaps.append(Range(at, memory.end))
    return gaps


def _merged(ranges: list[Range]) -> list[Range]:
    merged: list[Range] = []
    for one in ranges:
        if merged and one.start <= merged[-1].end:
            merged[-1] = Range(merged[-1].start, max(merged[-1].end, one.end))
        else:
            merged.append(one)
    return merged


def _without(one: Piece, kept: list[Piece]) -> Iterator[Piece]:
    """Yield the parts of `one` that no kept piece has."""
    for gap in left_out([Range(one.start, one.end)], sorted(kept)):
        yield Piece(gap.start, gap.end, one.offset + gap.start - one.start)
