"""What a bound or a refusal of the kernel's small files leaves out has a line; nothing is left out silently."""

from __future__ import annotations

import os
from errno import EFBIG, ELOOP, ENOTDIR
from typing import TYPE_CHECKING

import pytest

from hozen_agent.artifacts import kernel_tracing, machine
from hozen_agent.items import Outcome
from hozen_agent.kernel import pinned, sysctls
from hozen_agent.proc.entries import listing_or_error
from hozen_agent.proc.sweep import ERROR, FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hozen_agent.context import Context


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def _settings(tmp_path: Path, count: int) -> None:
    for number in range(count):
        place = tmp_path / f"sys/net/ipv4/conf/eth{number:03}"
        place.mkdir(parents=True)
        (place / "rp_filter").write_bytes(b"1\n")


def test_interfaces_beyond_the_bound_are_told(tmp_path: Path, root: int) -> None:
    _settings(tmp_path, sysctls.MAX_INTERFACES + 3)
    found = sysctls.settings(root)
    assert (b"proc/sys/net/ipv4/conf", ERROR, b"", EFBIG) in found
    assert sum(kind == FILE for _, kind, _, _ in found) == sysctls.MAX_INTERFACES


def test_with_as_many_interfaces_as_the_bound_nothing_is_lacking(tmp_path: Path, root: int) -> None:
    _settings(tmp_path, sysctls.MAX_INTERFACES)
    assert {kind for _, kind, _, _ in sysctls.settings(root)} == {FILE}


def test_a_listing_says_what_is_not_in_it(tmp_path: Path, root: int) -> None:
    (tmp_path / "many").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "many" / name).touch()
    assert listing_or_error(root, b"many", most=3) == ([b"a", b"b", b"c"], [])
    assert listing_or_error(root, b"many", most=2) == ([b"a", b"b"], [(b"many", ERROR, b"", EFBIG)])
    assert listing_or_error(root, b"none", most=2) == ([], [])
    assert listing_or_error(root, b"many/a", most=2) == ([], [(b"many/a", ERROR, b"", ENOTDIR)])


def test_a_bus_that_cannot_be_listed_is_told(tmp_path: Path, root: int) -> None:
    (tmp_path / "sys/bus/usb").mkdir(parents=True)
    (tmp_path / "sys/bus/usb/devices").write_bytes(b"not a directory")
    found = list(machine._devices(root))
    assert found == [(b"sys/bus/usb/devices", ERROR, b"", ENOTDIR)]


def test_a_log_of_measured_boot_that_is_refused_has_its_outcome(
    tmp_path: Path, context_of: Callable[..., Context]
) -> None:
    place = tmp_path / "sys/kernel/security/tpm0"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"not a directory")
    attempts = list(machine._measurements(context_of(tmp_path, tmp_path)))
    assert attempts
    assert {one.outcome for one in attempts} == {Outcome.FAILED}
    assert all("ENOTDIR" in one.reason for one in attempts)


def test_live_patches_that_cannot_be_listed_are_told(
    tmp_path: Path, context_of: Callable[..., Context]
) -> None:
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/livepatch").write_bytes(b"")
    found = kernel_tracing._patches(context_of(tmp_path, tmp_path))
    assert found == [(b"sys/kernel/livepatch", ERROR, b"", ENOTDIR)]


def test_pins_too_deep_to_follow_are_told(
    tmp_path: Path, context_of: Callable[..., Context]
) -> None:
    deep = tmp_path / "bpf" / "/".join("d" * (pinned._DEEPEST + 2))
    deep.mkdir(parents=True)
    found = list(pinned._below(context_of(tmp_path, tmp_path), b"/bpf"))
    errors = [info for _, info in found if isinstance(info, OSError)]
    assert [error.errno for error in errors] == [ELOOP]
    assert "deeper than" in (errors[0].strerror or "")


def test_a_directory_of_pins_that_cannot_be_listed_is_told(
    tmp_path: Path, context_of: Callable[..., Context]
) -> None:
    (tmp_path / "bpf").write_bytes(b"")
    ((path, error),) = pinned._below(context_of(tmp_path, tmp_path), b"/bpf")
    assert path == b"/bpf"
    assert isinstance(error, OSError)
    assert error.errno == ENOTDIR
