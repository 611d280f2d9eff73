"""The container file on real file systems: full, limited, cut into volumes, read back."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator  # noqa: TC003 - pytest reads the annotation
from pathlib import Path  # noqa: TC003

import pytest

from hozen_agent.durable import ContainerFile, JournalDirectory, write_new
from hozen_hashes.errors import CannotWriteError
from hozen_hashes.journal import Segment


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def fill(container: ContainerFile, sizes: list[int]) -> bytes:
    whole = b""
    for size in sizes:
        data = os.urandom(size)
        container.write(data)
        whole += data
    container.sync()
    return whole


def test_what_was_written_is_read_back_and_named(folder: int, tmp_path: Path) -> None:
    container = ContainerFile(folder, "b.zip")
    whole = fill(container, [1, 0, 700_000, 3 << 20, 5])
    assert (tmp_path / "b.zip.partial").stat().st_size == container.size == len(whole)
    assert container.read_back() == container.sha256 == hashlib.sha256(whole).hexdigest()
    assert container.publish() == ["b.zip"]
    assert (tmp_path / "b.zip").read_bytes() == whole
    assert not (tmp_path / "b.zip.partial").exists()


def test_volumes_are_joined_by_cat(folder: int, tmp_path: Path) -> None:
    container = ContainerFile(folder, "b.zip", volume_size=1_000_000)
    whole = fill(container, [400_000] * 6 + [2_500_000])
    assert container.read_back() == container.sha256
    assert container.publish() == [f"b.zip.{n:03d}" for n in range(1, 6)]
    joined = subprocess.run(
        "cat b.zip.*", shell=True, cwd=tmp_path, capture_output=True, check=True
    ).stdout
    assert joined == whole
    assert max(p.stat().st_size for p in tmp_path.iterdir()) == 1_000_000


def test_a_changed_medium_is_noticed_when_it_is_read_back(folder: int, tmp_path: Path) -> None:
    container = ContainerFile(folder, "b.zip")
    fill(container, [100_000])
    with (tmp_path / "b.zip.partial").open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 1]))
    assert container.read_back() != container.sha256


def test_a_bundle_never_replaces_a_file(folder: int, tmp_path: Path) -> None:
    (tmp_path / "b.zip.partial").write_bytes(b"older")
    with pytest.raises(CannotWriteError):
        ContainerFile(folder, "b.zip")
    write_new(folder, "x", b"1")
    with pytest.raises(CannotWriteError):
        write_new(folder, "x", b"2")
    assert (tmp_path / "x").read_bytes() == b"1"


def test_a_finished_bundle_never_replaces_one_of_the_same_name(folder: int, tmp_path: Path) -> None:
    container = ContainerFile(folder, "b.zip")
    fill(container, [10])
    (tmp_path / "b.zip").symlink_to("nowhere")
    with pytest.raises(CannotWriteError):
        container.publish()
    assert (tmp_path / "b.zip.partial").stat().st_size == 10
    assert (tmp_path / "b.zip").is_symlink()


def test_a_file_size_limit_is_one_error_and_leaves_what_was_written(tmp_path: Path) -> None:
    script = f"""
        import os, resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        from hozen_agent.durable import ContainerFile
        from hozen_hashes.errors import CannotWriteError
        c = ContainerFile(os.open({str(tmp_path)!r}, os.O_RDONLY), "b.zip")
        try:
            for _ in range(4):
                c.write(os.urandom(600_000)); c.sync()
        except CannotWriteError as error:
            print(error.exit_code, error.hint)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("73 ")
    assert "volume-size" in run.stdout
    assert (tmp_path / "b.zip.partial").stat().st_size >= 600_000


def test_the_journal_directory_holds_each_segment_and_goes_when_told(
    folder: int, tmp_path: Path
) -> None:
    journal = JournalDirectory(folder, "hz-x")
    journal.put_start(Segment(0, b"zero\n", b"s0", b"p0"), b"cms")
    journal.put(Segment(1, b"one\n", b"s1", b"p1"), b"files\n")
    names = sorted(p.name for p in (tmp_path / "hz-x.journal").iterdir())
    assert names == [
        "000000.jsonl", "000000.pub", "000000.sig", "000001.files.jsonl", "000001.jsonl", "000001.pub",
        "000001.sig", "start.p7s",
    ]  # fmt: skip
    journal.remove()
    assert not (tmp_path / "hz-x.journal").exists()


def test_free_bytes_are_those_of_the_medium(folder: int, tmp_path: Path) -> None:
    container = ContainerFile(folder, "b.zip")
    state = os.statvfs(tmp_path)
    assert abs(container.free_bytes() - state.f_bavail * state.f_frsize) < 1 << 30
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0
