"""Reads the comparable facts of one bundle: first the list of its items, then the bytes of those that tell something.

A record is used only when its bytes have the hash that its row states. That the rows are the sealed ones is the
verifier's part (hozen_hashes.verify), which the caller runs on the same bundle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes.contents import read_contents
from hozen_hashes.diff import groups, texts
from hozen_hashes.diff.facts import Fact, Gap
from hozen_hashes.diff.records import GROUPS_OF, READERS
from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.jsonl import parse_object
from hozen_hashes.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from hozen_hashes.journalrecords import Row
    from hozen_hashes.opened import Member, OpenBundle

    Opening = Callable[[], AbstractContextManager[OpenBundle]]

MAX_FACTS: Final = 2_000_000
BODYFILE: Final = ("filesystem", "filesystem:bodyfile")
_EXECUTABLES: Final = "executables:files"
_PACKAGE_SAYS: Final = frozenset({"same", "differs", "missing"})
_WITHOUT: Final = frozenset({"denied", "timed_out", "failed", "truncated"})


@dataclass(slots=True)
class Gathered:
    """What one bundle says.

    Attributes:
        about: its `bundle.json`.
        families: artifacts of which at least one attempt was made.
        facts, gaps: what can be compared, and what was not obtained.
        names: the item that lists the names of all files, when it was written to its end.
        verdicts: of programs by path, what the host's package database says: `same`, `differs`, `missing` …
    """

    bundle_id: str | None
    about: dict[str, object]
    families: frozenset[str] = frozenset()
    facts: list[Fact] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    names: Row | None = None
    verdicts: dict[str, str] = field(default_factory=dict)


def gather(opening: Opening) -> Gathered:
    """Return the facts of a bundle.

    Args:
        opening: gives the bundle open at its beginning; called twice.

    Raises:
        FormatError: it is no bundle, its list is damaged, or a record does not have its stated hash or form.
        LimitError: more facts than any host has.
    """
    with opening() as bundle:
        contents = read_contents(bundle)
    if contents.problem:
        raise FormatError(f"the list of items cannot be read to its end: {contents.problem}")
    families = frozenset(row.artifact for row in contents.rows)
    found = Gathered(contents.bundle_id, contents.about, families)
    wanted: dict[str, Row] = {}
    for row in contents.rows:
        _take_row(found, row)
        if row.stored.path is not None and _is_read(row):
            wanted[row.stored.path] = row
    for row, lines in lines_of(opening, wanted):
        for line in lines:
            _take_line(found, row, line)
    return found


def lines_of(opening: Opening, wanted: dict[str, Row]) -> Iterator[tuple[Row, Iterator[bytes]]]:
    """Yield each wanted item with its lines, which must be taken before the next one.

    Args:
        opening: gives the bundle open at its beginning.
        wanted: rows by the path of their payload file.

    Raises:
        FormatError: the container is damaged, or an item does not have the hash of its row (raised by the lines).
    """
    with opening() as bundle:
        for member in bundle.members():
            row = wanted.get(member.path)
            if row is not None:
                yield row, _lines(row, member)


def _lines(row: Row, member: Member) -> Iterator[bytes]:
    what, digest = f"item {row.item}", sha256()
    splitter, last = LineSplitter(what=what), b""
    for chunk in member.chunks():
        digest.update(chunk)
        last = chunk[-1:] or last
        yield from splitter.feed(chunk)
    if last not in (b"", b"\n"):
        yield from splitter.feed(b"\n")  # a file of the host may end without one
    if digest.hexdigest() != row.stored.sha256:
        raise FormatError(f"{what} does not have the hash that its row states", hint="run: hozen verify")  # fmt: skip


def _take_row(found: Gathered, row: Row) -> None:
    """Take what the row alone tells: a file or link of the host by path and hash, and what was not obtained."""
    if _key(row) == BODYFILE and row.outcome == "captured":
        found.names = row
    kind = row.details.get("kind")
    group = groups.of_file(row.artifact, row.source) if kind in {"file", "link"} else None
    if row.outcome in _WITHOUT and row.source != _EXECUTABLES:
        reason = f"item {row.item} {row.outcome}: {row.details.get('reason')}"
        found.gaps.extend(Gap(one, "", reason) for one in GROUPS_OF.get(_key(row), ()))
        if group is not None:
            found.gaps.append(Gap(group, row.source, reason))
    elif group is not None and row.stored.sha256 is not None and not _is_read(row):
        found.facts.append(Fact(group, row.source, row.stored.sha256, row.artifact, row.item))


def _is_read(row: Row) -> bool:
    if row.details.get("kind") == "record":
        return _key(row) in READERS or texts.is_read(*_key(row))
    return row.details.get("kind") == "file" and texts.is_read(*_key(row))


def _take_line(found: Gathered, row: Row, line: bytes) -> None:
    reader = READERS.get(_key(row))
    if reader is None:
        pairs = texts.of_line(row.source, line)
    else:
        record = parse_object(line, what=f"item {row.item}")
        if row.source == _EXECUTABLES:
            _take_program(found, row, record)
        pairs = reader(record)
    for group, key, value, package in pairs:
        found.facts.append(Fact(group, key, value, row.artifact, row.item, package))
    if len(found.facts) > MAX_FACTS:
        raise LimitError(f"more than {MAX_FACTS} facts in one bundle")


def _take_program(found: Gathered, row: Row, record: dict[str, object]) -> None:
    path, result = str(record.get("path")), str(record.get("result"))
    if result == "not_read":
        found.gaps.append(Gap("executable", path, f"item {row.item}: {record.get('reason')}"))
    elif result in _PACKAGE_SAYS:
        found.verdicts[path] = result


def _key(row: Row) -> tuple[str, str]:
    return row.artifact, row.source
