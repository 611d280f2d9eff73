"""Every way in which an attempt can end, written through the real writer and read back."""

from __future__ import annotations

import errno
import io
import json
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.items import Attempt, AttemptFailed, FileStat, Outcome
from hozen_agent.recorder import Recorder, outcome_of
from hozen_hashes.errors import CannotWriteError, InternalError
from hozen_hashes.identity import new_one_capture
from hozen_hashes.writer import BundleWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.journal import Segment

BUNDLE = "hz-20261123T050000Z-web01-5f3a9c10"
SIGNER = new_one_capture("test")


class Memory:
    def __init__(self) -> None:
        self.container = io.BytesIO()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.container.write(data)

    def sync(self) -> None:
        pass

    def put(self, segment: Segment, files: bytes) -> None:
        pass

    def put_start(self, segment: Segment, start_p7s: bytes) -> None:
        pass


def now() -> tuple[int, int]:
    return 1_795_410_533_779_792_931, 77


def recorded(*attempts: Attempt, **options: Any) -> list[tuple[dict[str, Any], bytes | None]]:
    """Record the attempts in one bundle; return each line of `files` with the payload's bytes."""
    memory = Memory()
    writer = BundleWriter(BUNDLE, sink=memory, sidecar=memory, now=now)
    when = datetime(2026, 11, 23, tzinfo=UTC)
    writer.begin({"type": "start"}, readme=b"", plan=b"{}\n", signer=SIGNER, signing_time=when)
    recorder = Recorder(writer, now=now, **options)
    for attempt in attempts:
        recorder.record(attempt)
    writer.finish(
        reason="complete",
        detail="",
        bundle_json=lambda _: {},
        bag_info={},
        signer=SIGNER,
        signing_time=when,
    )
    with zipfile.ZipFile(memory.container) as archive:
        lines = [
            json.loads(line)
            for name in archive.namelist()
            if "/hozen/files/" in name
            for line in archive.read(name).splitlines()
        ]
        return [
            (line, archive.read(f"{BUNDLE}/{line['path']}") if line["path"] else None)
            for line in lines
        ]


def _stat(size: int) -> FileStat:
    return FileStat(
        mode=0o100644, uid=0, gid=0, dev=1, ino=2, nlink=1, size=size, atime=1, mtime=1, ctime=1
    )


def attempt(data: Iterator[bytes] | list[bytes] | None, **more: Any) -> Attempt:
    return Attempt(artifact="linux_logs", source=b"/var/log/a", method="read", data=data, **more)


def one(
    data: Iterator[bytes] | list[bytes] | None, **more: Any
) -> tuple[dict[str, Any], bytes | None]:
    return recorded(attempt(data, **more))[0]


def test_bytes_are_captured_with_hash_and_size() -> None:
    line, stored = one([b"abc", b"def"])
    assert (line["outcome"], line["size"], stored) == ("captured", "6", b"abcdef")


def test_no_bytes_is_empty_and_never_the_hash_of_nothing() -> None:
    line, stored = one([])
    assert (line["outcome"], line["path"], line["sha256"], stored) == ("empty", None, None, None)


@pytest.mark.parametrize(
    "outcome", [Outcome.MISSING, Outcome.DENIED, Outcome.TIMED_OUT, Outcome.FAILED]
)
def test_an_attempt_without_bytes_keeps_its_reason(outcome: Outcome) -> None:
    line, stored = one(None, outcome=outcome, reason="because")
    assert (line["outcome"], line["reason"], stored) == (outcome.value, "because", None)


def test_a_fault_of_ours_in_the_middle_keeps_what_was_read_and_lets_the_next_one_be_read() -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(3 << 20)
        raise ValueError("a layout nobody thought of \udcff")

    (line, stored), (after, _) = recorded(attempt(broken()), attempt([b"next"]))
    assert (line["outcome"], len(stored or b"")) == ("failed", 3 << 20)
    assert line["reason"] == r"fault in the agent: ValueError: a layout nobody thought of \udcff"
    assert after["outcome"] == "captured"


def test_bytes_that_are_stored_get_their_record_also_when_the_second_look_fails() -> None:
    def look() -> FileStat | None:
        raise ValueError("no")

    seen = FileStat(
        mode=0o100644, uid=0, gid=0, dev=1, ino=2, nlink=1, size=3, atime=1, mtime=1, ctime=1
    )
    line, stored = one([b"abc"], stat=seen, after=look)
    assert (line["outcome"], stored) == ("captured", b"abc")
    assert line["reason"] == "fault in the agent: ValueError: no"


def test_a_medium_that_refuses_is_never_taken_for_a_fault_of_the_evidence() -> None:
    def broken() -> Iterator[bytes]:
        yield b"first"
        raise CannotWriteError("gone")

    with pytest.raises(CannotWriteError):
        one(broken())


def test_a_read_that_fails_in_the_middle_keeps_what_was_read() -> None:
    def broken() -> Iterator[bytes]:
        yield b"first"
        raise AttemptFailed(Outcome.TIMED_OUT, "no answer for 10 s")

    line, stored = one(broken())
    assert (line["outcome"], line["reason"], stored) == (
        "timed_out",
        "no answer for 10 s",
        b"first",
    )


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.ENOENT, "missing"),
        (errno.ESRCH, "missing"),
        (errno.EACCES, "denied"),
        (errno.EIO, "failed"),
    ],
)
def test_an_operating_system_error_becomes_an_outcome(number: int, outcome: str) -> None:
    def broken() -> Iterator[bytes]:
        yield from ()
        raise OSError(number, "no")

    line, _ = one(broken())
    assert line["outcome"] == outcome
    assert errno.errorcode[number] in line["reason"]


def test_a_denial_after_some_bytes_is_truncated_with_its_reason() -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise PermissionError(errno.EACCES, "Permission denied")

    line, stored = one(broken())
    assert (line["outcome"], stored) == ("truncated", b"some")
    assert "EACCES" in line["reason"]


def test_the_size_limit_truncates_and_says_what_was_left_out() -> None:
    [(line, stored)] = recorded(attempt([b"x" * 10, b"y" * 10]), room=lambda _: 15)
    assert (line["outcome"], stored) == ("truncated", b"x" * 10 + b"y" * 5)
    assert "from 15 on" in line["reason"]


def test_what_a_limit_left_out_is_listed_as_byte_ranges() -> None:
    line, _ = recorded(attempt([b"abcdef"]), room=lambda _: 4)[0]
    assert line["left_out"] == [["4", None]]


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 8])
def test_when_a_limit_bites_the_newest_content_of_a_log_is_kept(cut: int) -> None:
    text = b"old-old-newest"
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
    log = attempt(pieces, newest=True, coming=len(text))
    line, stored = recorded(log, room=lambda _: 6)[0]
    assert stored == b"newest"
    assert (line["outcome"], line["left_out"]) == ("truncated", [["0", "8"]])
    assert line["reason"] == "the size limit of the profile was reached; bytes 0 to 8 were left out"


def test_the_range_that_a_reader_left_out_is_kept_with_its_sentence() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"tail"
        raise AttemptFailed(
            Outcome.TRUNCATED, "bytes 0 to 9 of 13 are left out", left_out=((0, 9),)
        )

    line, stored = one(pieces(), newest=True, coming=4)
    assert (stored, line["left_out"]) == (b"tail", [["0", "9"]])
    line, stored = recorded(
        attempt(pieces(), newest=True, coming=4, stat=_stat(13)), room=lambda _: 2
    )[0]
    assert (stored, line["left_out"]) == (b"il", [["0", "11"]])


@given(st.binary(min_size=1, max_size=300), st.integers(0, 300), st.booleans())
def test_stored_and_left_out_bytes_are_together_the_whole_source(
    text: bytes, room: int, newest: bool
) -> None:
    log = attempt(
        [text[:7], text[7:]] if len(text) > 7 else [text],
        newest=newest,
        coming=len(text),
        stat=_stat(len(text)),
    )
    line, stored = recorded(log, room=lambda _: room)[0]
    kept = bytearray(text)
    for begin, end in reversed(line.get("left_out", [])):
        del kept[int(begin) : int(end)]
    assert bytes(kept) == (stored or b"")
    assert len(stored or b"") == min(room, len(text))


def test_no_room_at_all_is_a_failure_with_a_reason_not_an_empty_file() -> None:
    [(line, stored)] = recorded(attempt([b"x"]), room=lambda _: 0)
    assert (line["outcome"], stored) == ("failed", None)
    assert line["reason"]


def test_a_long_item_ends_when_the_capture_is_ended() -> None:
    endless = (b"z" * (1 << 20) for _ in range(100))
    [(line, stored)] = recorded(attempt(endless), stopped=lambda: True)
    assert line["outcome"] == "truncated"
    assert stored is not None
    assert len(stored) < 4 << 20


def test_a_file_that_changed_while_it_was_read_says_so() -> None:
    before = FileStat(
        mode=0o100644, uid=0, gid=0, dev=1, ino=2, nlink=1, size=3, atime=1, mtime=1, ctime=1
    )
    after = FileStat(
        mode=0o100644, uid=0, gid=0, dev=1, ino=2, nlink=1, size=9, atime=1, mtime=5, ctime=5
    )
    line, _ = one([b"abc"], stat=before, after=lambda: after)
    assert line["changed"] == ["size", "mtime", "ctime"]


def test_derived_records_point_to_the_items_they_came_from() -> None:
    lines = recorded(attempt([b"raw"], tag="raw"), attempt([b"parsed"], derived_from=("raw",)))
    assert lines[1][0]["derived_from"] == [1]


def test_an_attempt_without_bytes_and_outcome_is_our_own_fault() -> None:
    with pytest.raises(InternalError):
        one(None)


@given(st.lists(st.binary(max_size=3_000_000), max_size=4))
def test_any_cutting_of_the_same_bytes_stores_the_same(chunks: list[bytes]) -> None:
    line, stored = one(list(chunks))
    whole = b"".join(chunks)
    assert (stored or b"") == whole
    assert line["outcome"] == ("captured" if whole else "empty")


@given(st.integers(1, 133))
def test_every_error_number_has_an_outcome_and_words(number: int) -> None:
    outcome, reason = outcome_of(OSError(number, "text"))
    assert outcome in Outcome
    assert reason
