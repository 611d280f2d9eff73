from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import volumes, zipread
from hozen_hashes.errors import DeniedError, FormatError, NotVerifiableError, UsageError
from hozen_hashes.volumes import open_container
from hozen_hashes.zipstream import ZipStream

DATA = bytes(range(256)) * 10


def cut(folder: Path, size: int, data: bytes = DATA, name: str = "x.zip") -> Path:
    for number, at in enumerate(range(0, len(data), size), start=1):
        (folder / f"{name}.{number:03d}").write_bytes(data[at : at + size])
    return folder / name


@pytest.mark.parametrize("size", [1000, 999, 1, 5000])
@pytest.mark.parametrize("suffix", ["", ".001"])
def test_volumes_read_as_one_file(tmp_path: Path, size: int, suffix: str) -> None:
    data = DATA[:500] if size == 1 else DATA
    path = cut(tmp_path, size, data)
    with open_container(f"{path}{suffix}") as file:
        assert file.read() == data
        assert file.seek(0, os.SEEK_END) == len(data)
        assert file.read(1) == b""
        assert file.seek(len(data) + 5) == len(data) + 5
        assert file.read(1) == b""


def test_a_whole_container_is_opened_as_it_is(tmp_path: Path) -> None:
    for name in ("x.zip", "x.zip.partial", "x", "x.2026"):
        (tmp_path / name).write_bytes(DATA)
        with open_container(tmp_path / name) as file:
            assert file.read() == DATA


def test_a_whole_container_goes_before_volumes_of_its_name(tmp_path: Path) -> None:
    path = cut(tmp_path, 1000)
    path.write_bytes(b"whole")
    with open_container(path) as file:
        assert file.read() == b"whole"


@given(st.lists(st.tuples(st.integers(0, 2700), st.integers(0, 1500)), max_size=20), st.booleans())
def test_seeks_and_reads_are_those_of_one_file(steps: list[tuple[int, int]], raw: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, open_container(cut(Path(folder), 700)) as file:
        source = file.raw if raw and isinstance(file, io.BufferedReader) else file
        model = io.BytesIO(DATA)
        for at, length in steps:
            assert source.seek(at) == model.seek(at)
            piece = source.read(length)
            assert piece is not None
            assert model.read(len(piece)) == piece
            assert piece or not length or at >= len(DATA)
            assert source.tell() == model.tell() == source.seek(0, os.SEEK_CUR)


def test_a_bundle_in_volumes_is_read_like_a_whole_one(tmp_path: Path) -> None:
    sink = io.BytesIO()
    container = ZipStream(sink.write)
    top = "hz-20261123T050000Z-web01-5f3a9c10/"
    noise = os.urandom(90_000)
    container.add(top + "data/disks/000001.bin", noise)
    container.finish()
    with open_container(cut(tmp_path, 1 << 14, sink.getvalue())) as file:
        (entry,) = zipread.read_directory(file)
        assert b"".join(zipread.open_entry(file, entry)) == noise


def test_a_missing_volume_is_named(tmp_path: Path) -> None:
    path = cut(tmp_path, 500)
    (tmp_path / "x.zip.003").unlink()
    with pytest.raises(FormatError, match=r"x\.zip\.003 is missing"):
        open_container(path)
    (tmp_path / "x.zip.001").unlink()
    with pytest.raises(FormatError, match=r"x\.zip\.001 is missing"):
        open_container(path)


def test_a_volume_larger_than_the_first_is_refused(tmp_path: Path) -> None:
    path = cut(tmp_path, 1000)
    (tmp_path / "x.zip.002").write_bytes(bytes(1001))
    with pytest.raises(FormatError):
        open_container(path)


def test_an_empty_volume_is_refused(tmp_path: Path) -> None:
    path = cut(tmp_path, 1000)
    (tmp_path / "x.zip.002").write_bytes(b"")
    with pytest.raises(FormatError):
        open_container(path)


def test_a_volume_that_shrinks_while_it_is_read_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = cut(tmp_path, 1000)
    with open_container(path) as file:
        (tmp_path / "x.zip.003").write_bytes(b"")
        with pytest.raises(OSError, match=r"x\.zip\.003 became shorter"):
            file.read()
        with pytest.raises(NotVerifiableError):
            zipread.read_directory(file)


def test_no_more_than_one_volume_is_open(tmp_path: Path) -> None:
    path = cut(tmp_path, 10, DATA[:500])
    before = len(os.listdir("/proc/self/fd"))
    with open_container(path) as file:
        assert file.read() == DATA[:500]
        assert len(os.listdir("/proc/self/fd")) == before + 1
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_cannot_be_opened_is_our_own_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        open_container(tmp_path / "none.zip")
    with pytest.raises(UsageError):
        open_container(tmp_path / "none" / "none.zip")
    with pytest.raises(UsageError):
        open_container(tmp_path)
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(UsageError, match="regular"):
        open_container(tmp_path / "pipe.zip")
    with pytest.raises(NotVerifiableError):
        open_container(tmp_path / ("x" * 300))


def test_an_error_of_the_system_keeps_its_kind(tmp_path: Path) -> None:
    assert isinstance(volumes._refusal(tmp_path, PermissionError(13, "no")), DeniedError)
    assert isinstance(volumes._refusal(tmp_path, OSError(5, "bad disk")), NotVerifiableError)
