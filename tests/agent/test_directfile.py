"""Appending past the page cache, in any pieces, with a flush at any place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_agent import durable
from hozen_agent.kernel import directfile

if TYPE_CHECKING:
    from pathlib import Path


def append(file: directfile.DirectFile, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 100, 4095, 4096, 5000, 70_000, 1 << 20, 2_500_001]), st.booleans()
        ),
        max_size=8,
    )
)
def test_the_file_is_what_was_appended_after_each_flush(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    path = tmp_path_factory.mktemp("direct") / "file"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    file = directfile.DirectFile(fd)
    whole = b""
    for size, flush in steps:
        data = os.urandom(size)
        whole += data
        append(file, data)
        if flush:
            file.flush()
            os.fdatasync(fd)
            file.let_go()
            assert path.read_bytes() == whole
    file.flush()
    file.close()
    os.close(fd)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("volume_size", [None, 1 << 20, 100_000])
def test_a_container_on_an_older_kernel_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, volume_size: int | None
) -> None:
    monkeypatch.setattr(
        durable, "_DONTCACHE", 0x4000_0000
    )  # a flag that no kernel knows: EOPNOTSUPP
    directory = os.open(tmp_path, os.O_RDONLY)
    container = durable.ContainerFile(directory, "x.zip", volume_size=volume_size)
    data = os.urandom(3_333_333)
    for at in range(0, len(data), 700_001):
        container.write(data[at : at + 700_001])
        container.sync()
        written = b"".join((tmp_path / name).read_bytes() for name in container.volumes)
        assert written == data[: at + 700_001]
    assert container.read_back() == container.sha256
    names = container.publish()
    container.close()
    os.close(directory)
    assert b"".join((tmp_path / name).read_bytes() for name in names) == data
