"""A journal is proved as far as its chain holds; foreign bytes are findings, never crashes."""

from __future__ import annotations

import json
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_hashes.errors import BadDataError, FormatError, LimitError
from hozen_hashes.fields import Fields
from hozen_hashes.journalcheck import JournalCheck, JournalReport, SegmentReader
from hozen_hashes.journalrecords import ItemEntry, Record, parse_record, parse_row
from hozen_hashes.lines import LineSplitter

DATA = Path(__file__).parents[1] / "vectors" / "data"


def pieces(name: str = "good") -> dict[str, bytes]:
    with zipfile.ZipFile(DATA / f"{name}.zip") as archive:
        return {
            entry.rpartition("/")[2]: archive.read(entry)
            for entry in archive.namelist()
            if "/hozen/journal/" in entry
        }


def judge(files: dict[str, bytes], *, bundle: str | None = None, step: int = 64) -> JournalReport:
    check = JournalCheck(bundle)
    for name, data in files.items():
        epoch, ending = int(name[:6]), name[7:]
        if ending == "jsonl":
            reader = SegmentReader(epoch, on_record=lambda _epoch, _record: None)
            for at in range(0, len(data), step):
                reader.feed(data[at : at + step])
            check.add_segment(reader.close())
        elif ending == "pub":
            check.add_key(epoch, data)
        else:
            check.add_signature(epoch, data)
    return check.finish()


def test_a_whole_journal_is_proved_to_its_end() -> None:
    report = judge(pieces())
    assert (report.proved, report.problems, report.segments) == (3, (), 3)
    assert report.end is not None
    assert (report.end.reason, report.end.items) == ("complete", 7)
    assert report.start is not None


def test_the_order_of_the_pieces_does_not_matter() -> None:
    assert judge(dict(reversed(pieces().items()))) == judge(pieces())


def test_the_cutting_into_chunks_does_not_matter() -> None:
    assert judge(pieces(), step=1) == judge(pieces(), step=1 << 20)


def test_an_empty_journal_proves_nothing() -> None:
    report = judge({})
    assert (report.proved, report.segments, report.last_sha256) == (0, 0, "")


def test_a_journal_without_its_last_segment_is_open() -> None:
    report = judge({name: data for name, data in pieces().items() if not name.startswith("000002")})
    assert (report.proved, report.problems, report.end) == (2, (), None)


@pytest.mark.parametrize("ending", ["jsonl", "sig", "pub"])
def test_a_missing_piece_in_the_middle_ends_the_proof_there(ending: str) -> None:
    files = pieces()
    del files[f"000001.{ending}"]
    report = judge(files)
    assert report.proved == 1
    assert [epoch for epoch, _ in report.problems] == [1, 2]


def test_a_journal_of_another_bundle_is_refused() -> None:
    report = judge(pieces(), bundle="hz-20261123T050000Z-other-5f3a9c10")
    assert report.proved == 0
    assert "another bundle" in report.problems[0][1]


def test_a_segment_of_another_journal_does_not_follow() -> None:
    files = pieces()
    foreign = pieces("remade")
    files.update({name: data for name, data in foreign.items() if name.startswith("000001")})
    assert judge(files).proved == 1


def test_records_are_handed_out_with_their_epoch() -> None:
    seen: list[tuple[int, Record]] = []
    reader = SegmentReader(1, on_record=lambda epoch, record: seen.append((epoch, record)))
    reader.feed(pieces()["000001.jsonl"])
    reader.close()
    assert [record.item for _, record in seen if isinstance(record, ItemEntry)] == [1, 2, 3]
    assert {epoch for epoch, _ in seen} == {1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"type":"note","text":"x"}\n', "first record"),
        (b"", "ends neither"),
        (b'{"type":"end"', "no end"),
        (b"\n", "not JSON|Expecting"),
        (b"x" * (2 << 20), "more than"),
    ],
)
def test_a_segment_in_another_form_is_a_problem_not_an_error(text: bytes, problem: str) -> None:
    reader = SegmentReader(1, on_record=lambda _epoch, _record: None)
    reader.feed(text)
    found = reader.close().problem
    assert any(one in found for one in problem.split("|"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KEYS = [
    "type", "item", "outcome", "path", "size", "sha256", "record", "epoch", "bundle", "previous", "key", "opened",
    "reason", "items", "closed", "bytes", "identity", "plan_sha256", "sweep", "source", "artifact",
]  # fmt: skip
TYPES = ["segment", "start", "item", "prefix", "member", "next", "end", "case", "note", "x"]


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(TYPES), values=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=12)
)
def test_a_record_with_values_of_any_type_is_a_record_or_a_format_error(
    kind: str, values: dict[str, object]
) -> None:
    line = json.dumps({**values, "type": kind}).encode() + b"\n"
    for parse in (parse_record, parse_row):
        try:
            parse(line, what="record")
        except BadDataError:
            continue


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_as_a_segment_are_a_problem_and_never_a_crash(data: bytes) -> None:
    reader = SegmentReader(0, on_record=lambda _epoch, _record: None)
    reader.feed(data)
    assert reader.close().problem


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(pieces())),
    at=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_a_flipped_bit_in_any_piece_ends_the_proof_before_it(
    name: str, at: float, bit: int
) -> None:
    files = pieces()
    data = bytearray(files[name])
    data[int(at * len(data))] ^= 1 << bit
    files[name] = bytes(data)
    assert judge(files).proved <= int(name[:6])


@pytest.mark.parametrize(
    "value",
    [True, -1, 1.5, "1", None, [], {}],
    ids=["true", "negative", "float", "text", "null", "list", "object"],
)
def test_a_number_is_an_integer_from_zero_and_nothing_else(value: object) -> None:
    with pytest.raises(FormatError, match="`n` is not an integer"):
        Fields({"n": value}, what="x").number("n")


@pytest.mark.parametrize("value", ["", "01", "+1", "1 ", "１", "9" * 30, 1])
def test_a_decimal_string_has_one_spelling(value: object) -> None:
    with pytest.raises(FormatError, match="decimal string"):
        Fields({"n": value}, what="x").decimal("n")


def test_an_absent_key_is_said_to_be_absent() -> None:
    with pytest.raises(FormatError, match="is absent"):
        Fields({}, what="x").text("n")


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=6))
def test_lines_are_the_same_however_the_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    splitter = LineSplitter(what="x")
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    found = [line for a, b in pairwise(places) for line in splitter.feed(data[a:b])]
    whole = data[: data.rfind(b"\n") + 1]
    assert found == whole.splitlines(keepends=True) or b"\r" in data or not found
    assert b"".join(found) == whole


def test_a_line_without_end_is_bounded() -> None:
    splitter = LineSplitter(what="x", limit=10)
    with pytest.raises(LimitError):
        list(splitter.feed(b"01234567890"))
