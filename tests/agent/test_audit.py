"""The audit system: rules that libaudit builds are read back, and asking changes nothing."""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.kernel import auditlink, auditrecords
from hozen_hashes.errors import HozenError
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Shown = Any
EXIT, ALWAYS = 4, 2


@pytest.fixture(scope="module")
def libaudit() -> ctypes.CDLL:
    name = ctypes.util.find_library("audit")
    if name is None:
        pytest.skip("no libaudit")
    return ctypes.CDLL(name)


def built(libaudit: ctypes.CDLL, calls: list[bytes], pairs: list[bytes]) -> bytes:
    """Return struct audit_rule_data as auditctl(8) would send it."""
    libc = ctypes.CDLL(None)
    libc.calloc.restype = ctypes.c_void_p
    rule = ctypes.c_void_p(libc.calloc(1, 1040 + 4096))
    for call in calls:
        assert libaudit.audit_rule_syscallbyname_data(rule, call) == 0
    for pair in pairs:
        assert libaudit.audit_rule_fieldpair_data(ctypes.byref(rule), ctypes.c_char_p(pair), EXIT) == 0  # fmt: skip
    size = 1040 + ctypes.c_uint.from_address((rule.value or 0) + 1036).value
    data = bytearray(ctypes.string_at(rule.value or 0, size))
    data[:8] = EXIT.to_bytes(4, "little") + ALWAYS.to_bytes(4, "little")
    return bytes(data)


def test_a_rule_of_libaudit_is_read_back(libaudit: ctypes.CDLL) -> None:
    rule = built(libaudit, [b"execve"], [b"auid>=1000", b"exe=/usr/bin/sudo", b"key=root_cmd"])
    record = auditrecords.rule_record(rule)
    assert (record["list"], record["action"]) == ("exit", "always")
    assert len(record["syscalls"]) == 1  # type: ignore[arg-type]
    assert record["conditions"] == [
        {"field": "auid", "operator": ">=", "value": 1000},
        {"field": "exe", "operator": "=", "value": "/usr/bin/sudo"},
        {"field": "key", "operator": "=", "value": "root_cmd"},
    ]


def test_a_rule_for_all_calls_says_so(libaudit: ctypes.CDLL) -> None:
    rule = built(libaudit, [b"all"], [b"success=0"])
    assert auditrecords.rule_record(rule)["syscalls"] == "all"


def test_the_status_has_names() -> None:
    data = b"".join(n.to_bytes(4, "little") for n in (63, 1, 1, 812, 0, 8192, 3, 0, 127, 60000))
    record = auditrecords.status_record(data)
    assert (record["enabled"], record["pid"], record["lost"]) == (1, 812, 3)


@given(st.binary(max_size=1400))
def test_any_bytes_give_records(data: bytes) -> None:
    dump_line(auditrecords.rule_record(data))
    dump_line(auditrecords.status_record(data))


@given(st.binary(max_size=200))
def test_any_datagram_ends_or_is_refused(data: bytes) -> None:
    try:
        auditlink._take(data, auditlink.GET, [])
    except OSError:
        pass
    except HozenError:
        raise AssertionError from None


def test_outside_the_first_pid_namespace_the_reason_is_said(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected("from hozen_agent.artifacts import audit\nshow(audit.collect(context()))")
    assert {a.outcome for a in attempts} <= {"denied", "missing"}
    assert all(a.reason for a in attempts)


def test_asking_twice_gives_the_same_and_makes_us_no_daemon() -> None:
    try:
        first, again = auditlink.ask(auditlink.GET), auditlink.ask(auditlink.GET)
    except OSError as error:
        pytest.skip(f"no answer here: {error}")
    one, two = (auditrecords.status_record(data[0]) for data in (first, again))
    assert (one["enabled"], one["pid"]) == (two["enabled"], two["pid"])
    import os

    assert one["pid"] != os.getpid()
    for rule in auditlink.ask(auditlink.LIST_RULES):
        dump_line(auditrecords.rule_record(rule))


def test_a_kernel_without_audit_is_not_asked_since_that_would_start_modprobe(
    tmp_path: Path,
) -> None:
    import os
    from types import SimpleNamespace

    from hozen_agent.artifacts import audit

    (tmp_path / "self/net").mkdir(parents=True)
    (tmp_path / "self/net/netlink").write_bytes(b"sk Eth Pid Groups\n0 0 0 00000000\n")
    (tmp_path / "modules").write_bytes(b"")
    at = os.open(tmp_path, os.O_RDONLY)
    try:
        attempts = list(audit.collect(SimpleNamespace(proc=at, root=at)))  # type: ignore[arg-type]
    finally:
        os.close(at)
    assert [a.outcome for a in attempts] == ["missing", "missing"]
    assert all("could load a module" in a.reason for a in attempts)
