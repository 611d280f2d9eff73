from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_agent.items import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Evidence = Any


def test_a_small_file_comes_back_byte_for_byte_with_its_stat(evidence: Evidence) -> None:
    place = evidence.write("/var/log/a.log", b"one\ntwo\n", 0o640)
    [(attempt, data, failure)] = evidence.read(b"/var/log/a.log")
    assert (data, failure, attempt.kind, attempt.method) == (b"one\ntwo\n", None, "file", "read")
    known = place.stat()
    assert attempt.stat.mode == known.st_mode
    assert attempt.stat.mtime == known.st_mtime_ns
    assert attempt.stat.dev == known.st_dev
    assert attempt.stat.ino == known.st_ino
    assert attempt.stat.size == 8
    assert attempt.started[0] <= time.time_ns()


def test_the_birth_time_is_recorded_where_the_file_system_has_one(evidence: Evidence) -> None:
    before = time.time_ns() - 2 * 10**9
    evidence.write("/a")
    [(attempt, _, _)] = evidence.read(b"/a")
    assert attempt.stat.btime is None or before < attempt.stat.btime < time.time_ns() + 10**9


def test_a_large_file_comes_in_pieces_and_whole(evidence: Evidence) -> None:
    content = os.urandom(1 << 20) * 5 + b"end"
    evidence.write("/big", content)
    [(attempt, data, failure)] = evidence.read(b"/big")
    assert failure is None
    assert data == content
    assert attempt.after() == attempt.stat


def test_every_request_gives_one_attempt_in_order(evidence: Evidence) -> None:
    wanted = []
    for number in range(500):
        path = f"/d{number % 7}/f{number}"
        if number % 5:
            evidence.write(path, b"%d" % number * (number % 3))
        wanted.append(path.encode())
    found = evidence.read(*wanted)
    assert [attempt.source for attempt, _, _ in found] == wanted
    for number, (attempt, data, _) in enumerate(found):
        if number % 5 == 0:
            assert attempt.outcome is Outcome.MISSING
            assert attempt.reason
        elif number % 3 == 0:
            assert attempt.outcome is Outcome.EMPTY
        else:
            assert data == b"%d" % number * (number % 3)


def test_names_of_any_bytes_are_read(evidence: Evidence) -> None:
    names = [
        b"/n\nl",
        b"/trailing ",
        b"/\xff\xfe",
        b"/-dash",
        b"/\x1b[31m",
        b"/a (deleted)",
        b"/" + b"x" * 255,
    ]
    for name in names:
        evidence.write(name, name)
    assert [data for _, data, _ in evidence.read(*names)] == names


def test_what_an_attempt_leaves_unread_does_not_disturb_the_next(evidence: Evidence) -> None:
    from hozen_agent.context import FileRequest
    from hozen_agent.reading.reader import FileReader

    evidence.write("/big", bytes(5 << 20))
    evidence.write("/small", b"s")
    requests = [FileRequest(artifact="t", path=path) for path in (b"/big", b"/small")]
    attempts = FileReader(evidence.pool)(iter(requests))
    first = next(attempts)
    assert next(iter(first.data or ()))
    assert list(next(attempts).data or ()) == [b"s"]


def test_a_fifo_is_recorded_and_its_writer_stays_blocked(evidence: Evidence) -> None:
    os.mkfifo(evidence.root / "fifo")
    released = threading.Event()

    def writer() -> None:
        with open(evidence.root / "fifo", "wb"):  # blocks until somebody reads
            released.set()

    thread = threading.Thread(target=writer, daemon=True)
    # the pool's helper was forked before this thread
    evidence.read(b"/nothing")
    thread.start()
    time.sleep(0.1)
    [(attempt, _, _)] = evidence.read(b"/fifo")
    assert (attempt.outcome, attempt.kind) == (Outcome.FAILED, "metadata")
    assert attempt.reason == "not a regular file: fifo"
    assert not released.is_set()
    os.close(os.open(evidence.root / "fifo", os.O_RDONLY | os.O_NONBLOCK))
    thread.join(2)


def test_a_socket_and_a_device_are_never_opened(evidence: Evidence) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        where = os.open(evidence.root, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{where}/s")
        os.close(where)
        paths = [b"/s"]
        if os.geteuid() == 0:
            os.mknod(evidence.root / "null", 0o20666, os.makedev(1, 3))
            paths.append(b"/null")
        found = evidence.read(*paths)
    assert [a.reason for a, _, _ in found] == [
        "not a regular file: socket", "not a regular file: character device"
    ][: len(paths)]  # fmt: skip


def test_a_symbolic_link_is_its_target_not_the_file_behind_it(evidence: Evidence) -> None:
    evidence.write("/secret", b"behind")
    (evidence.root / "link").symlink_to("../\udcff/secret")
    [(attempt, data, _)] = evidence.read(b"/link")
    assert (attempt.kind, attempt.link_target, data) == (
        "link",
        b"../\xff/secret",
        b"../\xff/secret",
    )


def test_a_linked_directory_on_the_way_is_followed_within_the_root(evidence: Evidence) -> None:
    evidence.write("/run/log/x", b"in the root")
    (evidence.root / "var").mkdir()
    (evidence.root / "var/run").symlink_to("/run")
    (evidence.root / "up").symlink_to("../../../../../../run")
    found = evidence.read(b"/var/run/log/x", b"/up/log/x")
    assert [data for _, data, _ in found] == [b"in the root"] * 2


def test_a_circle_of_links_fails_and_does_not_hang(evidence: Evidence) -> None:
    (evidence.root / "a").symlink_to("b")
    (evidence.root / "b").symlink_to("a")
    [(attempt, _, _)] = evidence.read(b"/a/file")
    assert attempt.outcome is Outcome.FAILED
    assert "symbolic links" in attempt.reason


def test_a_directory_gives_its_names(evidence: Evidence) -> None:
    evidence.write("/d/one")
    evidence.write("/d/two\n")
    [(attempt, data, _)] = evidence.read(b"/d")
    assert (attempt.kind, data) == ("directory", b"one\0two\n\0")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_mode_0_is_denied(evidence: Evidence) -> None:
    evidence.write("/shut", mode=0)
    [(attempt, _, _)] = evidence.read(b"/shut")
    assert attempt.outcome is Outcome.DENIED


def test_paths_that_are_none_are_refused_in_their_place(evidence: Evidence) -> None:
    evidence.write("/a", b"a")
    found = evidence.read(b"relative", b"/a", b"/" + b"x" * 5000, b"/a\0b", b"/" + b"y" * 300)
    assert [a.outcome for a, _, _ in found] == [
        Outcome.FAILED, None, Outcome.FAILED, Outcome.FAILED, Outcome.FAILED
    ]  # fmt: skip


def test_a_limit_keeps_the_beginning_or_the_end_and_names_the_rest(evidence: Evidence) -> None:
    content = bytes(range(256)) * 4096
    evidence.write("/log", content)
    [(_, first, why)] = evidence.read(b"/log", max_bytes=300_000)
    assert first == content[:300_000]
    assert (why.outcome, why.reason) == (
        Outcome.TRUNCATED, "bytes 300000 to 1048576 of 1048576 are left out by the limit"
    )  # fmt: skip
    [(_, last, why)] = evidence.read(b"/log", max_bytes=300_000, newest=True)
    assert last == content[-300_000:]
    assert why.reason == "bytes 0 to 748576 of 1048576 are left out by the limit"


def test_a_limit_below_a_small_file_cuts_it_too(evidence: Evidence) -> None:
    evidence.write("/small", b"0123456789")
    [(_, data, why)] = evidence.read(b"/small", max_bytes=4, newest=True)
    assert (data, why.outcome) == (b"6789", Outcome.TRUNCATED)


def test_a_growing_file_ends_at_the_size_it_had_and_is_marked_changed(evidence: Evidence) -> None:
    from hozen_agent.context import FileRequest
    from hozen_agent.reading.reader import FileReader

    place = evidence.write("/log", bytes(8 << 20))
    attempts = FileReader(evidence.pool)([FileRequest(artifact="t", path=b"/log")])
    attempt = next(attempts)
    size = 0
    for piece in attempt.data or ():
        size += len(piece)
        with place.open("ab") as file:
            file.write(b"more\n")
    assert size == 8 << 20
    assert attempt.after is not None
    assert attempt.stat is not None
    later = attempt.after()
    assert later is not None
    assert "size" in attempt.stat.changes(later)


def test_a_file_that_becomes_shorter_is_truncated_with_the_byte_where(evidence: Evidence) -> None:
    from hozen_agent.context import FileRequest
    from hozen_agent.items import AttemptFailed
    from hozen_agent.reading.reader import FileReader

    place = evidence.write("/log", bytes(12 << 20))
    attempts = FileReader(evidence.pool)([FileRequest(artifact="t", path=b"/log")])
    attempt = next(attempts)
    pieces = iter(attempt.data or ())
    size = len(next(pieces))
    os.truncate(place, 6 << 20)
    failure = None
    try:
        for piece in pieces:
            size += len(piece)
    except AttemptFailed as failed:
        failure = failed
    assert failure is not None
    assert failure.outcome is Outcome.TRUNCATED
    assert size == 6 << 20
    assert f"byte {6 << 20} of {12 << 20}" in failure.reason


def test_a_vanished_file_is_missing(evidence: Evidence) -> None:
    evidence.write("/gone").unlink()
    [(attempt, _, _)] = evidence.read(b"/gone")
    assert attempt.outcome is Outcome.MISSING


@pytest.mark.parametrize(
    "head",
    [
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nMIIsecret",
        b"\n\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIsecret",
        b"-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nsecret",
        b"Bag Attributes\n  friendlyName: x\n-----BEGIN PRIVATE KEY-----\nsecret",
        b"# created: 2026\n# public key: age1\nAGE-SECRET-KEY-1secret",
        b"PuTTY-User-Key-File-3: ssh-ed25519\nsecret",
        b"\xfe\xed\xfe\xed secret",
        b"\x03\xd9\xa2\x9a secret",
    ],
)
@pytest.mark.parametrize("size", [0, 200_000])
def test_a_key_is_withheld_by_its_content_wherever_it_lies(
    evidence: Evidence, head: bytes, size: int
) -> None:
    evidence.write("/var/log/innocent.log", head + b"s" * size)
    evidence.write("/var/log/next.log", b"next")
    (attempt, data, _), (_, following, _) = evidence.read(
        b"/var/log/innocent.log", b"/var/log/next.log"
    )
    assert (attempt.outcome, attempt.kind, data) == (Outcome.CAPTURED, "metadata", b"")
    assert attempt.withheld in {"private_key", "wallet"}
    assert attempt.stat is not None
    assert attempt.reason
    assert following == b"next"
    for lane in evidence.pool._idle:
        assert b"secret" not in bytes(lane.shared.view)


def test_a_log_that_quotes_a_key_is_kept_byte_for_byte(evidence: Evidence) -> None:
    text = b"Nov 23 sshd: got\n-----BEGIN RSA PRIVATE KEY-----\nabc\n"
    evidence.write("/var/log/auth.log", text)
    [(_, data, _)] = evidence.read(b"/var/log/auth.log")
    assert data == text


def test_names_of_secrets_are_never_opened(evidence: Evidence) -> None:
    names = [b"/etc/shadow", b"/root/.ssh/id_rsa", b"/home/u/.aws/credentials", b"/etc/krb5.keytab"]
    for name in names:
        place = evidence.write(name, b"TOP")
        os.utime(place, ns=(0, 0))
    found = evidence.read(*names)
    assert [a.withheld for a, _, _ in found] == ["password_hash", "private_key", "token", "keytab"]
    assert all(data == b"" and a.stat.size == 3 for a, data, _ in found)
    assert all(os.stat(str(evidence.root) + n.decode()).st_atime_ns == 0 for n in names)


def test_shadow_gives_the_age_of_passwords_and_no_hash(evidence: Evidence) -> None:
    from hozen_agent.redaction import withheld

    evidence.write(
        "/etc/shadow",
        b"root:$6$salt$hash:19000:0:99999:7:::\nu:!$y$j9T$x:1:::::\nd:*:2::::::\ne::3::::::\n",
    )
    [(attempt, data, _)] = evidence.read(b"/etc/shadow", withheld=withheld.AGING)
    assert (
        data
        == b"root:[set]:19000:0:99999:7:::\nu:[locked]:1:::::\nd:[none]:2::::::\ne:[empty]:3::::::\n"
    )
    assert (attempt.kind, attempt.method, attempt.withheld) == (
        "record",
        "derived",
        "password_hash",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="O_NOATIME on own files only")
def test_reading_changes_no_access_time(evidence: Evidence) -> None:
    old = 10**18
    places = [evidence.write("/d/a", b"a"), evidence.write("/d/big", bytes(3 << 20))]
    sparse = evidence.write("/d/sparse", b"x")
    os.truncate(sparse, 1 << 30)
    places += [sparse, evidence.root / "d"]
    for place in places:
        os.utime(place, ns=(old, old))
    assert len(evidence.read(*evidence.find(b"/**"))) == 3
    evidence.read(b"/d")
    assert [place.stat().st_atime_ns for place in places] == [old] * 4


def test_a_worker_that_dies_costs_one_item(evidence: Evidence) -> None:
    import signal

    from hozen_agent.context import FileRequest
    from hozen_agent.items import AttemptFailed
    from hozen_agent.reading.reader import FileReader

    evidence.write("/big", bytes(64 << 20))
    evidence.write("/after", b"still read")
    requests = [FileRequest(artifact="t", path=path) for path in (b"/big", b"/after")]
    outcomes: list[Outcome | None] = []
    for attempt in FileReader(evidence.pool)(requests):
        try:
            for _ in attempt.data or ():
                if attempt.source == b"/big":
                    os.kill(_lanes(evidence)[0], signal.SIGKILL)
            outcomes.append(None)
        except AttemptFailed as failure:
            outcomes.append(failure.outcome)
    assert outcomes == [Outcome.FAILED, None]
    assert len(evidence.pool.abandoned) == 1


def _lanes(evidence: Evidence) -> list[int]:
    helper = evidence.pool._helper
    return [int(pid) for pid in Path(f"/proc/{helper}/task/{helper}/children").read_text().split()]


def test_a_stopped_worker_is_given_up_after_the_silence_and_the_rest_is_read(
    evidence: Evidence,
) -> None:
    import signal

    from hozen_agent.context import FileRequest
    from hozen_agent.items import AttemptFailed
    from hozen_agent.reading.reader import FileReader

    evidence.write("/big", bytes(64 << 20))
    paths = [b"/big"] + [b"/f%d" % n for n in range(200)]
    for path in paths[1:]:
        evidence.write(path, path)
    begun = time.monotonic()
    seen = []
    for attempt in FileReader(evidence.pool)([FileRequest(artifact="t", path=p) for p in paths]):
        size = 0
        try:
            for piece in attempt.data or ():
                size += len(piece)
                if attempt.source == b"/big":
                    os.kill(_lanes(evidence)[0], signal.SIGSTOP)
        except AttemptFailed as failed:
            assert failed.outcome is Outcome.TIMED_OUT
            assert 0 < size < 64 << 20
        seen.append(attempt.source)
    assert seen == paths
    assert 1.4 < time.monotonic() - begun < 8
    assert any("abandoned" in note for note in evidence.notes)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    contents=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.integers(0, 5).map(lambda n: b"ab" * (32767 + n)),
            st.integers(0, 3).map(lambda n: bytes((1 << 20) + n)),
        ),
        max_size=12,
    )
)
def test_any_mixture_of_sizes_comes_back_unchanged(
    evidence: Evidence, contents: list[bytes]
) -> None:
    paths = [b"/m%d" % n for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        evidence.write(path, content)
    found = evidence.read(*paths)
    for (attempt, data, failure), content in zip(found, contents, strict=True):
        if not attempt.withheld and not attempt.holes:
            assert (data, failure) == (content, None)


@pytest.mark.root
def test_an_unprivileged_reader_says_what_it_was_denied(isolated: Callable[..., str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    out = isolated(
        """
os.chmod(".", 0o755); os.makedirs("h/shut"); os.makedirs("h/open")
for name, mode in (("h/open/mine", 0o644), ("h/open/foreign", 0o644), ("h/open/none", 0), ("h/shut/x", 0o644)):
    os.close(os.open(name, os.O_CREAT)); os.truncate(name, 1); os.chmod(name, mode)
os.chown("h/open/mine", 65534, 65534); os.chmod("h/shut", 0o700)
os.chmod("..", 0o755)
root = os.open("h", os.O_PATH | os.O_DIRECTORY)
from hozen_agent.reading import view
from hozen_agent.workers import serve
from hozen_agent.workers.pool import ReaderPool
from hozen_agent.reading.reader import FileReader
from hozen_agent.filetree.finder import Finder
from hozen_agent.context import FileRequest
os.setgroups([]); os.setgid(65534); os.setuid(65534)
seen = view.prepare()
notes = []
pool = ReaderPool.start(root=root, proc=seen.proc, note=notes.append)
for a in FileReader(pool)(FileRequest(artifact="t", path=p) for p in Finder(pool)([b"/**"])):
    print(a.source.decode(), a.outcome, b"".join(a.data or ()).decode("latin-1"))
pool.stop()
print(seen.private, *seen.notes, *notes, sep="\\n")
"""
    )
    assert "/open/mine None \0\n" in out
    assert "/open/foreign None \0\n" in out
    assert "/open/none denied" in out
    assert "/shut denied" in out
    assert "no private view" in out
    assert "1 files of others were read without O_NOATIME" in out


def test_the_session_ticks_while_a_worker_is_waited_for(evidence: Evidence) -> None:
    import signal

    ticks: list[float] = []
    evidence.pool.tick = lambda: ticks.append(time.monotonic())
    evidence.write("/a", b"a")
    evidence.read(b"/a")
    os.kill(_lanes(evidence)[0], signal.SIGSTOP)
    [(attempt, _, _)] = evidence.read(b"/a")
    assert attempt.outcome is Outcome.TIMED_OUT
    assert len(ticks) >= 2
