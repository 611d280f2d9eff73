"""What a bundle says of itself: `bundle.json` and the rows of its items, read but not verified (bundle-v1 §7, §12)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import BadDataError, FormatError
from hozen_hashes.journalrecords import Row, parse_row
from hozen_hashes.jsonl import parse_object
from hozen_hashes.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.opened import Member, OpenBundle

_ROWS: Final = re.compile(r"hozen/files/(?:[0-9]{6}|[1-9][0-9]{6,9})\.jsonl")
_BUNDLE_JSON: Final = "hozen/bundle.json"
_MAX_JSON: Final = 1 << 20
HEAD: Final = 4096


@dataclass(slots=True)
class Contents:
    """The bundle's own words.

    Attributes:
        about: content of `bundle.json`.
        rows: of every attempt, in order of items.
        problem: why the list is not complete; empty when it is.
        head: first bytes of the payload file that was asked for.
    """

    bundle_id: str | None = None
    about: dict[str, object] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    problem: str = ""
    head: bytes = b""

    def row(self, item: int) -> Row | None:
        """Return the row of an item."""
        return next((row for row in self.rows if row.item == item), None)


def read_contents(bundle: OpenBundle, *, item: int | None = None) -> Contents:
    """Return what the bundle says of itself, and the head of one item's payload.

    Raises:
        FormatError: it is no bundle.
    """
    found = Contents()
    try:
        for member in bundle.members():
            _take(found, member, item)
    except BadDataError as error:
        if not bundle.is_ours():
            raise FormatError(
                f"not a Hozen bundle: {error}", hint="name a file hz-….zip made by hozen capture"
            ) from error
        found.problem = str(error)
    found.bundle_id = bundle.bundle_id
    found.rows.sort(key=lambda row: row.item)
    return found


def _take(found: Contents, member: Member, item: int | None) -> None:
    path = member.path
    if path == _BUNDLE_JSON:
        data = b"".join(_first(member.chunks(), _MAX_JSON + 1))
        found.about = parse_object(data, what=path, max_bytes=_MAX_JSON)
    elif _ROWS.fullmatch(path):
        found.rows.extend(_rows(member))
    elif item is not None and _is_item(path, item):
        found.head = b"".join(_first(member.chunks(), HEAD))


def _is_item(path: str, item: int) -> bool:
    name = path.rpartition("/")[2].partition(".")[0]
    return path.startswith("data/") and name == f"{item:06d}"


def _rows(member: Member) -> Iterator[Row]:
    splitter = LineSplitter(what=member.path)
    number = 0
    for chunk in member.chunks():
        for line in splitter.feed(chunk):
            number += 1
            yield parse_row(line, what=f"{member.path} line {number}")
    splitter.close()


def _first(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield at most `size` bytes, and take the rest so that a pipe can go on."""
    for chunk in chunks:
        yield chunk[:size]
        size -= len(chunk[:size])
