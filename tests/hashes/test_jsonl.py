from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes.errors import BadDataError, FormatError, InternalError, LimitError
from hozen_hashes.jsonl import dump_line, parse_object

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
EXACT = st.integers(-(2**53), 2**53)
VALUES = st.recursive(
    st.none() | st.booleans() | EXACT | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.dictionaries(TEXT, VALUES, max_size=6)


@given(RECORDS)
def test_a_record_comes_back_as_it_was_written(record: dict[str, object]) -> None:
    line = dump_line(record)
    assert line.endswith(b"\n")
    assert line.isascii()
    assert line.count(b"\n") == 1
    found = parse_object(line, what="record", max_depth=40)
    assert found == record
    assert list(found) == list(record)
    assert json.loads(line) == record


@given(st.binary(max_size=60) | st.text('{}[]":,\\u0dé123eE+-.nulltruefasN \n').map(str.encode))
def test_any_bytes_give_an_object_or_our_own_error(data: bytes) -> None:
    try:
        found = parse_object(data, what="record")
    except BadDataError:
        return
    assert parse_object(dump_line(found), what="again") == found


def test_a_record_line_is_compact_and_in_the_given_order() -> None:
    record = {"type": "item", "a": [1, None], "name": "保全😀"}
    line = dump_line(record)
    assert line == b'{"type":"item","a":[1,null],"name":"\\u4fdd\\u5168\\ud83d\\ude00"}\n'


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":{"b":1,"b":1}}',
        '{"a":1,"\\u0061":2}',
        '{"a":NaN}',
        '{"a":-Infinity}',
        '{"a":1e999}',
        '{"a":9007199254740993}',
        '{"a":-9007199254740993}',
        '{"a":' + "9" * 5000 + "}",
        '{"a":"\\ud800"}',
        '{"\\udfff":1}',
        '{"a":["\\uDC00x"]}',
        '{"a":"é"}',
        '{"a":"\t"}',
        '{"a":01}',
        '{"a":1}{"b":2}',
        '{"a":1} x',
        "[1]",
        "1",
        "",
        "\ufeff{}",
        "{'a':1}",
        '{"a":1,}',
    ],
)
def test_what_bundle_v1_does_not_allow_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="record 3"):
        parse_object(text.encode(), what="record 3")


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_object(b'{"a":"\\ud83d\\ude00"}', what="record") == {"a": "😀"}


def test_integers_up_to_2_to_the_53_are_exact() -> None:
    assert parse_object(b'{"a":9007199254740992}', what="record") == {"a": 2**53}


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [16, 100, 100_000])
def test_depth_is_bounded(opening: bytes, depth: int) -> None:
    closing = {b"[": b"]"}.get(opening, b"}")
    data = b'{"a":' + opening * (depth - 1) + b"0" + closing * (depth - 1) + b"}"
    if depth == 16:
        assert parse_object(data, what="record")
    else:
        with pytest.raises(LimitError):
            parse_object(data, what="record")


def test_seventeen_levels_are_one_too_many() -> None:
    with pytest.raises(LimitError):
        parse_object(b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", what="record")


def test_brackets_in_text_are_no_depth() -> None:
    text = "[{" * 400
    assert parse_object(dump_line({"a": text}), what="record") == {"a": text}


def test_length_is_bounded() -> None:
    with pytest.raises(LimitError):
        parse_object(b'{"a":1}', what="record", max_bytes=6)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), b"bytes", "\udcff", {"deep": ["\ud800"]}, object()]
)
def test_what_cannot_be_written_is_our_own_fault(value: object) -> None:
    with pytest.raises(InternalError):
        dump_line({"a": value})


def test_a_record_that_holds_itself_is_our_own_fault() -> None:
    record: dict[str, object] = {}
    record["me"] = record
    with pytest.raises(InternalError):
        dump_line(record)
