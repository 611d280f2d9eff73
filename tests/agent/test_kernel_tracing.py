"""ftrace and its neighbours: a real probe of ours is found, tracefs is neither mounted nor changed."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.kernel import tracerecords
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable

Shown = Any
MOUNTED = """
from hozen_agent.artifacts import kernel_tracing
os.mkdir("t")
mounted = subprocess.run(["mount", "-t", "tracefs", "none", "t"]).returncode == 0
if not mounted or not os.path.exists("t/uprobe_events"):
    raise SystemExit
def write(text):
    fd = os.open("t/uprobe_events", os.O_WRONLY | os.O_APPEND)  # truncating it would remove the probes of others
    os.write(fd, text.encode())
    os.close(fd)
write("p:hozen_test/evil /bin/true:0x40\\n")
try:
    show(kernel_tracing.collect(context()))
finally:
    write("-:hozen_test/evil\\n")
"""
DETACHED = """
from hozen_agent.artifacts import kernel_tracing
before = open("/proc/self/mountinfo").read()
show(kernel_tracing.collect(context()))
assert open("/proc/self/mountinfo").read() == before
"""


def test_a_planted_probe_is_in_the_record(collected: Callable[..., list[Shown]]) -> None:
    attempts = collected(MOUNTED)
    if not attempts:
        pytest.skip("this kernel has no uprobes")
    (record,) = attempts[1].records()
    place = "/bin/true:0x0000000000000040"
    assert {"sort": "probe", "name": "hozen_test/evil", "place": place} in record["uprobe_events"]
    assert record["tracer"]
    with tarfile.open(fileobj=io.BytesIO(attempts[0].data)) as tar:
        names = tar.getnames()
    assert "tracing/uprobe_events" in names
    assert not {"tracing/trace_pipe", "tracing/trace", "tracing/free_buffer"} & set(names)


def test_where_nobody_mounted_it_the_mounts_stay_as_they_were(
    collected: Callable[..., list[Shown]],
) -> None:
    raw, parsed = collected(DETACHED)
    (record,) = parsed.records()
    with tarfile.open(fileobj=io.BytesIO(raw.data)) as tar:
        names = tar.getnames()
        errors = tar.extractfile("ERRORS.jsonl").read() if "ERRORS.jsonl" in names else b""  # type: ignore[union-attr]
    assert record["tracer"] is not None or b"tracing" in errors


def test_enabled_functions_and_probes_are_parsed() -> None:
    data = (
        b"__x64_sys_getdents64 (1) R I     \ttramp: 0xffffffffc0001000 (hook+0x0/0x10) ->evil+0x0/0x40\n"
        b"do_exit [evil] (2)\n"
    )
    first, second = tracerecords.functions(data) or []
    assert (first["name"], first["callbacks"]) == ("__x64_sys_getdents64", 1)
    assert second["module"] == "evil"
    assert "tramp:" in str(first["rest"])
    line = b"ffffffffa1b2c3d4  k  __x64_sys_kill+0x0    [DISABLED][FTRACE]\n"
    (probe,) = tracerecords.kprobes(line) or []
    assert (probe["place"], probe["marks"]) == ("__x64_sys_kill+0x0", "[DISABLED][FTRACE]")
    (event,) = tracerecords.events(b"r16:kprobes/my do_sys_open $retval\n") or []
    assert event == {"sort": "return", "name": "kprobes/my", "place": "do_sys_open"}
    assert tracerecords.addresses_shown(b"0000000000000000 A x\n") is False
    assert tracerecords.addresses_shown(b"0000000000000000 A x\nffffffff81000000 T _text\n") is True


@given(st.binary(max_size=400))
def test_any_bytes_give_a_record_that_can_be_written(data: bytes) -> None:
    names = (
        b"tracing/kprobe_events tracing/enabled_functions tracing/set_event debug/kprobes/list proc/kallsyms "
        b"tracing/current_tracer tracing/instances/x/set_event"
    ).split()
    record = tracerecords.trace_record([(name, "file", data, 0) for name in names])
    assert json.loads(dump_line(record))["instances"] == ["x"]
