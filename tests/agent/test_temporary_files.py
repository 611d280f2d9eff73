"""Files that everybody may leave: their content, the newest first, and what is never read."""

from __future__ import annotations

import json
import os
import socket
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hozen_agent.artifacts import temporary_files
from hozen_agent.items import Outcome
from hozen_agent.reading import leftout, newestjob
from hozen_agent.reading.files import whole
from hozen_agent.reading.selection import Selection
from hozen_hashes.names import percent_decode

Evidence = Any
_LIST = b"temporary_files:left_out"


def _taken(evidence: Evidence, context: Any = None) -> dict[bytes, Any]:
    return {
        attempt.source: (attempt, whole(attempt)[0])
        for attempt in temporary_files.collect(context or evidence.context())
    }


def test_content_is_taken_newest_first(evidence: Evidence) -> None:
    for age, path in enumerate(
        ("/tmp/new", "/dev/shm/.x/tool", "/var/tmp/old", "/run/user/1000/a/b")
    ):
        place = evidence.write(path, path.encode())
        os.utime(place, (0, 1_700_000_000 - age))
    evidence.write("/run/other", b"not asked for")
    found = _taken(evidence)
    assert list(found) == [b"/tmp/new", b"/dev/shm/.x/tool", b"/var/tmp/old", b"/run/user/1000/a/b"]
    assert all(data == path for path, (_, data) in found.items())


def test_tickets_keys_and_sockets_are_told_without_content(evidence: Evidence) -> None:
    secrets = [
        "/tmp/krb5cc_1000", "/run/user/1000/gdm/Xauthority", "/run/user/1000/gnupg/private-keys-v1.d/x",
        "/tmp/id_ed25519", "/run/user/1000/containers/auth.json", "/tmp/krb5cc_dir/tkt1",
    ]  # fmt: skip
    for path in secrets:
        evidence.write(path, b"SECRET-47190263")
    evidence.write("/tmp/renamed.txt", b"-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET-47190263\n")
    (evidence.root / "tmp/ssh-abc").mkdir()
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(os.fsencode(evidence.root / "tmp/ssh-abc/agent.1"))
        os.mkfifo(evidence.root / "tmp/fifo")
        found = _taken(evidence)
    for path in (*secrets, "/tmp/renamed.txt", "/tmp/ssh-abc/agent.1"):
        attempt, data = found[path.encode()]
        assert b"47190263" not in data
        assert attempt.stat is not None
        assert attempt.withheld or attempt.outcome is Outcome.FAILED, path
    assert "fifo" in found[b"/tmp/fifo"][0].reason


def test_a_sparse_file_of_a_terabyte_is_a_few_kilobytes(evidence: Evidence) -> None:
    place = evidence.write("/tmp/huge", b"begin")
    os.truncate(place, 1 << 40)
    attempt, data = _taken(evidence)[b"/tmp/huge"]
    assert attempt.logical_size == 1 << 40
    assert len(data) < 64 << 10


def test_a_long_file_leaves_room_for_others(evidence: Evidence) -> None:
    evidence.write("/tmp/long", b"x" * 5000)
    evidence.write("/tmp/short", b"y")
    context = evidence.context()
    context.room = lambda _artifact: 1000
    found = _taken(evidence, context)
    assert len(found[b"/tmp/long"][1]) == 1000
    assert found[b"/tmp/short"][1] == b"y"


def _capture(context: Any, family: int) -> tuple[list[Any], dict[bytes, Any], list[dict[str, str]]]:
    """Take files until `family` bytes are stored, as the guard counts them; return content, others and the list."""
    others: dict[bytes, Any] = {}
    taken, listed = [], []
    stored = 0
    context.room = lambda _artifact: max(0, family - stored)
    context.files = Selection(context.files, room=context.room)
    for attempt in temporary_files.collect(context):
        data, failure = whole(attempt)
        if attempt.source == _LIST and attempt.data is not None:
            listed = [json.loads(line) for line in data.splitlines()]
            others[b"list"] = (attempt, failure)
        elif data:
            stored += len(data)
            taken.append((attempt, data))
        else:
            others[attempt.source] = attempt
    return taken, others, listed


def test_what_a_spent_limit_leaves_out_is_one_list_and_one_line(evidence: Evidence) -> None:
    for number in range(400):
        place = evidence.write(f'/tmp/d/f{number:03}"\\', b"x" * 100)
        os.utime(place, ns=(0, 10**18 - number))
    taken, others, listed = _capture(evidence.context(), 10_000)
    assert len(taken) == 100
    assert all(attempt.outcome is None for attempt, _ in taken)
    assert set(others) == {b"list", _LIST}
    assert others[b"list"][1] is None
    assert len(listed) == 300
    names = [f'/tmp/d/f{number:03}"\\'.encode() for number in range(400)]
    assert [attempt.source for attempt, _ in taken] == names[:100]
    assert [percent_decode(one["path"]) for one in listed] == names[100:], "the newest first"
    assert {(one["size"], one["mtime"]) for one in listed[:1]} == {("100", str(10**18 - 100))}
    said = others[_LIST]
    assert said.outcome is Outcome.FAILED
    assert said.reason.startswith("300 files of 30000 bytes were left out: the size limit")


def test_beyond_a_number_of_files_the_oldest_are_listed(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary_files, "MOST", 50)
    for number in range(60):
        os.utime(evidence.write(f"/tmp/f{number:03}"), ns=(0, 10**18 + number))
    taken, others, listed = _capture(evidence.context(), 1 << 20)
    assert [attempt.source for attempt, _ in taken] == [b"/tmp/f%03d" % n for n in range(59, 9, -1)]
    assert [one["path"] for one in listed] == [f"/tmp/f{n:03}" for n in range(9, -1, -1)]
    assert "more than 50 files" in others[_LIST].reason


def test_a_list_that_a_bound_cuts_says_so(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary_files, "MOST", 10)
    monkeypatch.setattr(leftout, "MOST_LISTED", 1000)
    for number in range(200):
        evidence.write(f"/tmp/f{number:03}")
    _, others, listed = _capture(evidence.context(), 10)
    attempt, failure = others[b"list"]
    assert attempt.room is not None, "what a spent limit leaves out is listed all the same"
    assert failure.outcome is Outcome.TRUNCATED
    assert len(listed) < 50
    assert others[_LIST].reason.startswith("195 files of 390 bytes were left out")
    assert failure.reason.startswith(f"{195 - len(listed)} of 195 files")


def test_memory_does_not_grow_with_the_number_of_files(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary_files, "MOST", 10)
    monkeypatch.setattr(newestjob, "SLACK", 10)
    peaks = []
    for number in (500, 6000):
        for name in range(number):
            evidence.write(f"/tmp/many/{name}", b"")
        tracemalloc.start()
        count = 0
        for attempt in temporary_files.collect(evidence.context()):
            for piece in attempt.data or ():
                count += bytes(piece).count(b"\n") if attempt.source == _LIST else 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == number - 10
    assert peaks[1] < peaks[0] + (1 << 20), peaks


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name),
            st.integers(-(1 << 70), 1 << 70),
            st.integers(-1, (1 << 63) - 1),
        ),
        max_size=60,
    ),
    st.integers(1, 20),
)
@example([(b"a", 0, -1), (b"a", (1 << 63) - 1, 0)], 1)  # the latest time is not before no time
def test_the_newest_of_any_names_are_kept_in_order(
    found: list[tuple[bytes, int, int]], most: int
) -> None:
    told: dict[int, bytes] = {newestjob.NEWEST: b"", newestjob.OLDER: b""}

    class Out:
        def block(self, stream: int, data: bytes) -> None:
            told[stream] += data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newestjob, "SLACK", 3)
        newest = newestjob.Newest(Out(), most)  # type: ignore[arg-type]
        for entry in found:
            newest.add(*entry)
        newest.end()
    last = (1 << 63) - 1
    clear = [(path, 0 if size < 0 else max(-last, min(mtime, last)), size) for path, mtime, size in found]  # fmt: skip
    wanted = sorted(clear, key=lambda e: (e[2] >= 0, -e[1], max(e[2], 0), e[0]))
    kept = [entry.split(b" ", 2) for entry in told[newestjob.NEWEST].split(b"\0")[:-1]]
    assert [(path, int(mtime), int(size)) for mtime, size, path in kept] == wanted[:most]
    lines = [json.loads(line) for line in told[newestjob.OLDER].splitlines()]
    assert sorted(percent_decode(one["path"]) for one in lines) == sorted(e[0] for e in wanted[most:])  # fmt: skip
    assert newest.older == len(lines) == max(0, len(found) - most)


def test_the_bundle_that_is_written_there_is_not_in_itself(evidence: Evidence) -> None:
    name = "hz-20261124T000000Z-host-01234567"
    ours = (f"{name}.zip.partial", f"{name}.journal/000001.jsonl", f"{name}.zip.partial.002")
    theirs = ("other.txt", "hz-20261123T000000Z-host-76543210.zip", f"sub/{name}.zip.partial")
    for path in (*ours, *theirs):
        evidence.write(f"/tmp/out/{path}", path.encode())
    (evidence.root / "var/tmp").parent.mkdir()
    (evidence.root / "var/tmp").symlink_to("/tmp")
    place = (evidence.root / "tmp/out").stat()
    context = evidence.context()
    context.output = (place.st_dev, place.st_ino, name)
    found = _taken(evidence, context)
    assert {p for p, (_, data) in found.items() if data} == {
        *(f"/tmp/out/{path}".encode() for path in theirs), b"/var/tmp",
    }  # fmt: skip
    for path in (f"{name}.zip.partial", f"{name}.journal", f"{name}.zip.partial.002"):
        attempt, _ = found[f"/tmp/out/{path}".encode()]
        assert (attempt.outcome, attempt.withheld) == (Outcome.CAPTURED, "own_output")
        assert "this bundle" in attempt.reason
