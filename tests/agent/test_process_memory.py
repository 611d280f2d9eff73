"""Memory of real processes as core files: what gdb, readelf and yara see, and that the process never stops."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.proc import addressspace, corefile
from hozen_agent.proc.residence import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any as Shown  # conftest.Shown: tests are no package

VICTIM = """
import shutil, threading, mmap
def victim():
    global kept, shared
    kept = b"MARK" * 3 + b"-secret-of-the-heap-" + bytes(reversed(b"XYZZY")) * 1000
    big = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    big[500 << 20 : (500 << 20) + 5] = b"deep!"
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    with open("ready", "w") as f: f.write("x")
    while True:
        time.sleep(0.01)
pid = child(victim); wait_for("ready"); time.sleep(0.2)
from hozen_agent.artifacts import process_memory
"""
TAKE = """
ctx = context(); ctx.memory_of = (str(pid),)
for a in process_memory.collect(ctx):
    with open("out.core", "wb") as f:
        failure = None
        try:
            for piece in a.data or (): f.write(piece)
        except Exception as error: failure = [str(error.outcome), error.reason]
    print(json.dumps([a.outcome, a.reason, a.kind, a.ext, a.personal, list(a.process or ()), failure]))
"""


def segments(core: bytes) -> list[tuple[int, int, int, int, int]]:
    """Return (type, offset, address, file size, memory size) of each program header."""
    assert core[:7] == b"\x7fELF\x02\x01\x01"
    kind, _, _, _, table = struct.unpack_from("<HHIQQ", core, 16)
    count = struct.unpack_from("<H", core, 56)[0]
    assert kind == 4
    rows = [struct.unpack_from("<IIQQQQQQ", core, table + 56 * i) for i in range(count)]
    return [(r[0], r[2], r[3], r[5], r[6]) for r in rows]


def notes(core: bytes) -> list[tuple[bytes, int, bytes]]:
    found = []
    for kind, begin, _, size, _ in segments(core):
        offset, end = begin, begin + size
        while kind == 4 and offset < end:
            owner, length, number = struct.unpack_from("<III", core, offset)
            data = offset + 12 + -(-owner // 4) * 4
            found.append(
                (core[offset + 12 : offset + 12 + owner - 1], number, core[data : data + length])
            )
            offset = data + -(-length // 4) * 4
    return found


def own(core: bytes) -> dict[str, Any]:
    (text,) = [data for owner, _, data in notes(core) if owner == b"HOZEN"]
    facts: dict[str, Any] = json.loads(text)
    return facts


def test_memory_is_taken_while_the_process_runs_and_only_what_is_there(
    isolated: Callable[..., str], tmp_path: Path
) -> None:
    said = isolated(
        VICTIM
        + TAKE
        + "f = open(f'/proc/{pid}/status'); print(f.read().split('TracerPid:')[1].split()[0]); f.close()"
    ).splitlines()
    outcome, _, kind, ext, personal, process, failure = json.loads(said[0])
    assert (outcome, kind, ext, personal, failure) == (None, "snapshot", "core", "sensitive", None)
    assert said[1] == "0"
    core = (tmp_path / "out.core").read_bytes()
    assert b"MARKMARKMARK-secret-of-the-heap-" in core
    assert b"deep!" in core
    assert len(core) < 100 << 20  # of the gigabyte only the page that was written is there
    rows = [row for row in segments(core) if row[0] == 1]
    assert sum(row[4] for row in rows) > 1 << 30
    for _, offset, _, size, memory in rows:
        assert offset % PAGE == 0
        assert size in {0, memory}
        assert offset + size <= len(core)
    assert [row[2] for row in rows] == sorted(row[2] for row in rows)
    kinds = [number for owner, number, _ in notes(core) if owner == b"CORE"]
    assert kinds.count(1) == 2  # a status for each thread
    assert {3, 6, 0x46494C45} <= set(kinds)
    assert own(core)["pid"] == process[0]
    assert own(core)["stopped"] is False
    assert any("kernel" in why for _, _, why in own(core)["not_read"])


@pytest.mark.needs("readelf", "gdb", "yara")
def test_gdb_readelf_and_yara_open_the_core(isolated: Callable[..., str], tmp_path: Path) -> None:
    isolated(VICTIM + TAKE)
    core = tmp_path / "out.core"

    def tool(*words: str) -> str:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", check=True, timeout=60
        )
        return done.stdout + done.stderr

    header = tool("readelf", "-hnW", str(core))
    assert "CORE (Core file)" in header
    assert "NT_FILE" in header
    assert "Error" not in header
    assert "arning" not in header
    ask = ("info proc mappings", "info threads", "x/1xb $sp", "info registers rsp rip")
    words = [word for one in ask for word in ("-ex", one)]
    debugger = ""
    for _ in range(5):  # a thread that runs at that moment has no registers to give
        debugger = tool("gdb", "-nx", "-batch", "-c", str(core), *words)
        if "Cannot access memory" not in debugger:
            break
        isolated(VICTIM + TAKE)
    assert "libc" in debugger
    assert "2 " in debugger.split("info threads")[-1]
    assert "Cannot access memory" not in debugger
    assert not re.search(r"rsp\s+0x0\s", debugger)
    start = next(
        row
        for row in segments(core.read_bytes())
        if b"MARKMARK" in core.read_bytes()[row[1] : row[1] + row[3]]
    )
    found = tool("gdb", "-nx", "-batch", "-c", str(core), "-ex",
                 f"find /b {start[2]:#x}, +{start[3] - 1}, 'M', 'A', 'R', 'K', 'M', 'A', 'R', 'K', 'M'")  # fmt: skip
    assert "pattern" in found
    rule = tmp_path / "rule.yar"
    rule.write_text(
        'rule heap { strings: $a = "MARKMARKMARK-secret" condition: $a and uint32(0) == 0x464c457f }'
    )
    assert "heap" in tool("yara", str(rule), str(core))


def test_a_limit_takes_own_memory_first_and_names_the_rest(
    isolated: Callable[..., str], tmp_path: Path
) -> None:
    said = isolated(
        VICTIM + TAKE.replace("ctx.memory_of", "ctx.room = lambda a: 12 << 20; ctx.memory_of")
    )
    *_, failure = json.loads(said.splitlines()[0])
    assert failure[0] == "truncated"
    assert "left out by the limit" in failure[1]
    core = (tmp_path / "out.core").read_bytes()
    assert len(core) <= 12 << 20
    assert b"MARKMARKMARK-secret-of-the-heap-" in core
    assert any("limit" in why for _, _, why in own(core)["not_read"])


def test_names_numbers_and_what_must_not_be_read(collected: Callable[..., list[Shown]]) -> None:
    attempts = collected(
        VICTIM + "shutil.copy('/bin/sleep', 'hozentestsleep')\n"
        "def sleep(): os.execv('./hozentestsleep', ['other', '60'])\n"
        "two = [child(sleep), child(sleep)]; time.sleep(0.3)\n"
        "ctx = context(); ctx.memory_of = ('hozentest*', '4194000', str(os.getpid()), 'nobody-here')\n"
        "show(process_memory.collect(ctx))\n"
    )
    first, second, number, self_, name = attempts
    assert first.data[:4] == second.data[:4] == b"\x7fELF"
    assert first.process[0] != second.process[0]
    assert (number.outcome, name.outcome) == ("missing", "missing")
    assert self_.outcome == "failed"
    assert "itself" in self_.reason


def test_a_process_that_ended_or_became_another_gives_no_bytes(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        VICTIM + "from hozen_agent.proc import chosenpids\n"
        "ctx = context(); ctx.memory_of = (str(pid),)\n"
        "one = chosenpids.matching(ctx.proc, str(pid))[0]\n"
        "show(process_memory._memory(ctx, chosenpids.Chosen(pid, one.start_ticks + 1)))\n"
        "os.kill(pid, 9); os.waitpid(pid, 0); show(process_memory._memory(ctx, one))\n"
    )
    assert [a.outcome for a in attempts] == ["missing", "missing"]
    assert all(a.data is None for a in attempts)


def test_pages_that_are_not_there_are_not_fetched(isolated: Callable[..., str]) -> None:
    said = isolated(
        VICTIM.replace(
            "big[500",
            "global mapped\n    mapped = mmap.mmap(os.open('file', os.O_RDWR), 8 << 20)\n    big[500",
        ).replace(
            "def victim", "with open('file', 'wb') as out: out.write(b'F' * (8 << 20))\ndef victim"
        )
        + "def rss():\n"
        "    with open(f'/proc/{pid}/smaps') as s: return s.read().split('/file\\n')[1].split('Rss:')[1].split()[0]\n"
        "before = rss()\n" + TAKE + "print(before, rss(), os.path.getsize('out.core'))"
    )
    before, after, _ = said.splitlines()[-1].split()
    assert before == after == "0"


def test_page_by_page_and_by_ranges_say_the_same(isolated: Callable[..., str]) -> None:
    said = isolated(
        VICTIM + "from hozen_agent.proc.residence import Residence\n"
        "from hozen_agent.proc import addressspace\n"
        "fd = os.open(f'/proc/{pid}/pagemap', os.O_RDONLY)\n"
        "os.kill(pid, signal.SIGSTOP); time.sleep(0.1)\n"
        "with open(f'/proc/{pid}/maps', 'rb') as f: areas = addressspace.parse_maps(f.read())\n"
        "new, old = Residence(fd), Residence(fd, scan=False)\n"
        "def runs(r, a): return addressspace._joined(list(r.of(a.start, a.end)), 0)\n"
        "areas = [a for a in areas if not a.why_not]\n"
        "print(sum(runs(new, a) == runs(old, a) for a in areas) - len(areas), len(areas))\n"
        "print(new._scan)"
    )
    differing, count = map(int, said.splitlines()[0].split())
    assert differing == 0
    assert count > 10


@given(st.binary(max_size=300))
def test_any_bytes_as_a_map_give_areas_or_none(data: bytes) -> None:
    for area in addressspace.parse_maps(data):
        assert area.start < area.end
    corefile.registers_of(data)


runs = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), max_size=8)


@given(
    st.lists(runs, min_size=1, max_size=4),
    st.integers(0, 100),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_segments_cover_each_area_once_and_keep_the_limit(
    shapes: list[list[tuple[int, int]]], most: int, in_files: list[bool]
) -> None:
    resident, at = [], PAGE
    for shape, in_file in zip(shapes, in_files, strict=False):
        start, found = at, []
        for gap, length in shape:
            begin = at + gap * PAGE
            at = begin + length * PAGE
            found.append((begin, at))
        at += PAGE
        area = addressspace.Area(
            start=start, end=at, flags=4, offset=0, inode=int(in_file), path=b""
        )
        resident.append((area, found))
    chosen, left_out = addressspace.chosen(addressspace.bridged(resident), most * PAGE)
    taken = sum(one.end - one.start for one in chosen if one.taken)
    assert taken <= most * PAGE
    assert [one.start for one in chosen] == [
        resident[0][0].start,
        *(one.end for one in chosen[:-1]),
    ]
    assert chosen[-1].end == resident[-1][0].end
    missing = sum(end - start for start, end in left_out)
    assert taken + missing == sum(end - start for _, found in resident for start, end in found)
