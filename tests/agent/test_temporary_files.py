"""Files that everybody may leave: their content, the newest first, and what is never read."""

from __future__ import annotations

import os
import socket
from typing import Any

from hozen_agent.artifacts import temporary_files
from hozen_agent.files import whole
from hozen_agent.items import Outcome

Evidence = Any


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


def test_what_we_have_open_ourselves_is_passed_over(tmp_path: Any) -> None:
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    place = tmp_path / "own"
    with place.open("wb"):
        assert os.fsencode(place) in temporary_files._open_files(proc)
    os.close(proc)
