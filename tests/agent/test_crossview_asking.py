"""What is asked of directories: no name is lost to the bound of a request, and what a bound leaves out is told."""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.crossview import asking, directories, raw
from hozen_agent.crossview.views import Part
from hozen_hashes.names import percent_decode

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: b"/" not in name)
TIMES = {"started": "1000000000", "ended": "2000000000"}


def _asked(groups: dict[bytes, set[bytes]]) -> dict[bytes, set[bytes]]:
    """Return what all requests together ask for; none is larger than its bound."""
    found: dict[bytes, set[bytes]] = {}
    for request in asking._requests(groups):
        assert request
        assert len(json.dumps(request)) <= asking.MAX_REQUEST + 2 * len(request)
        for path, names in request:
            assert isinstance(names, list)
            there = found.setdefault(percent_decode(str(path)), set())
            there.update(percent_decode(str(name)) for name in names)
    return found


@given(
    st.dictionaries(NAMES.map(lambda name: b"/" + name), st.sets(NAMES, max_size=40), max_size=40)
)
def test_every_name_is_asked_for(groups: dict[bytes, set[bytes]]) -> None:
    assert _asked(groups) == groups


def test_a_directory_of_thousands_of_programs_is_asked_for_in_pieces() -> None:
    groups = {b"/opt/farm": {b"\xff%04d" % number * 20 for number in range(3_000)}, b"/etc": set()}
    assert _asked(groups) == groups


def _lines(answer: dict[str, object]) -> list[dict[str, object]]:
    part = Part(name="directories")
    asking._answered(part, {"directory": "/etc", **TIMES, **answer})
    return part.lines


def test_a_directory_too_large_to_compare_whole_has_a_line_that_says_so() -> None:
    _, told = _lines({"found": {}, "entries": 20_000, "beyond": "20000 entries or more"})
    assert told["result"] == "not_compared"
    assert told["what"] == "/etc: listings and links"
    assert told["reason"] == "20000 entries or more"


def test_a_directory_within_the_bound_has_only_its_comparison() -> None:
    (line,) = _lines({"found": {}, "entries": 3, "beyond": ""})
    assert line["result"] == "agree"


def test_the_answer_of_a_large_directory_names_its_bound(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        rows = [(b"name", 1, 8)] * directories.MAX_ENTRIES
        assert directories._answer(fd, directories.Look(rows), {})["beyond"]
        assert not directories._answer(fd, directories.Look(rows[1:]), {})["beyond"]
    finally:
        os.close(fd)


def test_the_listing_past_the_library_is_that_of_the_directory(tmp_path: Path) -> None:
    names = {os.fsdecode(struct.pack(">BI", 0xFF, number).replace(b"/", b".").replace(b"\0", b"_"))
             for number in range(500)}  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = raw.listing(fd)
    finally:
        os.close(fd)
    assert {os.fsdecode(name) for name, _, _ in found} == names
    assert {inode for _, inode, _ in found} == {os.stat(tmp_path / name).st_ino for name in names}
