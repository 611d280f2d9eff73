"""Programs against package databases, on planted hosts with databases of real form."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import Any

import pytest

from hozen_agent.artifacts import executables
from hozen_agent.items import Outcome
from hozen_agent.reading.files import whole
from hozen_agent.reading.window import Window
from hozen_hashes.names import percent_decode

Evidence = Any
SAME, OTHER = b"#!/bin/sh\necho same\n", b"#!/bin/sh\necho other\n"
_STATUS = """Package: good
Status: install ok installed
Version: 1.0-1
Architecture: amd64
Conffiles:
 /etc/init.d/good {conf}

Package: diverter
Status: install ok installed
Version: 2
Architecture: all

"""


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def _dpkg(evidence: Evidence) -> None:
    evidence.write("/var/lib/dpkg/status", _STATUS.format(conf=_md5(SAME)).encode())
    sums = {
        "usr/bin/same": SAME, "bin/merged": SAME, "usr/bin/changed": SAME, "usr/sbin/gone": SAME,
        "usr/bin/diverted": SAME, "usr/share/doc/x": SAME, "usr/lib/x86_64-linux-gnu/libgood.so.1": SAME,
    }  # fmt: skip
    text = "".join(f"{_md5(data)}  {path}\n" for path, data in sums.items())
    evidence.write("/var/lib/dpkg/info/good:amd64.md5sums", text.encode() + b"garbage\n")
    evidence.write("/var/lib/dpkg/info/good:amd64.list", b"/.\n/usr\n/usr/bin/nodigest\n/usr/bin/same\n")  # fmt: skip
    evidence.write("/var/lib/dpkg/info/diverter.md5sums", f"{_md5(OTHER)}  usr/bin/diverted\n".encode())  # fmt: skip
    evidence.write("/var/lib/dpkg/diversions", b"/usr/bin/diverted\n/usr/bin/diverted.distrib\ndiverter\n")  # fmt: skip


def _plant(evidence: Evidence) -> None:
    _dpkg(evidence)
    (evidence.root / "usr/bin").mkdir(parents=True)
    (evidence.root / "bin").symlink_to("usr/bin")
    for path, data in {
        "/usr/bin/same": SAME, "/usr/bin/merged": SAME, "/usr/bin/changed": OTHER, "/usr/bin/nodigest": SAME,
        "/usr/bin/foreign": OTHER, "/usr/bin/diverted": OTHER, "/usr/bin/diverted.distrib": SAME,
        "/etc/init.d/good": OTHER, "/usr/lib/x86_64-linux-gnu/libgood.so.1": SAME,
    }.items():  # fmt: skip
        evidence.write(path, data, mode=0o755)
    evidence.write("/usr/lib/libevil.so", b"\x7fELF evil", mode=0o644)
    evidence.write("/usr/share/readme", mode=0o644)


def _taken(evidence: Evidence, *, everything: bool = False, room: int | None = None) -> Any:
    context = evidence.context()
    if room is not None:
        context.room = lambda _artifact: room
    collect = executables.collect_all if everything else executables.collect
    attempts = collect(context)
    data, failure = whole(next(attempts))
    found = {percent_decode(line["path"]): line for line in map(json.loads, data.splitlines())}
    return found, json.loads(whole(next(attempts))[0]), failure


def test_programs_are_compared_with_what_dpkg_says(evidence: Evidence) -> None:
    _plant(evidence)
    found, summary, failure = _taken(evidence)
    results = {path: line["result"] for path, line in found.items()}
    assert failure is None
    assert results == {
        b"/usr/bin/same": "same", b"/usr/bin/merged": "same", b"/usr/bin/changed": "differs",
        b"/usr/bin/nodigest": "no_digest", b"/usr/bin/foreign": "no_package", b"/usr/bin/diverted": "same",
        b"/usr/bin/diverted.distrib": "same", b"/etc/init.d/good": "differs", b"/usr/lib/libevil.so": "no_package",
        b"/usr/sbin/gone": "missing", b"/usr/lib/x86_64-linux-gnu/libgood.so.1": "same",
    }  # fmt: skip
    changed = found[b"/usr/bin/changed"]
    assert changed["sha256"] == hashlib.sha256(OTHER).hexdigest()
    assert (changed["expected"], changed["found"]) == (_md5(SAME), _md5(OTHER))
    assert changed["algorithm"] == "md5"
    assert changed["package"] == "good"
    assert found[b"/etc/init.d/good"]["config"] is True
    assert summary["packages"] == 2
    assert [d["state"] for d in summary["databases"]] == ["read"]


def test_the_most_telling_are_read_first_when_bytes_are_short(evidence: Evidence) -> None:
    _plant(evidence)
    evidence.write("/usr/bin/root-me", SAME, mode=0o4755)
    found, summary, failure = _taken(evidence, room=3 * len(OTHER))
    read = [path for path, line in found.items() if line.get("sha256")]
    assert read[0] == b"/usr/bin/root-me"
    assert {b"/usr/bin/foreign", b"/usr/lib/libevil.so"} & set(read)
    left = [line for line in found.values() if line["result"] == "not_read"]
    assert left
    assert all("used up" in line["reason"] for line in left)
    assert failure.outcome is Outcome.TRUNCATED
    assert summary["results"]["not_read"] == len(left)


def test_an_alpine_host_is_compared_by_its_own_digests(evidence: Evidence) -> None:
    q1 = base64.b64encode(hashlib.sha1(SAME).digest()).decode()
    text = f"P:busybox\nV:1.36-r0\nA:x86_64\nF:bin\nM:0:0:755\nR:busybox\na:0:0:755\nZ:Q1{q1}\nR:other\nZ:Q1{q1}\n\n"
    evidence.write("/lib/apk/db/installed", text.encode())
    evidence.write("/bin/busybox", SAME, mode=0o755)
    evidence.write("/bin/other", OTHER, mode=0o755)
    found, summary, _ = _taken(evidence)
    assert found[b"/bin/busybox"]["result"] == "same"
    assert found[b"/bin/busybox"]["algorithm"] == "sha1"
    assert found[b"/bin/other"]["result"] == "differs"
    assert summary["packages"] == 1


def test_an_older_rpm_database_is_named_and_not_guessed_at(evidence: Evidence) -> None:
    evidence.write("/var/lib/rpm/Packages", b"\0" * 64)
    evidence.write("/var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0" + bytes(200))
    evidence.write("/usr/bin/x", SAME, mode=0o755)
    found, summary, _ = _taken(evidence)
    states = {d["database"]: d["state"] for d in summary["databases"]}
    assert states == {"/var/lib/rpm/rpmdb.sqlite": "damaged", "/var/lib/rpm/Packages": "not_supported"}  # fmt: skip
    assert found[b"/usr/bin/x"]["result"] == "no_package"


def test_packaged_files_elsewhere_are_left_to_the_full_check(evidence: Evidence) -> None:
    _plant(evidence)
    far = evidence.root / "usr/lib/x86_64-linux-gnu/libgood.so.1"
    now = time.time_ns()
    if os.geteuid() == 0 and now:  # its ctime is now, so that it counts as changed of late
        found, _, _ = _taken(evidence, everything=True)
        assert os.fsencode("/" + str(far.relative_to(evidence.root))) in found


def test_both_families_say_what_they_do_not_show() -> None:
    from hozen_agent.artifacts.registry import CATALOGUE

    for name in ("executables", "executables_all"):
        assert "does not show" in CATALOGUE[name].en
        assert "示しません" in CATALOGUE[name].ja


@pytest.mark.parametrize("everything", [False, True])
def test_the_plan_reads_nothing(evidence: Evidence, *, everything: bool) -> None:
    context = evidence.context()
    context.files = lambda _requests: iter(())
    collect = executables.collect_all if everything else executables.collect
    assert list(collect(context)) == []


def test_the_window_says_what_changed_of_late(evidence: Evidence) -> None:
    library, moment = b"/usr/lib/x86_64-linux-gnu/libgood.so.1", time.time_ns()
    _plant(evidence)
    met = []
    for window in (None, Window(since=moment - 10**12), Window(since=moment + 10**13)):
        context = evidence.context()
        context.window = window
        data, _ = whole(next(executables.collect(context)))
        met.append(
            library in {percent_decode(json.loads(line)["path"]) for line in data.splitlines()}
        )
    assert met == [True, True, False]
