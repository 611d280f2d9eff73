"""Which destinations are taken, refused, and cut into volumes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hozen_agent import destination
from hozen_hashes.errors import CannotWriteError, UsageError


def test_the_examined_machines_own_disk_is_refused_unless_allowed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="of the examined machine"):
        destination.open_destination(tmp_path, allow_local=False, volume_size=None, floor=0)
    found = destination.open_destination(tmp_path, allow_local=True, volume_size=None, floor=0)
    assert found.examined
    assert os.listdir(tmp_path) == []


def test_a_missing_directory_is_an_error_with_a_hint() -> None:
    with pytest.raises(CannotWriteError) as caught:
        destination.open_destination(
            Path("/nowhere/at/all"), allow_local=True, volume_size=None, floor=0
        )
    assert caught.value.hint


def test_too_little_space_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(CannotWriteError, match="MiB free"):
        destination.open_destination(tmp_path, allow_local=True, volume_size=None, floor=1 << 60)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_an_unwritable_directory_is_refused() -> None:
    with pytest.raises(CannotWriteError):
        destination.open_destination(Path("/etc"), allow_local=True, volume_size=None, floor=0)


def test_the_smaller_of_wish_and_medium_decides_the_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = destination.open_destination(tmp_path, allow_local=True, volume_size=5 << 20, floor=0)
    assert found.volume_size == 5 << 20
    monkeypatch.setattr(destination, "_fs_magic", lambda _fd: 0x4D44)
    found = destination.open_destination(tmp_path, allow_local=True, volume_size=None, floor=0)
    assert found.volume_size == destination.FAT_VOLUME


def test_the_destination_names_its_mount(tmp_path: Path) -> None:
    found = destination.open_destination(tmp_path, allow_local=True, volume_size=None, floor=0)
    kind, source, point = found.mount.split(" ")
    assert kind
    assert source
    assert str(tmp_path).startswith(point)
