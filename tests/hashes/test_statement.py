"""The statement's text: exact lines, one spelling, nothing that would read back as another."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.merkle import leaf_hash
from hozen_hashes.statement import Statement, parse_statement

FULL = Statement(
    log="collector.example/log",
    log_key_sha256="e9" * 32,
    event="ingest",
    bundle="hz-20261123T050000Z-web01-5f3a9c10",
    case="案件 1/2%",
    seal="4d" * 32,
    seal_state="checked",
    container_sha256="8b" * 32,
    container_size=18874368,
    signature_sha256="51" * 32,
    start_sha256="0c" * 32,
    first_journal_key_sha256="91" * 32,
    signer_cert_sha256="6f" * 32,
    signer="web01 evidence",
    sender="laptop-07",
    verified="ok",
    sealed_at=1795410072000000000,
    arrived_at=1795410580118274551,
    previous=41,
    actor="intake",
    time=1795410581702113920,
)
TEXT = b"""\
hozen-receipt/1
log collector.example/log
log-key-sha256 e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9
event ingest
bundle hz-20261123T050000Z-web01-5f3a9c10
case %E6%A1%88%E4%BB%B6%201/2%25
seal-sha256 4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d
seal-state checked
container-sha256 8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b
container-size 18874368
signature-sha256 5151515151515151515151515151515151515151515151515151515151515151
start-sha256 0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c
first-journal-key-sha256 9191919191919191919191919191919191919191919191919191919191919191
signer-cert-sha256 6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f
signer web01%20evidence
sender laptop-07
verified ok
sealed-at 2026-11-23T05:01:12.000000000Z
arrived-at 2026-11-23T05:09:40.118274551Z
previous 41
actor intake
time 2026-11-23T05:09:41.702113920Z
"""
BARE = Statement(log="o", log_key_sha256="00" * 32, event="restore", time=0)
LINES = TEXT.splitlines(keepends=True)


def test_the_text_is_exactly_that_of_the_format_page() -> None:
    assert FULL.encode() == TEXT
    assert parse_statement(TEXT) == FULL
    assert FULL.leaf_hash == leaf_hash(TEXT)


def test_what_does_not_apply_is_a_dash() -> None:
    assert BARE.encode().count(b" -\n") == 17
    assert parse_statement(BARE.encode()) == BARE


def test_a_text_that_is_a_dash_is_not_an_absent_one() -> None:
    odd = dataclasses.replace(BARE, case="-", actor="%2D")
    assert b"case %2D\n" in odd.encode()
    assert b"actor %252D\n" in odd.encode()
    assert parse_statement(odd.encode()) == odd


def _with(label: str, value: str) -> bytes:
    head = label.encode() + b" "
    return b"".join(
        head + value.encode() + b"\n" if line.startswith(head) else line for line in LINES
    )


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("log", "-"), ("log", ""), ("log", "a b"), ("log", "a+b"), ("log", "x" * 129), ("log", "é"),
        ("log-key-sha256", "-"), ("log-key-sha256", "E9" * 32), ("log-key-sha256", "e9" * 31), ("event", "-"),
        ("event", "Ingest"), ("event", "in_gest"), ("event", "x" * 33), ("bundle", "hz-1"), ("bundle", ""),
        ("case", ""), ("case", "%41"), ("case", "%e6"), ("case", "%FF"), ("case", "%"), ("case", "a b"),
        ("case", "%2d"), ("seal-sha256", "-"), ("seal-state", "-"), ("seal-state", "Checked"), ("seal-state", ""),
        ("container-size", "007"), ("container-size", "-1"), ("container-size", "+1"), ("container-size", "1 "),
        ("container-size", str(2**63)), ("container-size", "1e3"), ("container-size", "٣"), ("verified", "OK"),
        ("verified", "ok "), ("sealed-at", "2026-11-23T05:01:12Z"), ("sealed-at", "2026-02-30T05:01:12.000000000Z"),
        ("sealed-at", "2026-11-23T05:01:12.000000000+00:00"), ("time", "-"), ("previous", ""), ("signer", "a\tb"),
    ],
)  # fmt: skip
def test_other_values_are_refused(label: str, value: str) -> None:
    with pytest.raises(FormatError):
        parse_statement(_with(label, value))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", TEXT[:-1], TEXT + b"\n", TEXT + b"more -\n", TEXT.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + TEXT,
        TEXT.replace(b"receipt/1", b"receipt/2"), b"".join(LINES[:-1]),
        b"".join([*LINES[:3], LINES[4], LINES[3], *LINES[5:]]),
        TEXT.replace(b"event ingest", b"event  ingest"), TEXT.replace(b"event ingest", b"event\tingest"), TEXT + TEXT,
        TEXT.replace(b"event ingest", b"event"), TEXT.replace(b"\nevent", b"\n\nevent"),
        TEXT.replace(b"event", b"EVENT"),
    ],
)  # fmt: skip
def test_other_texts_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_statement(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"seal": None}, {"seal_state": None}, {"log": "a b"}, {"case": ""}, {"case": "\ud800"}, {"container_size": -1},
        {"container_size": 2**63}, {"seal": "AB" * 32}, {"verified": "maybe"}, {"time": 10**30}, {"event": "x\ny"},
        {"bundle": "../x"}, {"time": None}, {"previous": -1}, {"previous": "5"},
    ],
)  # fmt: skip
def test_what_has_no_spelling_cannot_be_stated(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        dataclasses.replace(FULL, **changes)


def test_a_statement_is_at_most_4_kib() -> None:
    with pytest.raises(LimitError):
        dataclasses.replace(FULL, sender="x" * 4096)
    with pytest.raises(LimitError):
        parse_statement(TEXT + b"x" * 4096)


def test_every_changed_bit_reads_as_another_statement_or_not_at_all() -> None:
    for at in range(len(TEXT)):
        for bit in (1, 32):
            changed = bytearray(TEXT)
            changed[at] ^= bit
            try:
                found = parse_statement(bytes(changed))
            except FormatError:
                continue
            assert found != FULL
            assert found.encode() == bytes(changed)


_HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
_TIME = st.integers(-62135596800 * 10**9, 253402300799 * 10**9)
_COUNT = st.integers(0, 2**63 - 1)


@given(
    st.builds(
        Statement,
        log=st.from_regex(r"[!-*,-~]{2,128}", fullmatch=True),
        log_key_sha256=_HEX,
        event=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True),
        case=st.none() | _TEXT,
        signature_sha256=st.none() | _HEX,
        container_size=st.none() | _COUNT,
        signer=st.none() | _TEXT,
        sender=st.none() | _TEXT,
        sealed_at=st.none() | _TIME,
        previous=st.none() | _COUNT,
        actor=st.none() | _TEXT,
        time=_TIME,
    )
)
def test_any_statement_reads_back_as_itself(statement: Statement) -> None:
    assert parse_statement(statement.encode()) == statement


@given(at=st.integers(0, len(LINES) - 1), value=st.text(alphabet="-%2DAaé0 \n", max_size=8))
def test_whatever_parses_is_written_back_the_same(at: int, value: str) -> None:
    label = LINES[at].split(b" ")[0]
    data = b"".join([*LINES[:at], label + b" " + value.encode() + b"\n", *LINES[at + 1 :]])
    try:
        found = parse_statement(data)
    except FormatError:
        return
    assert found.encode() == data


def test_a_reader_of_values_that_grows_lenient_makes_no_text_malleable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hozen_hashes.names.percent_decode", lambda _text: b"C-1")
    with pytest.raises(FormatError, match="another spelling"):
        parse_statement(TEXT)
