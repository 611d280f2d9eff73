"""Where memory lies, from iomem and the head of kcore."""

from __future__ import annotations

import itertools
import os
import struct
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.kernel import lime, ramlayout
from hozen_agent.kernel.ramlayout import Piece, Range
from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

IOMEM = b"""00000000-00000fff : Reserved
00001000-0009fbff : System RAM
0009fc00-0009ffff : Reserved
00100000-0fffffff : System RAM
  01000000-01ffffff : Kernel code
10000000-100fffff : ACPI Tables
100000000-13fffffff : System RAM
  120000000-12fffffff : System RAM (kmem)
"""
DIRECT = 0xFFFF_8880_0000_0000


def core(*loads: tuple[int, int, int, int]) -> tuple[bytes, bytes]:
    """Return head and table of a core with segments of (virtual, physical, size, offset)."""
    table = b"".join(
        struct.pack("<IIQQQQQQ", 1, 7, offset, virtual, physical, size, size, 4096)
        for virtual, physical, size, offset in loads
    )
    head = struct.pack(
        "<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 4, 62, 1, 0, 64, 0, 0, 64, 56, len(loads), 0, 0, 0
    )  # fmt: skip
    return head, table


def test_only_system_ram_counts_and_each_address_once() -> None:
    assert ramlayout.memory_ranges(IOMEM) == [
        Range(0x1000, 0x9FC00),
        Range(0x100000, 0x10000000),
        Range(0x100000000, 0x140000000),
    ]


def test_zeros_for_the_unprivileged_are_no_memory() -> None:
    assert ramlayout.memory_ranges(b"00000000-00000000 : System RAM\n") == []


def test_the_text_mapped_twice_and_what_has_no_place_are_left_out() -> None:
    nowhere = (1 << 64) - 1
    head, table = core(
        (0xFFFF_FFFF_8100_0000, 0x1000000, 0x200000, 0x8000),
        (0xFFFF_C900_0000_0000, nowhere, 1 << 40, 0x9000),
        (DIRECT + 0x100000, 0x100000, 0xFF00000, 0x4000),
    )
    assert ramlayout.table_size(head) == (64, len(table))
    assert ramlayout.segments(table) == [Piece(0x100000, 0x10000000, 0x4000)]


def test_the_first_range_is_cut_to_its_segment_and_the_rest_named() -> None:
    ranges = ramlayout.memory_ranges(IOMEM)[:1]
    pieces = ramlayout.readable(ranges, [Piece(0x1000, 0x9F000, 0x2000)])
    assert pieces == [Piece(0x1000, 0x9F000, 0x2000)]
    assert ramlayout.left_out(ranges, pieces) == [Range(0x9F000, 0x9FC00)]


@given(st.binary(max_size=200))
def test_any_head_gives_a_table_or_a_format_error(data: bytes) -> None:
    try:
        offset, length = ramlayout.table_size(data)
    except FormatError:
        return
    assert offset <= 1 << 20
    assert length <= ramlayout.MAX_RANGES * 56


@given(st.binary(max_size=56 * 8))
def test_any_table_gives_segments_that_do_not_overlap(table: bytes) -> None:
    found = ramlayout.segments(table)
    assert all(one.start < one.end for one in found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 1 << 16)), max_size=12))
def test_no_address_comes_twice_and_none_is_lost(loads: list[tuple[int, int]]) -> None:
    _, table = core(*((DIRECT + at, at, size, at + 0x100000) for at, size in loads))
    pieces = ramlayout.segments(table)
    expected = set().union(*(range(at, at + size, 1) for at, size in loads[:3]))
    covered = {n for piece in pieces for n in range(piece.start, piece.end)}
    assert expected <= covered
    assert sum(p.end - p.start for p in pieces) == len(covered)
    assert all(piece.offset == piece.start + 0x100000 for piece in pieces)


def ranges_of(image: bytes) -> list[tuple[int, bytes]]:
    """Read a LiME file by its description alone."""
    found = []
    while image:
        magic, version, first, last, zero = struct.unpack_from("<IIQQQ", image)
        assert (magic, version, zero) == (0x4C694D45, 1, 0)
        size = last - first + 1
        found.append((first, image[32 : 32 + size]))
        assert len(found[-1][1]) == size
        image = image[32 + size :]
    return found


@given(st.lists(st.integers(1, 3 << 20), min_size=1, max_size=3))
def test_an_independent_reader_finds_the_same_ranges(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    memory = os.urandom(sum(sizes))
    file = tmp_path_factory.mktemp("ram") / "kcore"
    file.write_bytes(memory)
    pieces, at = [], 0
    for number, size in enumerate(sizes):
        pieces.append(Piece(number << 32, (number << 32) + size, at))
        at += size
    fd = os.open(file, os.O_RDONLY)
    image = lime.Image(fd)
    data = b"".join(bytes(part) for part in image.stream(pieces))
    os.close(fd)
    assert b"".join(part for _, part in ranges_of(data)) == memory
    assert [start for start, _ in ranges_of(data)] == [piece.start for piece in pieces]
    assert (image.taken, image.unreadable) == (len(memory), 0)


def test_what_the_kernel_does_not_give_is_zero_and_named(tmp_path: Path) -> None:
    file = tmp_path / "kcore"
    file.write_bytes(b"x" * 5000)
    fd = os.open(file, os.O_RDONLY)
    image = lime.Image(fd)
    data = b"".join(bytes(part) for part in image.stream([Piece(0x1000, 0x4000, 0)]))
    os.close(fd)
    ((_, memory),) = ranges_of(data)
    assert memory == b"x" * 5000 + bytes(0x3000 - 5000)
    assert image.holes == [(0x1000 + 5000, 0x4000)]
    assert image.unreadable == 0x3000 - 5000
