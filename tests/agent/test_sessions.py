"""The sessions family on files made for it; the reader of files is replaced by one that reads a directory of ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.artifacts import sessions
from hozen_agent.context import Context, FileRequest
from hozen_agent.items import Attempt, AttemptFailed, Outcome
from hozen_agent.proc.sweep import Sweep
from hozen_agent.reading import sparse
from hozen_agent.redaction.redact import Redactor
from hozen_agent.utmp import LAYOUTS
from hozen_hashes.jsonl import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

X86 = LAYOUTS[0]


def login(user: bytes, seconds: int = 1_700_000_000) -> bytes:
    return X86.record.pack(7, 1, b"tty1", b"1", user, b"", 0, 0, 0, seconds, 0, bytes(16))


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    def make(*, swept: bytes = b"", found: Iterable[bytes] = ()) -> Context:
        def files(requests: Iterable[FileRequest]) -> Iterator[Attempt]:
            for request in requests:
                common: dict[str, Any] = {
                    "artifact": request.artifact,
                    "source": request.path,
                    "method": "read",
                }
                try:
                    data = (
                        tmp_path / request.path.decode().strip("/").replace("/", "_")
                    ).read_bytes()
                except FileNotFoundError:
                    yield Attempt(outcome=Outcome.MISSING, reason="not there", **common)
                    continue
                pieces = [memoryview(data)[i : i + 1000] for i in range(0, len(data), 1000)]
                holes = data.startswith(b"SPARSE")
                yield Attempt(
                    data=[data[6:]] if holes else pieces, holes=holes, kind="file", **common
                )

        entries = [(b"run/utmp", "file", swept, 0)] if swept else []
        return Context(
            proc=-1,
            root=-1,
            sweep=Sweep(entries, started=(1, 1), ended=(2, 2), processes=0, complete=True),
            redactor=Redactor(),
            files=files,
            match=lambda patterns: iter(found) if b"/run" in next(iter(patterns)) else iter(()),
            note=lambda _: None,
        )

    return make


def taken(attempts: Iterator[Attempt]) -> list[tuple[Attempt, list[dict[str, object]]]]:
    """Take each attempt's bytes before the next is asked for, as the recorder does."""
    found = []
    for attempt in attempts:
        data = b"".join(bytes(piece) for piece in attempt.data or ())
        lines = data.splitlines() if attempt.ext == "jsonl" else []
        found.append((attempt, [parse_object(line, what="record") for line in lines]))
    return found


def test_each_file_comes_raw_and_then_parsed(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    (tmp_path / "var_log_wtmp").write_bytes(login(b"alice") + login(b"bob"))
    (tmp_path / "var_log_lastlog").write_bytes(
        bytes(292 * 5) + X86.last.pack(1_700_000_000, b"pts/0", b"h")
    )
    found = taken(sessions.collect(context(swept=login(b"now"))))
    assert found[0][0].derived_from == ("sweep",)
    assert found[0][1][0]["user"] == "now"
    by_source = [(a, rows) for a, rows in found if a.source == b"/var/log/wtmp"]
    (raw, _), (parsed, rows) = by_source
    assert parsed.derived_from == (raw.tag,)
    assert [row["user"] for row in rows] == ["alice", "bob"]
    if os.uname().machine == "x86_64":
        (row,) = [r for a, rows in found if a.source == b"/var/log/lastlog" for r in rows]
        assert row["uid"] == 5


def test_what_is_not_there_is_an_attempt_with_a_reason(context: Callable[..., Context]) -> None:
    found = taken(sessions.collect(context(found=[b"/run/systemd/sessions/1"])))
    missing = {a.source for a, _ in found if a.outcome is Outcome.MISSING}
    assert {
        b"/run/utmp",
        b"/var/log/btmp",
        b"/var/log/lastlog",
        b"/run/systemd/sessions/1",
    } <= missing
    assert all(a.reason for a, _ in found if a.outcome)


def test_of_a_long_file_the_newest_records_are_parsed_and_that_is_said(
    tmp_path: Path, context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_KEPT", 1000)
    many = b"".join(login(b"u%d" % number) for number in range(50))
    (tmp_path / "var_log_btmp").write_bytes(many)
    (_, _), (parsed, rows) = [
        (a, rows) for a, rows in taken(sessions.collect(context())) if a.source == b"/var/log/btmp"
    ]
    assert parsed.outcome is Outcome.TRUNCATED
    assert parsed.reason
    assert [(row["user"], row["record"]) for row in rows] == [("u48", 48), ("u49", 49)]


def test_a_sparse_lastlog_is_parsed_from_its_extents(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("lastlog's layout is the machine's")
    one = X86.last.pack(1_700_000_000, b"pts/0", b"h")
    place = 292 * 1_000_000_000
    extents = [(292 * 7, 292), (place, 292)]
    data = sparse.stored_map(extents, place + 292) + one + one
    head = sparse.header("lastlog", size=place + 292, stored=len(data), mode=0o644, mtime=0)
    archive = head + data + sparse.padding(len(data)) + sparse.end()
    (tmp_path / "var_log_lastlog").write_bytes(b"SPARSE" + archive)
    rows = [
        r
        for a, rows in taken(sessions.collect(context()))
        if a.source == b"/var/log/lastlog"
        for r in rows
    ]
    assert [row["uid"] for row in rows] == [7, 1_000_000_000]


def sparse_archive(extents: list[tuple[int, int]], size: int) -> bytes:
    data = sparse.stored_map(extents, size) + b"".join(
        bytes([65 + n % 26]) * length for n, (_, length) in enumerate(extents)
    )
    head = sparse.header("x", size=size, stored=len(data), mode=0o644, mtime=0)
    return head + data + sparse.padding(len(data)) + sparse.end()


@given(st.lists(st.tuples(st.integers(1, 10**12), st.integers(1, 900)), min_size=1, max_size=30))
def test_the_extents_of_a_sparse_archive_come_back(gaps: list[tuple[int, int]]) -> None:
    extents, at = [], 0
    for gap, length in gaps:
        extents.append((at + gap, length))
        at += gap + length
    found = [
        (o, len(d), d[:1]) for o, d in sessions.sparse_extents(sparse_archive(extents, at + 5)) if d
    ]
    assert found == [(o, n, bytes([65 + i % 26])) for i, (o, n) in enumerate(extents)]


@given(st.integers(0, 3000), st.binary(max_size=100))
def test_an_archive_that_is_cut_or_foreign_ends_with_a_reason(length: int, foreign: bytes) -> None:
    whole = sparse_archive([(n * 5000, 10) for n in range(200)], 10**7)
    for archive in (whole[:length], foreign * 30, whole[:1536] + foreign):
        try:
            list(sessions.sparse_extents(archive))
        except AttemptFailed as failed:
            assert failed.outcome is Outcome.FAILED
