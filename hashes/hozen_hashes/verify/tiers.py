"""What kind of authority made a stamp: only from a dated list given from outside (timestamp-v1 §4, law M09)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes

from hozen_hashes.errors import BadDataError, FormatError, LimitError
from hozen_hashes.fields import Fields
from hozen_hashes.jsonl import parse_object

if TYPE_CHECKING:
    from cryptography import x509

    from hozen_hashes.timestamp import Token
    from hozen_hashes.verify.anchors import Anchors
    from hozen_hashes.verify.stamps import Stamp

FORMAT: Final = "hozen-tsa-list/1"
TIERS: Final = frozenset({"general", "mic-accredited", "eu-qualified"})
MAX_AUTHORITIES: Final = 1000
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """One entry of the list; both days are included."""

    name: str
    tier: str
    root_sha256: str
    valid_from: date
    valid_until: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TsaList:
    """Which authorities are of which kind, as of a day."""

    as_of: date
    authorities: tuple[Authority, ...]


@dataclass(frozen=True, slots=True)
class Tier:
    """`none` or a tier of the list, with the day of the list; `as_of` is empty without a list."""

    name: str = "none"
    as_of: str = ""


def read_tsa_list(data: bytes) -> TsaList:
    """Return the list.

    Raises:
        FormatError: not the form of timestamp-v1 §4, with the key.
        LimitError: more authorities than the format has.
    """
    whole = Fields(parse_object(data, what="the TSA list"), what="the TSA list")
    if whole.text("format") != FORMAT:
        raise FormatError(f"the TSA list is not of the format {FORMAT}")
    entries = whole.objects("authorities")
    if len(entries) > MAX_AUTHORITIES:
        raise LimitError(f"the TSA list has more than {MAX_AUTHORITIES} authorities")
    return TsaList(
        as_of=_day(whole.text("as_of")), authorities=tuple(_authority(one) for one in entries)
    )


def tier_of(stamp: Stamp, anchors: Anchors) -> Tier:
    """Return the tier of a stamp that holds; `none` when no entry fits root and date."""
    listed = anchors.tsa_list
    if listed is None or stamp.token is None:
        return Tier()
    when = datetime.fromtimestamp(stamp.token.time // 10**9, UTC).date()
    for entry in listed.authorities:
        if entry.valid_from <= when and (entry.valid_until is None or when <= entry.valid_until):
            root = _root(entry, anchors.tsa_roots)
            if root is not None and _under(stamp.token, root):
                return Tier(entry.tier, listed.as_of.isoformat())
    return Tier(as_of=listed.as_of.isoformat())


def _root(entry: Authority, roots: tuple[x509.Certificate, ...]) -> x509.Certificate | None:
    wanted = bytes.fromhex(entry.root_sha256)
    return next((one for one in roots if one.fingerprint(hashes.SHA256()) == wanted), None)


def _under(token: Token, root: x509.Certificate) -> bool:
    from hozen_hashes import timestamp  # noqa: PLC0415 - only when there is a stamp

    try:
        timestamp.check(token, (root,))
    except BadDataError:
        return False
    return True


def _authority(fields: Fields) -> Authority:
    tier = fields.text("tier")
    if tier not in TIERS:
        raise FormatError(f"{fields.what}: tier is none of {', '.join(sorted(TIERS))}")
    until = fields.text_or_none("valid_until")
    return Authority(
        name=fields.text("name"),
        tier=tier,
        root_sha256=fields.sha256("root_sha256"),
        valid_from=_day(fields.text("valid_from")),
        valid_until=None if until is None else _day(until),
    )


def _day(text: str) -> date:
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise FormatError(f"the TSA list: {text[:20]!r} is no day (YYYY-MM-DD)")
