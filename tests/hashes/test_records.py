"""Item lines written by hand are exactly what the encoder would write, and inert in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes.jsonl import parse_object
from hozen_hashes.names import percent_decode
from hozen_hashes.records import CSV_HEADER, ItemRecord

WORDS = st.text(max_size=40).filter(lambda s: not any(0xD800 <= ord(c) <= 0xDFFF for c in s))
TIMES = st.tuples(st.integers(0, 4_000_000_000 * 10**9), st.integers(0, 2**63))


@st.composite
def records(draw: st.DrawFn) -> ItemRecord:
    stored = draw(st.booleans())
    more: dict[str, Any] = draw(st.dictionaries(st.sampled_from(["changed", "withheld"]), WORDS))
    return ItemRecord(
        item=draw(st.integers(1, 10**9)),
        artifact="linux_logs",
        outcome=draw(st.sampled_from(["captured", "denied"])),
        kind="file",
        source=draw(st.binary(max_size=300)),
        method="read",
        personal="personal",
        started=draw(TIMES),
        ended=draw(TIMES),
        reason=draw(WORDS),
        path="data/linux_logs/000001.log" if stored else None,
        size=draw(st.integers(0, 2**63)) if stored else None,
        sha256="ab" * 32 if stored else None,
        stat='{"mode":"0100644"}' if draw(st.booleans()) else "",
        more=more,
    )


@given(records())
def test_a_line_is_strict_json_that_gives_every_value_back(record: ItemRecord) -> None:
    line = record.json_line()
    value = parse_object(line, what="line")
    assert json.dumps(value, separators=(",", ":")).encode() + b"\n" == line
    assert percent_decode(str(value["source"])) == record.source
    assert value["item"] == record.item
    assert value["size"] == (None if record.size is None else str(record.size))
    assert value.get("reason", "") == record.reason
    assert ("stat" in value) == bool(record.stat)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1


@given(records())
def test_the_journal_names_the_line_by_its_hash(record: ItemRecord) -> None:
    value = parse_object(record.journal_line(record.json_line()), what="record")
    assert (value["type"], value["item"], value["path"]) == ("item", record.item, record.path)
    assert len(str(value["record"])) == 64


@given(records())
def test_a_row_has_ten_cells_and_no_cell_is_a_formula(record: ItemRecord) -> None:
    text = (CSV_HEADER + record.csv_line()).decode("utf-8-sig")
    header, row = csv.reader(io.StringIO(text, newline=""))
    assert len(header) == len(row) == 10
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def test_a_formula_in_a_name_is_quoted() -> None:
    record = ItemRecord(
        item=1, artifact="a", outcome="captured", kind="file", source=b"=cmd|' /C calc'!A0", method="read",
        personal="none", started=(0, 0), ended=(0, 0),
    )  # fmt: skip
    assert b",'=cmd|" in record.csv_line()
