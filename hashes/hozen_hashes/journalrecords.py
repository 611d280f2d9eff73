"""The lines of a journal segment and of `files.jsonl` as typed records (bundle-v1 §6, §7)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import FormatError
from hozen_hashes.fields import Fields
from hozen_hashes.jsonl import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable

OUTCOMES: Final = frozenset(
    {"captured", "empty", "missing", "denied", "timed_out", "truncated", "failed"}
)
END_REASONS: Final = frozenset({"complete", "interrupted", "deadline", "full", "failed"})
_BYTELESS: Final = frozenset({"empty", "missing", "denied"})
_UNEXPLAINED: Final = frozenset({"captured", "empty"})


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """The first record of a segment."""

    epoch: int
    bundle: str
    previous: str | None
    key: str
    opened: str


@dataclass(frozen=True, slots=True)
class Start:
    """The one `start` record, in segment 0; `details` is the whole record."""

    identity_kind: str
    certificate_sha256: str
    plan_sha256: str
    sweep_sha256: str | None
    details: dict[str, object]


@dataclass(frozen=True, slots=True)
class Stored:
    """One payload file as a record names it, or nothing stored (all three None)."""

    path: str | None
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class ItemEntry:
    """An `item` record of the journal."""

    item: int
    outcome: str
    stored: Stored
    record: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first `size` bytes of a member that was still being written."""

    item: int
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TagMember:
    """A tag file that was written in the epoch."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Next:
    """The last record but in the last segment: the hash of the following public key file."""

    key: str


@dataclass(frozen=True, slots=True)
class End:
    """The last record of the last segment."""

    reason: str
    items: int
    closed: str
    detail: str


@dataclass(frozen=True, slots=True)
class Other:
    """A record that carries no proof: `case`, `note`, `command`, `volume`, or a type of a later version."""

    type: str
    details: dict[str, object]


Record = SegmentHead | Start | ItemEntry | Prefix | TagMember | Next | End | Other


def parse_record(line: bytes, *, what: str) -> Record:
    """Return the record that one journal line holds, without or with its LF.

    Raises:
        FormatError, LimitError: not JSON as bundle-v1 §2, or a key of the record is absent or of another type.
    """
    found = parse_object(line, what=what)
    fields = Fields(found, what=what)
    kind = fields.text("type")
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(fields)
    return _start(fields, found) if kind == "start" else Other(kind, found)


def _segment(fields: Fields) -> SegmentHead:
    return SegmentHead(
        fields.number("epoch"), fields.text("bundle"), fields.sha256_or_none("previous"),
        fields.sha256("key"), fields.text("opened"),
    )  # fmt: skip


def _prefix(fields: Fields) -> Prefix:
    return Prefix(
        fields.number("item"), fields.text("path"), fields.decimal("bytes"), fields.sha256("sha256")
    )


def _member(fields: Fields) -> TagMember:
    return TagMember(fields.text("path"), fields.decimal("size"), fields.sha256("sha256"))


def _next(fields: Fields) -> Next:
    return Next(fields.sha256("key"))


def _end(fields: Fields) -> End:
    reason = fields.text("reason")
    if reason not in END_REASONS:
        raise FormatError(f"{fields.what}: an unknown reason of the end")
    detail = fields.text_or_none("detail") or ""
    return End(reason, fields.number("items"), fields.text("closed"), detail)


def _start(fields: Fields, found: dict[str, object]) -> Start:
    identity = fields.inner("identity")
    sweep = fields.inner("sweep") if found.get("sweep") is not None else None
    return Start(
        identity_kind=identity.text("kind"),
        certificate_sha256=identity.sha256("certificate_sha256"),
        plan_sha256=fields.sha256("plan_sha256"),
        sweep_sha256=sweep.sha256_or_none("sha256") if sweep else None,
        details=found,
    )


def _item(fields: Fields) -> ItemEntry:
    return ItemEntry(
        fields.number("item"), _outcome(fields), _stored(fields), fields.sha256("record")
    )


def _outcome(fields: Fields) -> str:
    outcome = fields.text("outcome")
    if outcome not in OUTCOMES:
        raise FormatError(f"{fields.what}: an unknown outcome")
    return outcome


def _stored(fields: Fields) -> Stored:
    path, size = fields.text_or_none("path"), fields.decimal_or_none("size")
    digest = fields.sha256_or_none("sha256")
    absent = [value is None for value in (path, size, digest)]
    if any(absent) and not all(absent):
        raise FormatError(f"{fields.what}: path, size and sha256 are not all there or all null")
    if path is not None and fields.text("outcome") in _BYTELESS:
        raise FormatError(f"{fields.what}: names bytes although the outcome has none")
    return Stored(path, size, digest)


_READERS: Final[dict[str, Callable[[Fields], Record]]] = {
    "item": _item,
    "prefix": _prefix,
    "member": _member,
    "segment": _segment,
    "next": _next,
    "end": _end,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of `hozen/files/<n>.jsonl`; `record` is its SHA-256 with LF, `details` the whole object."""

    item: int
    artifact: str
    outcome: str
    stored: Stored
    record: str
    source: str
    details: dict[str, object]


def parse_row(line: bytes, *, what: str) -> Row:
    """Return the row that one line holds; the line must include its LF.

    Raises:
        FormatError, LimitError: not JSON as bundle-v1 §2, or a key of §7 is absent or of another type.
    """
    found = parse_object(line, what=what)
    fields = Fields(found, what=what)
    outcome = _outcome(fields)
    if outcome not in _UNEXPLAINED and not fields.text("reason"):
        raise FormatError(f"{what}: no reason for the outcome {outcome}")
    return Row(
        item=fields.number("item"),
        artifact=fields.text("artifact"),
        outcome=outcome,
        stored=_stored(fields),
        record=sha256(line).hexdigest(),
        source=fields.text("source"),
        details=found,
    )
