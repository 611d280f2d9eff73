"""A bundle that was verified and is then read again: every payload byte is held against its verified row once more.

Verification reads the bundle once; on the way its list of items is kept. Each later reading compares what it gives out
with that list, so that a file that was exchanged between two readings cannot get into an export.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import FormatError, HozenError, LimitError, MismatchError
from hozen_hashes.journalrecords import Row, parse_row
from hozen_hashes.jsonl import parse_object
from hozen_hashes.lines import LineSplitter
from hozen_hashes.verify import VerificationReport, Word, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from hozen_hashes.opened import Member, OpenBundle
    from hozen_hashes.verify import Anchors

    Opening = Callable[[], AbstractContextManager[OpenBundle]]

_ABOUT: Final = "hozen/bundle.json"
_ROWS: Final = "hozen/files/"
_MAX_JSON: Final = 1 << 24


@dataclass(slots=True)
class Source:
    """A bundle and what its verification said.

    Attributes:
        report: of the first reading.
        rows: every attempt, by item number; `about`: its `bundle.json`.
        opening: gives the bundle open at its beginning.
        verified: its integrity is a match; when not, nothing that is read from it proves anything.
        sizes: of the payload files as they are, by path, when it is not verified.
        damaged: items whose bytes are not those of their row, in an unverified bundle.
    """

    report: VerificationReport
    rows: list[Row]
    about: dict[str, object]
    opening: Opening
    verified: bool
    sizes: dict[str, int] = field(default_factory=dict)
    damaged: list[int] = field(default_factory=list)

    def part(self, name: str) -> dict[str, object]:
        """Return one object of `bundle.json`, for example `host`; empty when it has none."""
        found = self.about.get(name)
        return found if isinstance(found, dict) else {}

    def size(self, row: Row) -> int | None:
        """Return how many bytes `payload` gives for this row; None when it gives none."""
        if row.stored.path is None:
            return None
        return row.stored.size if self.verified else self.sizes.get(row.stored.path)

    def payloads(self, wanted: Callable[[Row], bool]) -> Iterator[tuple[Row, Iterator[bytes]]]:
        """Yield each wanted row that has bytes, in the bundle's order, with its chunks.

        The chunks must be taken before the next row.

        Raises:
            MismatchError: the bytes are not those that were verified (raised by the chunks).
            FormatError: the container is damaged.
        """
        by_path = {
            row.stored.path: row
            for row in self.rows
            if row.stored.path is not None and self.size(row) is not None and wanted(row)
        }
        if not by_path:
            return
        with self.opening() as bundle:
            for member in bundle.members():
                row = by_path.get(member.path)
                if row is not None:
                    yield row, self._checked(row, member)
                elif not bundle.resumable:
                    _take_all(member)

    def members(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield files of the bundle by path, not compared with anything; take the chunks before the next one."""
        with self.opening() as bundle:
            for member in bundle.members():
                if wanted(member.path):
                    yield member.path, member.chunks()
                elif not bundle.resumable:
                    _take_all(member)

    def records(self, wanted: Callable[[Row], bool]) -> Iterator[tuple[Row, dict[str, object]]]:
        """Yield the parsed records of each wanted row: the lines of a `.jsonl`, the object of a `.json`.

        Raises:
            FormatError, LimitError: a record is not in the form of bundle-v1 §2.
            MismatchError: as `payloads`.
        """
        for row, chunks in self.payloads(lambda row: is_record(row) and wanted(row)):
            if str(row.stored.path).endswith(".json"):
                yield row, parse_object(_whole(chunks, row), what=f"item {row.item}")
                continue
            for line in lines(row, chunks):
                yield row, parse_object(line, what=f"item {row.item}")

    def _checked(self, row: Row, member: Member) -> Iterator[bytes]:
        digest = sha256()
        for chunk in member.chunks():
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() == row.stored.sha256:
            return
        if self.verified:
            raise MismatchError(
                f"item {row.item} is not what was verified a moment ago",
                hint="Something changed the bundle during the export: run hozen verify.",
            )
        if row.item not in self.damaged:
            self.damaged.append(row.item)


def is_record(row: Row) -> bool:
    """Return whether the row's bytes are records of the agent as JSON."""
    path = row.stored.path or ""
    return row.details.get("kind") == "record" and path.endswith((".json", ".jsonl"))


def lines(row: Row, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines of an item, with their LF; the last one may have none."""
    splitter, last = LineSplitter(what=f"item {row.item}"), b"\n"
    for chunk in chunks:
        last = chunk[-1:] or last
        yield from splitter.feed(chunk)
    if last != b"\n":
        yield from splitter.feed(b"\n")


def open_source(opening: Opening, *, anchors: Anchors, at: datetime, unverified: bool) -> Source:
    """Return the bundle after its verification.

    Args:
        opening: gives the bundle open at its beginning, as often as asked.
        anchors: what is known from outside.
        at: the moment for which certificates are judged.
        unverified: go on when the integrity is no match; the source then says so.

    Raises:
        MismatchError: something is not as it was sealed, or contradicts what is known from outside.
        FormatError: it is no bundle, or its list of items cannot be read.
    """
    with opening() as bundle:
        tap = _Tap(bundle)
        report = verify(tap, anchors=anchors, at=at)
    verified = report.integrity is Word.MATCH and report.word is not Word.MISMATCH
    if not verified and not unverified:
        raise MismatchError(
            f"the bundle is not verified: {report.word.value}, integrity {report.integrity.value}",
            hint="See hozen verify; --unverified exports it all the same, marked as unverified.",
        )
    if tap.problem is not None:
        raise FormatError(f"the list of items cannot be read: {tap.problem}")
    rows = sorted(tap.rows, key=lambda row: row.item)
    source = Source(report, rows, tap.about, opening, verified)
    if not verified:
        source.sizes = _sizes(source)
    return source


class _Tap:
    """An open bundle of which the list of items is kept while somebody else reads it."""

    def __init__(self, inner: OpenBundle) -> None:
        self._inner = inner
        self.form, self.resumable, self.odd = inner.form, inner.resumable, inner.odd
        self.bundle_id = inner.bundle_id
        self.rows: list[Row] = []
        self.about: dict[str, object] = {}
        self.problem: HozenError | None = None

    def is_ours(self) -> bool:
        return self._inner.is_ours()

    def ciphertext_sha256(self) -> str | None:
        return self._inner.ciphertext_sha256()

    def members(self) -> Iterator[Member]:
        for member in self._inner.members():
            self.bundle_id = self._inner.bundle_id
            yield (
                _Heard(member, self)
                if member.path.startswith(_ROWS) or member.path == _ABOUT
                else member
            )

    def hear(self, path: str, data: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks again, having kept what they say."""
        splitter, kept = LineSplitter(what=path), bytearray()
        for chunk in data:
            yield chunk
            if path == _ABOUT:
                kept += chunk[: _MAX_JSON - len(kept)]
            else:
                self._rows(splitter, chunk, path)
        if path == _ABOUT:
            self._parsed(bytes(kept))

    def _rows(self, splitter: LineSplitter, chunk: bytes, path: str) -> None:
        try:
            self.rows.extend(parse_row(line, what=path) for line in splitter.feed(chunk))
        except (FormatError, LimitError) as error:
            self.problem = self.problem or error

    def _parsed(self, data: bytes) -> None:
        try:
            self.about = parse_object(data, what=_ABOUT)
        except (FormatError, LimitError) as error:
            self.problem = self.problem or error


class _Heard:
    """A member that is listened to."""

    def __init__(self, member: Member, tap: _Tap) -> None:
        self.path = member.path
        self._member, self._tap = member, tap

    def chunks(self) -> Iterator[bytes]:
        return self._tap.hear(self.path, self._member.chunks())


def _sizes(source: Source) -> dict[str, int]:
    """Return how long the payload files of an unverified bundle are; those that cannot be read are left out."""
    paths = {row.stored.path: row.item for row in source.rows if row.stored.path is not None}
    found: dict[str, int] = {}
    with source.opening() as bundle:
        try:
            for member in bundle.members():
                if member.path in paths:
                    found[member.path] = _take_all(member)
        except (FormatError, LimitError):
            pass  # what comes after the damage is not there
    source.damaged.extend(item for path, item in paths.items() if path not in found)
    return found


def _take_all(member: Member) -> int:
    return sum(len(chunk) for chunk in member.chunks())


def _whole(chunks: Iterator[bytes], row: Row) -> bytes:
    kept = bytearray()
    for chunk in chunks:
        kept += chunk
        if len(kept) > _MAX_JSON:
            raise LimitError(f"item {row.item}: a record of more than {_MAX_JSON} bytes")
    return bytes(kept)
