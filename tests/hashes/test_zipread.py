from __future__ import annotations

import io
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from hozen_hashes import zipread
from hozen_hashes.errors import FormatError, LimitError, NotVerifiableError
from hozen_hashes.zipread import Entry, ZipLimits
from hozen_hashes.zipstream import ZipStream

if TYPE_CHECKING:
    from pathlib import Path

TOP = "hz-20261123T050000Z-web01-5f3a9c10"
FILES = {
    "bagit.txt": b"BagIt-Version: 1.0\n",
    "data/logs/000001.log": b"a line that comes again\n" * 9999,
    "data/logs/000002.bin": os.urandom(70_000),
    "hozen/plan.json": b"",
}


def container() -> io.BytesIO:
    sink = io.BytesIO()
    stream = ZipStream(sink.write)
    for path, data in FILES.items():
        stream.add(f"{TOP}/{path}", data)
    stream.finish()
    return sink


def test_entries_say_where_everything_lies() -> None:
    file = container()
    entries = zipread.read_directory(file)
    assert [entry.path for entry in entries] == list(FILES)
    assert [entry.size for entry in entries] == [len(data) for data in FILES.values()]
    assert [entry.method for entry in entries] == [0, 8, 0, 0]
    second = entries[1]
    assert file.getvalue()[second.offset :][:4] == b"PK\3\4"
    assert second.start + second.compressed == entries[2].offset
    assert not second.directory


def test_two_members_can_be_read_at_the_same_time() -> None:
    file = container()
    _, log, noise, _ = zipread.read_directory(file)
    first, second = zipread.open_entry(file, log), zipread.open_entry(file, noise)
    pieces: tuple[list[bytes], list[bytes]] = ([], [])
    for _ in range(10):
        pieces[0].append(next(first, b""))
        pieces[1].append(next(second, b""))
    assert b"".join(pieces[0]) == FILES["data/logs/000001.log"]
    assert b"".join(pieces[1]) == FILES["data/logs/000002.bin"]


def test_content_comes_in_pieces_of_at_most_256_kib() -> None:
    sink = io.BytesIO()
    stream = ZipStream(sink.write)
    stream.add(f"{TOP}/data/logs/000001.log", bytes(6 << 20))
    stream.finish()
    (entry,) = zipread.read_directory(sink)
    sizes = [len(piece) for piece in zipread.open_entry(sink, entry)]
    assert max(sizes) <= 256 << 10
    assert sum(sizes) == 6 << 20


def test_damage_in_a_member_leaves_the_others_readable() -> None:
    file = container()
    entries = zipread.read_directory(file)
    damaged = bytearray(file.getvalue())
    damaged[entries[2].start + 5] ^= 1
    again = io.BytesIO(bytes(damaged))
    assert zipread.read_directory(again) == entries
    for entry in entries:
        if entry is entries[2]:
            with pytest.raises(FormatError, match=r"CRC-32 .*/data/logs/000002\.bin"):
                list(zipread.open_entry(again, entry))
        else:
            assert b"".join(zipread.open_entry(again, entry)) == FILES[entry.path]


def test_an_entry_that_lies_gives_no_more_than_its_size() -> None:
    file = container()
    log = zipread.read_directory(file)[1]
    short = Entry(log.name, 8, 1000, log.compressed, log.crc, log.offset, False, log.start)
    got: list[bytes] = []
    with pytest.raises(FormatError):
        got.extend(zipread.open_entry(file, short))
    assert sum(map(len, got)) <= 1000


def test_a_member_beyond_the_limit_is_not_opened() -> None:
    file = container()
    log = zipread.read_directory(file)[1]
    with pytest.raises(LimitError):
        next(zipread.open_entry(file, log, limits=ZipLimits(member=1000)))


def test_a_file_that_cannot_be_read_is_not_verifiable() -> None:
    class Bad(io.BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    file = container()
    bad = Bad(file.getvalue())
    with pytest.raises(NotVerifiableError, match="Input/output"):
        zipread.read_directory(bad)
    with pytest.raises(NotVerifiableError):
        list(zipread.open_entry(bad, zipread.read_directory(file)[0]))
    file.close()
    with pytest.raises(NotVerifiableError):
        zipread.read_directory(file)


def test_a_torn_container_names_the_way_out() -> None:
    with pytest.raises(FormatError) as caught:
        zipread.read_directory(io.BytesIO(container().getvalue()[:-30]))
    assert "salvage" in caught.value.hint


@pytest.mark.parametrize(
    "repack",
    [
        ["zip", "-rq", "new.zip", TOP],
        ["zip", "-rqX9", "new.zip", TOP],
        ["zip", "-rqD0", "new.zip", TOP],
        ["sh", "-c", f"zip -rq - {TOP} | cat > new.zip"],
        ["7z", "a", "-bd", "new.zip", TOP],
        ["7z", "a", "-bd", "-mx=0", "new.zip", TOP],
        ["bsdtar", "--format", "zip", "-cf", "new.zip", TOP],
        ["python3", "-m", "zipfile", "-c", "new.zip", TOP],
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_a_bundle_packed_anew_by_a_stock_tool_reads_alike(
    tmp_path: Path, repack: list[str]
) -> None:
    (tmp_path / "old.zip").write_bytes(container().getvalue())
    subprocess.run(["unzip", "-q", "old.zip"], cwd=tmp_path, check=True)
    subprocess.run(repack, cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "new.zip").read_bytes()
    file = io.BytesIO(data)
    entries = [entry for entry in zipread.read_directory(file) if not entry.directory]
    assert {e.path: b"".join(zipread.open_entry(file, e)) for e in entries} == FILES
    walk = zipread.walk(io.BytesIO(data).read)
    assert {member.path: b"".join(member.chunks()) for member in walk} == FILES
