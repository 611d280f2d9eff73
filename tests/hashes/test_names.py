from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import names
from hozen_hashes.errors import FormatError

ID = "hz-20261123T050000Z-web01-5f3a9c10"
NANOSECONDS = st.integers(-62_135_596_800 * 10**9, 253_402_300_800 * 10**9 - 1)


@given(st.binary())
def test_every_byte_string_has_one_percent_spelling(raw: bytes) -> None:
    text = names.percent_encode(raw)
    assert re.fullmatch(r"(?:[!-$&-~]|%[0-9A-F]{2})*", text)
    assert names.percent_decode(text) == raw


@given(st.text("%0123456789ABCDEFabcdef ~é\udc80xyz", max_size=12))
def test_a_spelling_is_accepted_only_when_it_is_the_one(text: str) -> None:
    try:
        raw = names.percent_decode(text)
    except FormatError:
        return
    assert names.percent_encode(raw) == text


@pytest.mark.parametrize("text", ["%41", "%ff", "%F", "%", "%zz", "a b", "é", "a\n", "%2", "%%41"])
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        names.percent_decode(text)


def test_percent_encoding_is_that_of_the_format_page() -> None:
    assert names.percent_encode(b"/var/log/a b%\xff\x7f~!") == "/var/log/a%20b%25%FF%7F~!"


@given(NANOSECONDS)
def test_a_time_comes_back_to_the_nanosecond(ns: int) -> None:
    text = names.rfc3339(ns)
    assert names.parse_rfc3339(text) == ns
    assert len(text) == 30


def test_a_time_is_the_one_the_standard_library_knows() -> None:
    moment = datetime(2026, 11, 23, 5, 0, 0, tzinfo=UTC)
    ns = int(moment.timestamp()) * 10**9 + 123_456_789
    assert names.rfc3339(ns) == "2026-11-23T05:00:00.123456789Z"
    assert names.rfc3339(-1) == "1969-12-31T23:59:59.999999999Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T05:00:00Z",
        "2026-11-23T05:00:00.123456789+00:00",
        "2026-11-23T05:00:00.123456789z",
        "2026-11-23 05:00:00.123456789Z",
        "2026-02-29T05:00:00.123456789Z",
        "2026-11-23T24:00:00.000000000Z",
        "2026-11-23T05:00:60.000000000Z",
        "0000-01-01T00:00:00.000000000Z",
        "２026-11-23T05:00:00.123456789Z",
        "2026-11-23T05:00:00.123456789Z\n",
        "",
    ],
)
def test_another_form_of_time_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        names.parse_rfc3339(text)


@pytest.mark.parametrize("ns", [10**30, -(10**30), 253_402_300_800 * 10**9])
def test_a_year_of_five_digits_is_refused(ns: int) -> None:
    with pytest.raises(FormatError):
        names.rfc3339(ns)


@given(st.text(max_size=80), NANOSECONDS)
def test_every_host_name_makes_a_bundle_id(host: str, ns: int) -> None:
    made = names.new_bundle_id(host, ns, "0a1b2c3d")
    assert names.check_bundle_id(made) == made


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("WEB01.example.org", "web01-example-org"),
        ("--", "host"),
        ("", "host"),
        ("保全", "host"),
        ("a" * 31 + "-b", "a" * 31),
        ("x_y", "x-y"),
    ],
)
def test_a_slug_keeps_what_can_be_kept(host: str, expected: str) -> None:
    assert names.slug(host) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ID + "\n",
        ID.upper(),
        ID[:-1],
        ID + "0",
        "hz-20261123T050000Z--5f3a9c10",
        "hz-20261123T050000Z-web01--5f3a9c10",
        "hz-20261123T050000Z-" + "a" * 33 + "-5f3a9c10",
        "hz-２0261123T050000Z-web01-5f3a9c10",
    ],
)
def test_what_is_no_bundle_id_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        names.check_bundle_id(text)


def test_a_random_part_of_another_form_is_refused() -> None:
    with pytest.raises(FormatError):
        names.new_bundle_id("web01", 0, "XYZ")


@pytest.mark.parametrize(
    "path",
    [
        "bagit.txt",
        "README-VERIFY.txt",
        "hozen/journal/000000.jsonl",
        "hozen/start.p7s",
        "signatures/agent.p7s",
        "data/processes/000001.tar",
        "data/linux_logs/1000000.sparse.tar",
        "a" * 80,
        "database/x",
    ],
)
def test_a_path_of_the_format_is_accepted(path: str) -> None:
    assert names.check_member_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/bagit.txt",
        "../bagit.txt",
        "a/../b",
        "a/./b",
        ".hidden",
        "a/.b",
        "a//b",
        "a/",
        "a\\b",
        "a:b",
        "A",
        "readme-VERIFY.txt",
        "a" * 81,
        "/".join(["a"] * 120),
        "a\x00b",
        "a\n",
        "é",
        "data",
        "data/x",
        "data/x/000001",
        "data/x/1.log",
        "data/x/0000001.log",
        "data/X/000001.log",
        "data/x/000001.log.a.b",
        "data/x/y/000001.log",
        "data/" + "x" * 49 + "/000001.log",
        "data/x/000001.123456789",
    ],
)
def test_a_path_outside_the_format_is_refused(path: str) -> None:
    with pytest.raises(FormatError):
        names.check_member_path(path)


def test_a_member_name_is_split_into_bundle_and_path() -> None:
    assert names.split_member_name(f"{ID}/hozen/plan.json") == (ID, "hozen/plan.json")


@pytest.mark.parametrize(
    "name", [ID, "bagit.txt", f"{ID}/", f"{ID}/../x", f"{ID}/" + "a/" * 90 + "a"]
)
def test_a_name_without_bundle_or_path_is_refused(name: str) -> None:
    with pytest.raises(FormatError):
        names.split_member_name(name)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"/var/log/auth.log", "/var/log/auth.log"),
        ("ログ".encode(), "ログ"),
        (b"a\\b", "a\\\\b"),
        (b"a\xff\xc3(", "a\\xff\\xc3("),
        (b"a\nb\x7f\t", "a\\x0ab\\x7f\\x09"),
        ("\x85".encode(), "\\xc2\\x85"),
        ("txt\u202egpj".encode(), "txt\\xe2\\x80\\xaegpj"),
        (b"=1+1", "'=1+1"),
        (b"+1", "'+1"),
        (b"-x", "'-x"),
        (b"@x", "'@x"),
        ("=保".encode(), "'=保"),
        (b"\t=1", "\\x09=1"),
        (b"", ""),
    ],
)
def test_readable_text_is_that_of_the_format_page(raw: bytes, expected: str) -> None:
    assert names.readable(raw) == expected


@given(st.binary())
def test_readable_text_never_breaks_a_cell_or_starts_a_formula(raw: bytes) -> None:
    text = names.readable(raw)
    assert not text.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    text.encode("utf-8")
