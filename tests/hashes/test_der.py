"""der.py: what is written is read back, and no foreign byte gets past the strict form."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import der
from hozen_hashes.errors import FormatError, LimitError

OIDS = st.builds(
    lambda first, second, rest: ".".join(map(str, (first, second, *rest))),
    st.integers(0, 2),
    st.integers(0, 39),
    st.lists(st.integers(0, 2**40), min_size=1, max_size=8),
)


def read(data: bytes, tag: int) -> der.Element:
    return der.read(data, tag, "test", max_bytes=1 << 20)


@given(st.integers(0, 2**300))
def test_an_integer_comes_back(value: int) -> None:
    assert der.read_integer(read(der.integer(value), der.INTEGER)) == value


@given(OIDS)
def test_an_object_identifier_comes_back(dotted: str) -> None:
    assert der.dotted(read(der.oid(dotted), der.OBJECT_IDENTIFIER)) == dotted


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_in_whole_seconds(when: datetime) -> None:
    whole = when.replace(microsecond=0)
    written = der.time(when)
    assert der.read_time(read(written, written[0])) == whole
    assert (written[0] == der.UTC_TIME) == (1950 <= when.year <= 2049)


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_lengths_of_every_form_come_back(size: int) -> None:
    content = b"x" * size
    assert read(der.octets(content), der.OCTET_STRING).content == content


def test_a_set_is_written_in_the_order_of_its_bytes() -> None:
    assert der.set_of(b"\x02\x01\x05", b"\x02\x01\x01") == b"\x31\x06\x02\x01\x01\x02\x01\x05"


@pytest.mark.parametrize(
    "damaged",
    [
        b"", b"\x04", b"\x04\x81", b"\x04\x82\x01", b"\x04\x05abc",
        b"\x04\x80abc\x00\x00",  # indefinite
        b"\x04\x81\x03abc",  # long form of a short length
        b"\x04\x82\x00\x80" + b"x" * 128,  # leading zero
        b"\x04\x85\x00\x00\x00\x00\x03abc", b"\x04\x85\x01\x00\x00\x00\x00abc", b"\x04\xff",
        b"\x04\x03abcd",  # trailing byte
        b"\x1f\x81\x04\x00", b"\x05\x00",
    ],
)  # fmt: skip
def test_a_length_or_tag_that_is_not_strict_is_refused(damaged: bytes) -> None:
    with pytest.raises(FormatError):
        read(damaged, der.OCTET_STRING)


def test_a_tag_of_several_bytes_is_refused_even_when_it_is_expected() -> None:
    with pytest.raises(FormatError, match="more than one byte"):
        read(b"\x1f\x04\x00", 0x1F)


@pytest.mark.parametrize("body", [b"", b"\x80", b"\x00\x7f", b"\xff\xff"])
def test_an_integer_that_is_empty_negative_or_padded_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        der.read_integer(read(der.tlv(der.INTEGER, body), der.INTEGER))


@pytest.mark.parametrize("body", [b"", b"\x80\x01", b"\x2a\x80\x01", b"\x2a\x86", b"\xff" * 80])
def test_an_object_identifier_that_is_cut_or_padded_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        der.dotted(read(der.tlv(der.OBJECT_IDENTIFIER, body), der.OBJECT_IDENTIFIER))


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (der.UTC_TIME, b"261123050000+0000"), (der.UTC_TIME, b"2611230500Z"), (der.UTC_TIME, b"261323050000Z"),
        (der.UTC_TIME, b"26112305000 Z"), (der.UTC_TIME, b"261123050060Z"), (der.UTC_TIME, b""),
        (der.GENERALIZED_TIME, b"20261123050000Z"), (der.GENERALIZED_TIME, b"20511123050000.5Z"),
        (der.OCTET_STRING, b"261123050000Z"), (der.GENERALIZED_TIME, b"00000101000000Z"),
        (der.UTC_TIME, "²61123050000Z".encode("latin-1")),
    ],
)  # fmt: skip
def test_a_time_in_another_form_is_refused(tag: int, text: bytes) -> None:
    with pytest.raises(FormatError):
        der.read_time(read(der.tlv(tag, text), tag))


def test_depth_count_and_size_are_bounded() -> None:
    deep = b""
    for _ in range(der.MAX_DEPTH + 1):
        deep = der.sequence(deep)
    element = read(deep, der.SEQUENCE)
    for _ in range(der.MAX_DEPTH):
        element = element.open().take(der.SEQUENCE, "inner")
    with pytest.raises(LimitError, match="deeper"):
        element.open()
    many = read(der.sequence(*[der.null()] * (der.MAX_ELEMENTS + 1)), der.SEQUENCE)
    with pytest.raises(LimitError, match="more than"):
        many.open().rest(der.NULL, "many")
    with pytest.raises(LimitError, match="limit"):
        der.read(bytes(100), der.SEQUENCE, "large", max_bytes=99)


def test_a_primitive_element_has_nothing_inside() -> None:
    with pytest.raises(FormatError, match="no elements"):
        read(der.octets(b"\x05\x00"), der.OCTET_STRING).open()


def walk(cursor: der.Cursor) -> bytes:
    """Read everything and write it again."""
    parts = []
    while cursor.tag is not None:
        element = cursor.take_any("any")
        inner = walk(element.open()) if element.tag & 0x20 else element.content
        parts.append(der.tlv(element.tag, inner))
    return b"".join(parts)


@given(st.binary(max_size=200))
def test_whatever_is_read_is_written_back_byte_for_byte(data: bytes) -> None:
    with suppress(FormatError, LimitError):
        assert walk(der.Cursor(data)) == data


TREES = st.recursive(
    st.binary(max_size=200).map(der.octets),
    lambda inner: st.lists(inner, max_size=4).map(lambda parts: der.sequence(*parts)),
    max_leaves=8,
)


@given(TREES, st.data())
def test_a_cut_or_lengthened_element_is_refused(tree: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(tree) - 1))
    for damaged in (tree[:cut], tree + b"\0"):
        with pytest.raises(FormatError):
            read(damaged, tree[0])
