"""eBPF: real programs, links, maps and pins, each found again; and what any kernel could answer."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.kernel import bpfrecords
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable

Shown = Any
SUPPORT = str(Path(__file__).parents[1] / "support")
PLANT = f"""
sys.path.append({SUPPORT!r})
import subprocess
import bpfobjects as objects
from hozen_agent.artifacts import ebpf
try:
    program = objects.load(b"evil_filter")
except PermissionError:
    print("refused")
    raise SystemExit
tracer = objects.load(b"evil_tracer", 17)
link = objects.attach_tracepoint(tracer, b"sys_enter")
table = objects.make_map(b"evil_map")
os.makedirs("bpffs/deep", exist_ok=True)
subprocess.run(["mount", "-t", "bpf", "none", "bpffs"], check=True)
os.mkdir("bpffs/deep")
for fd, name in ((program, b"program"), (table, b"deep/map"), (link, b"link")):
    objects.pin(fd, os.path.abspath(b"bpffs/" + name))
os.makedirs("groups", exist_ok=True)
grouped = subprocess.run(["mount", "-t", "cgroup2", "none", "groups"]).returncode == 0
if grouped:
    skb = objects.load(b"evil_skb", 8)
    os.makedirs("groups/hozen-test", exist_ok=True)
    group = os.open("groups/hozen-test", os.O_RDONLY)
    objects.attach_cgroup(skb, group, 1)
child(signal.pause)
show(ebpf.collect(context()))
"""
UNPLANT = """
if grouped:
    os.rmdir("groups/hozen-test")
"""


@pytest.fixture
def planted(isolated: Callable[..., str]) -> list[dict[str, Any]]:
    lines = isolated(PLANT + UNPLANT).splitlines()
    if lines == ["refused"]:
        pytest.skip("this kernel loads no eBPF program for us")
    return [json.loads(line) for line in lines]


def _data(attempt: dict[str, Any]) -> bytes:
    import base64

    return base64.b64decode(attempt["data"])


def test_programs_links_maps_and_pins_of_the_kernel_are_listed(
    planted: list[dict[str, Any]],
) -> None:
    records = [json.loads(line) for line in _data(planted[0]).splitlines()]
    named = {(r["object"], r["name"]): r for r in records if r.get("name")}
    program = named["program", "evil_filter"]
    assert (program["type"], program["translated_bytes"], program["gpl_compatible"]) == (
        "socket_filter",
        16,
        True,
    )
    assert program["created_by_uid"] == 0
    assert named["map", "evil_map"]["value_bytes"] == 8
    tracer = named["program", "evil_tracer"]
    (link,) = [r for r in records if r["object"] == "link" and r["program_id"] == tracer["id"]]
    assert (link["type"], link["target"]) == ("raw_tracepoint", "sys_enter")
    pins = {r["path"].rpartition("bpffs/")[2]: r for r in records if r["object"] == "pin"}
    assert (pins["program"]["what"], pins["program"]["id"]) == ("bpf-prog", program["id"])
    assert (pins["deep/map"]["what"], pins["deep/map"]["id"]) == (
        "bpf-map",
        named["map", "evil_map"]["id"],
    )
    assert pins["link"]["id"] == link["id"]
    held = {(r.get("prog_id"), r["what"]) for r in records if r["object"] == "holder"}
    assert (program["id"], "bpf-prog") in held
    if ("program", "evil_skb") in named:
        on = [r for r in records if r["object"] == "cgroup"]
        assert any(
            r["event"] == "cgroup_inet_egress"
            and named["program", "evil_skb"]["id"] in r["program_ids"]
            for r in on
        )


def test_the_translated_code_is_stored_beside_its_hash(planted: list[dict[str, Any]]) -> None:
    import hashlib

    records = [json.loads(line) for line in _data(planted[0]).splitlines()]
    program = next(r for r in records if r.get("name") == "evil_filter")
    with tarfile.open(fileobj=io.BytesIO(_data(planted[1]))) as tar:
        file = tar.extractfile(f"program-{program['id']}.insns")
        assert file is not None
        code = file.read()
    assert program["translated_sha256"] == hashlib.sha256(code).hexdigest()
    assert len(code) == program["translated_bytes"]


@pytest.mark.skipif(shutil.which("bpftool") is None, reason="no bpftool")
def test_the_records_agree_with_bpftool(isolated: Callable[..., str]) -> None:
    tail = """
for what in ("prog", "map", "link"):
    found = subprocess.run(["bpftool", "-j", what, "show"], capture_output=True, text=True)
    print(json.dumps({"tool": what, "list": json.loads(found.stdout)}))
"""
    lines = [json.loads(line) for line in isolated(PLANT + tail + UNPLANT).splitlines()]
    records = [json.loads(line) for line in _data(lines[0]).splitlines()]
    tool = {
        line["tool"]: {one["id"]: one for one in line["list"]} for line in lines if "tool" in line
    }
    assert tool["prog"]
    for record in records:
        if record["object"] == "program" and record["id"] in tool["prog"]:
            theirs = tool["prog"][record["id"]]
            assert (record["tag"], record["translated_bytes"]) == (
                theirs["tag"],
                theirs["bytes_xlated"],
            )
            assert record["type"] == theirs["type"]
        if record["object"] == "map" and record["id"] in tool["map"]:
            theirs = tool["map"][record["id"]]
            assert (record["type"], record["max_entries"]) == (
                theirs["type"],
                theirs["max_entries"],
            )
        if record["object"] == "link" and record["id"] in tool["link"]:
            assert record["program_id"] == tool["link"][record["id"]]["prog_id"]


def test_without_privilege_the_family_is_denied(isolated: Callable[..., str]) -> None:
    program = """
from hozen_agent.artifacts import ebpf
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
show(ebpf.collect(context()))
"""
    (attempt,) = [json.loads(line) for line in isolated(program).splitlines()]
    assert (attempt["outcome"], attempt["data"]) in {("denied", None), ("missing", None)}


@given(st.binary(max_size=300), st.binary(max_size=64))
def test_any_bytes_of_a_kernel_give_records(info: bytes, rest: bytes) -> None:
    dump_line(bpfrecords.program_record(info, rest, rest))
    dump_line(bpfrecords.map_record(info))
    dump_line(bpfrecords.link_record(info, rest))


def test_links_of_every_type_say_where_they_are() -> None:
    import struct

    for number, kind in enumerate(bpfrecords.LINKS):
        raw = struct.pack("=III4xIIiI", number, 7, 8, 3, 4, -1, 6).ljust(72, b"\0")
        record = bpfrecords.link_record(raw, b"")
        assert (record["type"], record["id"], record["program_id"]) == (kind, 7, 8)
    netfilter = struct.pack("=III4xIIiI", 10, 7, 8, 2, 4, -5, 6)
    assert bpfrecords.link_record(netfilter, b"")["priority"] == -5


def test_a_thousand_refusals_are_a_short_reason() -> None:
    from hozen_agent.artifacts import ebpf

    failures = [OSError(1, "not permitted", f"program {number}") for number in range(20_000)]
    reason = ebpf._reasons(failures)
    assert len(reason) < 500
    assert reason.endswith("; and 19992 more")


def test_a_descriptor_closed_meanwhile_hides_no_other(tmp_path: Path) -> None:
    import os

    from hozen_agent.artifacts import ebpf

    (tmp_path / "12/fd").mkdir(parents=True)
    (tmp_path / "12/fdinfo").mkdir()
    (tmp_path / "12/fd/3").write_bytes(b"")  # readlink fails, as for one that is closed by now
    (tmp_path / "12/fd/4").symlink_to("anon_inode:bpf-prog")
    (tmp_path / "12/fdinfo/4").write_bytes(b"prog_id:\t41\n")
    at = os.open(tmp_path, os.O_RDONLY)
    try:
        (one,) = ebpf._held(at, b"12")
    finally:
        os.close(at)
    assert (one["fd"], one["what"], one["prog_id"]) == (4, "bpf-prog", 41)
