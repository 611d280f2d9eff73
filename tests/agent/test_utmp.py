"""Login records of both layouts, against utmpdump, and any bytes."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent import utmp
from hozen_agent.utmp import LAYOUTS, last_records, layout_of, login_records
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from pathlib import Path

X86, ARM = LAYOUTS


def login(
    layout: utmp.Layout = X86,
    *,
    kind: int = 7,
    user: bytes = b"alice",
    host: bytes = b"203.0.113.9",
    seconds: int = 1_700_000_000,
    address: bytes = bytes((203, 0, 113, 9)) + bytes(12),
) -> bytes:
    return layout.record.pack(
        kind, 4242, b"pts/3", b"ts/3", user, host, 0, 0, 4242, seconds, 500_000, address
    )


def test_records_have_the_sizes_of_glibc() -> None:
    assert [layout.record.size for layout in LAYOUTS] == [384, 400]
    assert [layout.last.size for layout in LAYOUTS] == [292, 296]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_login_is_read_back(layout: utmp.Layout) -> None:
    (row,) = login_records(login(layout), layout)
    assert row == {
        "record": 0,
        "type": "USER_PROCESS",
        "pid": 4242,
        "line": "pts/3",
        "id": "ts/3",
        "user": "alice",
        "host": "203.0.113.9",
        "address": "203.0.113.9",
        "time": "2023-11-14T22:13:20.500000000Z",
        "session": 4242,
        "exit": {"termination": 0, "status": 0},
    }


def test_a_name_that_fills_its_field_and_bytes_that_are_no_text_stay() -> None:
    (row,) = login_records(login(user=b"\xff" + b"a" * 31, host=b"h\n" * 128), X86)
    assert row["user"] == "%FF" + "a" * 31
    assert row["host"] == "h%0A" * 128


def test_an_ipv6_address_and_a_time_after_2038_are_read() -> None:
    v6 = bytes.fromhex("20010db8000000000000000000000001")
    (row,) = login_records(login(address=v6, seconds=-(1 << 31) + 5), X86)
    assert row["address"] == "2001:db8::1"
    assert str(row["time"]).startswith("2038-01-19T03:14:13")


def test_a_torn_record_at_the_end_is_kept_as_bytes() -> None:
    rows = list(login_records(login() + b"\x07\0abc", X86, first=10))
    assert rows[0]["record"] == 10
    assert rows[1] == {"record": 11, "unparsed": "0700616263"}


def test_the_layout_is_found_from_the_records_themselves() -> None:
    assert layout_of(login(ARM) * 3, machine="x86_64") is ARM
    assert layout_of(login(X86) * 3, machine="aarch64") is X86
    assert layout_of(b"", machine="aarch64") is ARM
    assert layout_of(b"junk", machine="x86_64") is X86


def test_utmpdump_reads_the_same(tmp_path: Path) -> None:
    (tmp_path / "wtmp").write_bytes(login(user=b"bob"))
    out = subprocess.run(
        ["utmpdump", str(tmp_path / "wtmp")], capture_output=True, text=True, check=True
    ).stdout
    (row,) = login_records((tmp_path / "wtmp").read_bytes(), X86)
    for value in (row["user"], row["line"], row["address"], "2023-11-14T22:13:20,5"):
        assert str(value) in out
    assert "[7] [04242]" in out


def test_the_last_login_of_a_user_is_at_the_place_of_its_number() -> None:
    empty = bytes(292)
    data = empty * 3 + X86.last.pack(1_700_000_000, b"pts/0", b"h") + empty
    (row,) = last_records(data, X86)
    assert row == {"uid": 3, "time": "2023-11-14T22:13:20.000000000Z", "line": "pts/0", "host": "h"}
    (again,) = last_records(data[100:], X86, offset=100)
    assert again == row


@given(st.binary(max_size=1300), st.sampled_from(LAYOUTS), st.integers(0, 1 << 40))
def test_any_bytes_give_records_that_can_be_written(
    data: bytes, layout: utmp.Layout, offset: int
) -> None:
    for row in login_records(data, layout):
        dump_line(row)
    for row in last_records(data, layout, offset=offset):
        dump_line(row)
    layout_of(data, machine="x86_64")


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.binary(min_size=32, max_size=32))
def test_every_whole_record_has_its_line(kinds: list[int], user: bytes) -> None:
    data = b"".join(login(kind=kind, user=user) for kind in kinds)
    rows = list(login_records(data, X86))
    assert [row["type"] for row in rows] == [utmp.TYPES[kind] for kind in kinds]
    assert struct.calcsize("<") == 0
