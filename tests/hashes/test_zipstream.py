from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tempfile
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_unzip import stream_unzip

from hozen_hashes import deflate, zipread, zipstream
from hozen_hashes.errors import InternalError
from hozen_hashes.zipstream import ZipStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOP = "hz-20261123T050000Z-web01-5f3a9c10/"
LINE = b"Nov 23 05:00:00 web01 sshd[17]: Failed password for root from 10.0.0.1 port 4711\n"

# One step of a member: how many bytes, how they look, and whether a flush follows.
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 199, 200, 4096, 65_535, 65_536, 65_537, 300_000, 1 << 20, 5 << 20]),
        st.sampled_from(["zeros", "lines", "random"]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=5,
)
RANDOM = hashlib.shake_128(b"hozen").digest(5 << 20)


def temporary() -> BinaryIO:
    return cast("BinaryIO", tempfile.TemporaryFile())


def content(size: int, look: str) -> bytes:
    if look == "random":
        return RANDOM[:size]
    return bytes(size) if look == "zeros" else (LINE * (size // len(LINE) + 1))[:size]


def build(members: list[tuple[str, bytes]]) -> bytes:
    sink = io.BytesIO()
    container = ZipStream(sink.write)
    for name, data in members:
        container.add(TOP + name, data)
    container.finish()
    assert container.offset == len(sink.getvalue())
    return sink.getvalue()


def read_every_way(data: bytes) -> Iterator[dict[str, bytes]]:
    """Yield name and content as the standard library, both own readers and stream-unzip see them."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    yield {info.filename: archive.read(info) for info in archive.infolist()}
    file = io.BytesIO(data)
    entries = zipread.read_directory(file)
    yield {entry.name: b"".join(zipread.open_entry(file, entry)) for entry in entries}
    walk = zipread.walk(io.BytesIO(data).read)
    yield {member.name: b"".join(member.chunks()) for member in walk}
    pieces = (data[at : at + 70_000] for at in range(0, len(data), 70_000))
    yield {name.decode(): b"".join(chunks) for name, _, chunks in stream_unzip(pieces)}


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=4))
def test_members_of_any_size_and_flushes_come_back_from_four_readers(
    members: list[list[tuple[int, str, bool]]],
) -> None:
    sink = io.BytesIO()
    container = ZipStream(sink.write)
    expected = {}
    for number, steps in enumerate(members):
        name = f"{TOP}data/logs/{number:06d}.log"
        member, whole = container.open(name), b""
        for size, look, flushed in steps:
            piece = content(size, look)
            member.write(memoryview(piece))
            whole += piece
            if flushed:
                member.flush()
                assert decodable(sink.getvalue(), name) == whole
        member.close()
        assert member.size == len(whole)
        expected[name] = whole
    container.finish()
    if not members:  # stream-unzip refuses an empty container
        return
    for found in read_every_way(sink.getvalue()):
        assert found == expected


def decodable(torn: bytes, name: str) -> bytes:
    """Return what the walk that recovers gives of the named member, the last of a torn container."""
    walk = zipread.walk(io.BytesIO(torn).read, recover=True)
    for member in walk:
        data = b"".join(member.chunks())
        if member.name == name:
            return data
    return b""


@pytest.mark.parametrize("without_igzip", [False, True])
def test_stock_tools_read_every_kind_of_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, without_igzip: bool
) -> None:
    if without_igzip:
        monkeypatch.setattr(deflate, "_isal", None)
    deflate._library.cache_clear()
    try:
        path, expected = every_kind(tmp_path)
    finally:
        deflate._library.cache_clear()
    for words in (["unzip", "-tq"], ["7z", "t", "-bd"], ["zip", "-T"], ["bsdtar", "-tf"]):
        subprocess.run([*words, path], check=True, capture_output=True)
    subprocess.run(["unzip", "-q", path, "-d", tmp_path / "out"], check=True, capture_output=True)
    for name, data in expected.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    piped = subprocess.run(
        ["bsdtar", "-xOf", "-"], input=path.read_bytes(), check=True, capture_output=True
    )
    assert piped.stdout == b"".join(expected.values())
    for found in read_every_way(path.read_bytes()):
        assert found == expected


def every_kind(tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    kinds = {
        "empty.txt": b"",
        "tiny.txt": b"x",
        "lines.txt": content(4096, "lines"),
        "noise.bin": content(4096, "random"),
        "edge.txt": content(zipstream.EXACT, "lines"),
        "over.txt": content(zipstream.EXACT + 1, "lines"),
        "loud.bin": content(zipstream.EXACT + 1, "random"),
    }
    path = tmp_path / "bundle.zip"
    expected = {TOP + name: data for name, data in kinds.items()}
    with path.open("wb") as sink:
        container = ZipStream(sink.write)
        for name, data in expected.items():
            container.add(name, data)
        member = container.open(TOP + "flushed.txt")
        for _ in range(3):
            member.write(LINE)
            member.flush()
        member.close()
        container.finish()
    expected[TOP + "flushed.txt"] = LINE * 3
    return path, expected


def test_the_headers_are_those_of_the_format_page() -> None:
    archive = zipfile.ZipFile(io.BytesIO(build([("a.txt", b"x"), ("b.txt", LINE * 9)])))
    for info in archive.infolist():
        assert (info.create_system, info.external_attr >> 16, info.date_time) == (
            3,
            0o100444,
            (1980, 1, 1, 0, 0, 0),
        )
        assert (info.flag_bits, info.extra, info.comment, info.extract_version) == (0, b"", b"", 20)
    assert [info.compress_type for info in archive.infolist()] == [0, 8]


def test_of_a_member_that_will_be_long_nothing_is_kept_back() -> None:
    sink = io.BytesIO()
    container = ZipStream(sink.write)
    member = container.open(TOP + "long.txt", expected=zipstream.EXACT + 1)
    member.write(os.urandom(1 << 20))
    assert sink.tell() > 1 << 20
    member.write(LINE)
    member.close()
    container.finish()
    assert len(zipfile.ZipFile(sink).read(TOP + "long.txt")) == (1 << 20) + len(LINE)


def test_a_long_member_has_a_zip64_header_and_a_descriptor_of_24_bytes() -> None:
    data = build([("a.txt", bytes(zipstream.EXACT + 1))])
    name = (TOP + "a.txt").encode()
    expected = b"PK\3\4" + bytes.fromhex("2d00 0800 0800 00002100 00000000 ffffffff ffffffff")
    extra = bytes.fromhex("0100 1000") + bytes(16)
    assert data.startswith(expected + len(name).to_bytes(2, "little") + b"\x14\0" + name + extra)
    (entry,) = zipread.read_directory(io.BytesIO(data))
    descriptor = data[entry.start + entry.compressed :][:24]
    assert descriptor == (
        b"PK\x07\x08"
        + entry.crc.to_bytes(4, "little")
        + entry.compressed.to_bytes(8, "little")
        + entry.size.to_bytes(8, "little")
    )
    assert data[entry.start + entry.compressed + 24 :].startswith(b"PK\1\2")


def test_the_same_input_gives_the_same_container() -> None:
    members = [("a.txt", LINE * 99), ("b.bin", RANDOM[:70_000])]
    assert build(members) == build(members)


def test_what_does_not_shrink_costs_next_to_nothing() -> None:
    data = build([("a.bin", RANDOM)])
    assert len(data) < len(RANDOM) * 1.0002 + 400


def test_many_small_writes_do_not_make_many_blocks() -> None:
    sink = io.BytesIO()
    container = ZipStream(sink.write)
    member = container.open(TOP + "a.bin")
    member.write(RANDOM)
    for at in range(0, 1 << 20, 64):
        member.write(RANDOM[at : at + 64])
    member.close()
    container.finish()
    assert len(sink.getvalue()) < (len(RANDOM) + (1 << 20)) * 1.0002 + 400


def test_more_than_65535_members_need_zip64_end_records(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    count = 65_600
    with path.open("wb") as sink:
        container = ZipStream(sink.write, spill=temporary)
        for number in range(count):
            container.add(f"{TOP}data/logs/{number:06d}.log", b"%d" % number)
        container.finish()
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == count
        assert archive.read(f"{TOP}data/logs/065599.log") == b"65599"
    with path.open("rb") as file:
        assert len(zipread.read_directory(file)) == count
        file.seek(0)
        assert sum(1 for _ in zipread.walk(file.read)) == count
    subprocess.run(["unzip", "-tqq", path], check=True, capture_output=True)
    subprocess.run(["7z", "t", "-bd", path], check=True, capture_output=True)


@pytest.mark.parametrize(("count", "large"), [(65_534, False), (65_535, True)])
def test_zip64_end_records_are_there_only_when_needed(count: int, *, large: bool) -> None:
    sink = io.BytesIO()
    container = ZipStream(sink.write)
    for number in range(count):
        container.add(f"{TOP}data/logs/{number:06d}.log", b"")
    container.finish()
    assert (b"PK\x06\x06" in sink.getvalue()) is large
    assert len(zipread.read_directory(sink)) == count
    sink.seek(0)
    assert sum(1 for _ in zipread.walk(sink.read)) == count


@pytest.mark.slow
def test_a_member_and_an_offset_beyond_4_gib(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    size, piece = (4 << 30) + 4711, bytes(16 << 20)
    with path.open("wb") as sink:
        container = ZipStream(sink.write)
        member = container.open(TOP + "data/disks/000001.img")
        for _ in range(size // len(piece)):
            member.write(piece)
        member.write(piece[: size % len(piece)])
        member.close()
        container.add(TOP + "hozen/plan.json", b"{}")
        container.finish()
    assert path.stat().st_size < 64 << 20
    with path.open("rb") as file:
        first, second = zipread.read_directory(file)
        assert first.size == size
        assert sum(map(len, zipread.open_entry(file, first))) == size
        assert b"".join(zipread.open_entry(file, second)) == b"{}"
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo(TOP + "data/disks/000001.img").file_size == size
    with path.open("rb") as pipe:
        listing = subprocess.run(
            ["bsdtar", "-tvf", "-"], stdin=pipe, check=True, capture_output=True
        )
    assert b"plan.json" in listing.stdout


@pytest.mark.slow
def test_offsets_beyond_4_gib_are_in_the_central_directory(tmp_path: Path) -> None:
    """The container is a sparse file: what is written between the headers are holes."""
    path = tmp_path / "sparse.zip"
    with path.open("wb") as sink:

        def write(data: bytes | bytearray | memoryview) -> None:
            if len(data) > 1 << 20 and not any(memoryview(data)[1 << 10 :: 4099]):
                sink.write(data[: 1 << 20])
                sink.seek(len(data) - (2 << 20), os.SEEK_CUR)
                sink.write(data[-(1 << 20) :])
            else:
                sink.write(data)

        container = ZipStream(write)
        member = container.open(TOP + "data/disks/000001.img")
        member._begin(RANDOM[: 64 << 10])  # as if it began with noise: stored blocks
        for _ in range(260):
            member.write(bytes(16 << 20))
        member.close()
        container.add(TOP + "hozen/plan.json", b"{}")
        container.finish()
        assert container.offset > 4 << 30
    with path.open("rb") as file:
        *_, second = zipread.read_directory(file)
        assert second.offset > 4 << 30
        assert b"".join(zipread.open_entry(file, second)) == b"{}"
    with zipfile.ZipFile(path) as archive:
        assert archive.read(TOP + "hozen/plan.json") == b"{}"


def test_memory_does_not_grow_with_the_members_when_they_spill() -> None:
    opened = []

    def spill() -> BinaryIO:
        opened.append(temporary())
        return opened[-1]

    container = ZipStream(lambda _: None, spill=spill)
    for number in range(50_000):
        container.add(f"{TOP}data/logs/{number:06d}.log", b"")
    assert len(container._sink.central._bytes._tail) < 5 << 20
    container.finish()
    assert [file.closed for file in opened] == [True]


def test_a_container_that_cannot_be_finished_gives_its_file_back() -> None:
    opened = []

    def spill() -> BinaryIO:
        opened.append(temporary())
        return opened[-1]

    container = ZipStream(lambda _: None, spill=spill)
    for number in range(50_000):
        container.add(f"{TOP}data/logs/{number:06d}.log", b"")
    container.close()
    assert [file.closed for file in opened] == [True]


def test_one_member_is_open_at_a_time() -> None:
    container = ZipStream(lambda _: None)
    member = container.open(TOP + "a.txt")
    for again in (lambda: container.open(TOP + "b.txt"), lambda: container.add(TOP + "b.txt", b"")):
        with pytest.raises(InternalError):
            again()
    with pytest.raises(InternalError):
        container.finish()
    member.close()
    for closed in (member.close, member.flush, lambda: member.write(b"x")):
        with pytest.raises(InternalError):
            closed()
    container.finish()
    with pytest.raises(InternalError):
        container.add(TOP + "b.txt", b"")


@pytest.mark.parametrize("name", ["", "a b", "é", "a\n", "x" * 201])
def test_a_name_that_is_none_is_our_own_fault(name: str) -> None:
    with pytest.raises(InternalError):
        ZipStream(lambda _: None).add(name, b"")


def test_a_sink_that_refuses_ends_the_container() -> None:
    def write(_: object) -> None:
        raise OSError(28, "No space left on device")

    container = ZipStream(write)
    with pytest.raises(OSError, match="No space"):
        container.add(TOP + "a.txt", b"x")
    with pytest.raises(InternalError):
        container.finish()


def test_the_crc_is_that_of_the_content() -> None:
    (entry,) = zipread.read_directory(io.BytesIO(build([("a.txt", LINE)])))
    assert entry.crc == zlib.crc32(LINE)
