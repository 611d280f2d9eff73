"""The bodyfile and the special files, on planted trees that are read through real workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.artifacts import filesystem
from hozen_agent.filetree import bodyfile, fscaps
from hozen_agent.items import Outcome
from hozen_agent.reading.files import whole
from hozen_agent.reading.window import Window
from hozen_agent.workers import jobs, jobwork
from hozen_hashes.names import percent_decode

if TYPE_CHECKING:
    from pathlib import Path

Evidence = Any
HOSTILE = b"a|b%41\\n\n\x1b[31m\xff\xe2\x80\xae.txt"


def _taken(evidence: Evidence) -> tuple[dict[bytes, list[bytes]], dict[bytes, Any], Any, list[Any]]:
    """Return lines by name, special records by path, the record, and what ended each attempt."""
    texts, endings = [], []
    for attempt in filesystem.collect(evidence.context()):
        data, failure = whole(attempt)
        texts.append(data)
        endings.append(failure)
    lines = {}
    for line in texts[0].splitlines():
        fields = line.split(b"|")
        assert len(fields) == 11, line
        lines[bodyfile.unescaped(fields[1])] = fields
    special = [json.loads(line) for line in texts[1].splitlines()]
    by_path = {percent_decode(record["path"]): record for record in special}
    return lines, by_path, json.loads(texts[2]), endings


def test_every_name_of_the_trees_has_one_line_with_its_four_times(evidence: Evidence) -> None:
    place = evidence.write("/etc/deep/er/file.conf", b"12345")
    os.utime(place, ns=(1_600_000_000_123456789, 1_500_000_000_000000001))
    evidence.write("/usr/bin/tool", mode=0o755)
    evidence.write("/elsewhere/not-chosen")
    lines, _, record, endings = _taken(evidence)
    assert endings == [None, None, None]
    assert {b"/etc", b"/etc/deep", b"/etc/deep/er", b"/elsewhere", b"/usr/bin"} < set(lines)
    assert b"/elsewhere/not-chosen" not in lines
    fields, seen = lines[b"/etc/deep/er/file.conf"], place.stat()
    assert fields[:7] == [
        b"0", b"/etc/deep/er/file.conf", b"%d" % seen.st_ino, b"r/rrw-r--r--", b"%d" % seen.st_uid,
        b"%d" % seen.st_gid, b"5",
    ]  # fmt: skip
    assert fields[7:9] == [b"1600000000.123456789", b"1500000000.000000001"]
    born = subprocess.run(["stat", "-c", "%W", place], capture_output=True, check=True).stdout
    assert fields[10].split(b".")[0] == born.strip()
    assert {t["tree"]: t["state"] for t in record["trees"]}["/srv"] == "missing"


def test_hostile_names_are_one_line_each_and_come_back_byte_for_byte(evidence: Evidence) -> None:
    evidence.write(b"/tmp/" + HOSTILE)
    evidence.write("/tmp/trailing ")
    evidence.write("/usr/lib/...")
    lines, special, _, _ = _taken(evidence)
    for name in (b"/tmp/" + HOSTILE, b"/tmp/trailing ", b"/usr/lib/..."):
        assert name in lines
        assert "odd_name" in special[name]["why"]


def test_special_files_are_told_and_ordinary_ones_are_not(evidence: Evidence) -> None:
    old = time.time() - 90 * 86_400
    evidence.write("/usr/bin/plain", mode=0o755)
    evidence.write("/usr/bin/root-me", mode=0o4755)
    evidence.write("/usr/bin/group-me", mode=0o2755)
    evidence.write("/etc/everybody", mode=0o666)
    evidence.write("/usr/share/.x/prog", mode=0o755)
    evidence.write("/tmp/dropper", mode=0o755)
    evidence.write("/home/sato/.bashrc")
    evidence.write("/dev/notadevice")
    (evidence.root / "tmp").chmod(0o1777)
    (evidence.root / "srv").mkdir()
    (evidence.root / "srv").chmod(0o777)
    os.utime(evidence.root / "etc/everybody", (old, time.time() + 10 * 86_400))
    evidence.write("/etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
    evidence.write("/etc/group", b"root:x:0:\n")
    _, special, record, _ = _taken(evidence)
    aside = {"changed_recently", "no_owner", "no_group"}
    why = {path: set(found["why"]) - aside for path, found in special.items()}
    assert not why.get(b"/usr/bin/plain")
    assert why[b"/usr/bin/root-me"] == {"suid"}
    assert why[b"/usr/bin/group-me"] == {"sgid"}
    assert why[b"/etc/everybody"] == {"world_writable", "changed_in_future"}
    assert why[b"/usr/share/.x"] == {"hidden"}
    assert why[b"/usr/share/.x/prog"] == {"executable_in_odd_place"}
    assert why[b"/tmp/dropper"] == {"executable_in_odd_place"}
    assert why[b"/dev/notadevice"] == {"regular_among_devices"}
    assert why[b"/srv"] == {"world_writable"}
    assert b"/home/sato/.bashrc" not in why
    assert b"/tmp" not in why
    assert "changed_recently" in special[b"/usr/bin/root-me"]["why"]
    assert record["users_known"] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="owners, capabilities and flags are set by root")
def test_owners_capabilities_and_flags_are_told(evidence: Evidence) -> None:
    evidence.write("/etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
    evidence.write("/etc/group", b"root:x:0:\n")
    orphan = evidence.write("/etc/orphan")
    os.chown(orphan, 54321, 54322)
    capable = evidence.write("/usr/bin/ping", mode=0o755)
    raw = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(capable, b"security.capability", raw)
    fixed = evidence.write("/etc/fixed")
    flagged = subprocess.run(["chattr", "+i", fixed], check=False, capture_output=True).returncode == 0  # fmt: skip
    try:
        _, special, _, _ = _taken(evidence)
    finally:
        subprocess.run(["chattr", "-i", fixed], check=False, capture_output=True)
    assert {"no_owner", "no_group"} <= set(special[b"/etc/orphan"]["why"])
    assert "capability" in special[b"/usr/bin/ping"]["why"]
    assert special[b"/usr/bin/ping"]["capabilities"] == {
        "raw": raw.hex(), "permitted": ["cap_net_raw"], "inheritable": [], "effective": True,
    }  # fmt: skip
    if flagged:
        assert "immutable" in special[b"/etc/fixed"]["why"]


def test_links_are_not_followed_and_what_is_no_file_is_never_opened(evidence: Evidence) -> None:
    evidence.write("/usr/bin/real", mode=0o755)
    (evidence.root / "bin").symlink_to("usr/bin")
    (evidence.root / "srv").symlink_to("/data/srv")
    evidence.write("/data/srv/page.html")
    os.mkfifo(evidence.write("/tmp/x").with_name("fifo"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fsencode(evidence.root / "tmp/socket"))
        lines, _, record, _ = _taken(evidence)
    assert lines[b"/tmp/fifo"][3].startswith(b"p/p")
    assert lines[b"/tmp/socket"][3].startswith(b"h/h")
    assert b"/bin/real" not in lines
    assert b"/data/srv/page.html" in lines  # a tree that is a link is walked where it leads to
    states = {t["tree"]: t["state"] for t in record["trees"]}
    assert states["/bin"] == states["/srv"] == "link"


def test_a_bound_that_bites_is_told_and_what_came_before_is_kept(evidence: Evidence) -> None:
    for number in range(30):
        evidence.write(f"/etc/{number:02}/x")
    asked: dict[str, object] = {"most": 40, "seconds": 60, "since": 1 << 40, "now": int(time.time())}  # fmt: skip
    job = jobs.Job(evidence.pool, jobwork.BODY_FILE, b"/etc", asked)
    lines = b"".join(data for stream, data in job if stream == 0).splitlines()
    assert 30 <= len(lines) <= 41
    assert job.summary["state"] == "stopped"
    assert "more than 40 entries" in str(job.summary["why"])


@pytest.mark.needs("mactime")
def test_mactime_reads_every_line(evidence: Evidence, tmp_path: Path) -> None:
    names = [
        b"/tmp/" + HOSTILE,
        "/tmp/保全|報告 100%.txt".encode(),
        b"/tmp/tr ",
        b"/etc/back\\slash",
    ]
    for name in names:
        place = evidence.write(name)
        os.utime(place, (1_600_000_000, 1_500_000_000))
    body = tmp_path / "body.txt"
    body.write_bytes(whole(next(iter(filesystem.collect(evidence.context()))))[0])
    out = subprocess.run(["mactime", "-y", "-d", "-b", body], capture_output=True, check=True).stdout  # fmt: skip
    for name in names:
        shown = bodyfile.escaped(name).replace(b"%25", b"%").replace(b"%7C", b"|")
        assert out.count(shown + b'"') >= 3 or out.count(shown) >= 3, (name, shown)
    assert b"2017-07-14T02:40:00Z" in out
    assert b"2020-09-13T12:26:40Z" in out


def test_a_worker_that_hangs_costs_only_its_tree(evidence: Evidence) -> None:
    evidence.write("/tmp/first")
    evidence.write("/usr/bin/x")
    attempts = filesystem.collect(evidence.context())
    attempt = next(attempts)
    lane = evidence.pool.take()
    assert lane is not None
    os.kill(lane.pid, signal.SIGSTOP)  # it will never answer, as if its disk were dead
    evidence.pool.give_back(lane)
    data, failure = whole(attempt)
    assert failure is not None
    assert failure.outcome is Outcome.TRUNCATED
    assert "no answer" in failure.reason
    assert b"/usr/bin/x" in data
    next(attempts)
    record = json.loads(whole(next(attempts))[0])
    assert [t["state"] for t in record["trees"]].count("timed_out") == 1
    assert evidence.pool.abandoned == [lane.pid]


@given(st.binary(max_size=40).filter(lambda name: b"\0" not in name))
def test_the_spelling_of_a_name_has_one_inverse(name: bytes) -> None:
    spelled = bodyfile.escaped(name)
    assert bodyfile.unescaped(spelled) == name
    assert b"|" not in spelled
    assert b"\n" not in spelled
    spelled.decode()


@given(st.binary(max_size=40))
def test_any_capability_attribute_is_kept_with_its_bytes(raw: bytes) -> None:
    assert fscaps.parse(raw)["raw"] == raw.hex()


def test_the_plan_asks_for_nothing_and_reads_nothing(evidence: Evidence) -> None:
    context = evidence.context()
    context.files = lambda _requests: iter(())
    assert list(filesystem.collect(context)) == []


def test_times_before_1970_keep_their_sign() -> None:
    assert bodyfile.seconds(-1, 500_000_000) == b"-0.500000000"
    assert bodyfile.seconds(-2, 0) == b"-2.000000000"
    assert bodyfile.seconds(3, 7) == b"3.000000007"


def test_outcomes_of_the_parts(evidence: Evidence) -> None:
    evidence.write("/etc/x/y")
    (evidence.root / "etc/x").chmod(0)
    try:
        attempt = next(iter(filesystem.collect(evidence.context())))
        _, failure = whole(attempt)
    finally:
        (evidence.root / "etc/x").chmod(0o755)
    if os.geteuid() == 0:
        assert failure is None
    else:
        assert failure is not None
        assert failure.outcome is Outcome.TRUNCATED


def test_the_window_says_what_changed_of_late(evidence: Evidence) -> None:
    evidence.write("/etc/now")
    now, hour = time.time_ns(), 3600 * 10**9
    windows = [
        None, Window(since=now - hour), Window(since=now + hour),
        Window(since=now - 2 * hour, until=now - hour), Window(until=now + hour),
    ]  # fmt: skip
    met = []
    for window in windows:
        context = evidence.context()
        context.window = window
        _, special, record = (whole(attempt)[0] for attempt in filesystem.collect(context))
        lines = [json.loads(line) for line in special.splitlines()]
        met.append(
            any("changed_recently" in one["why"] for one in lines if one["path"] == "/etc/now")
        )
        assert json.loads(record)["window"] == (window.as_json() if window else None)
    assert met == [True, True, False, False, True]
