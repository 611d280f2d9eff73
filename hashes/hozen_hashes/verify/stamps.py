"""Time stamps judged together: what each is about, whether it holds, and which renewals carry it (timestamp-v1).

A stamp is judged after those that were made over it: they say until when its key must have been its owner's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from hozen_hashes.errors import BadDataError
from hozen_hashes.verify import others
from hozen_hashes.verify.report import Note, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography import x509

    from hozen_hashes.revocation import RevocationList
    from hozen_hashes.timestamp import Token

MACHINE_SEAL = "signatures/agent.p7s"
_UNVERIFIABLE = frozenset({"untrusted"})


class State(StrEnum):
    """How one stamp was judged."""

    HOLDS = "holds"
    UNTRUSTED = "untrusted"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNREADABLE = "unreadable"
    OTHER = "other"
    BAD = "bad"


WRONG = frozenset({State.OTHER, State.BAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """One stamp with its verdict.

    Attributes:
        name: of its file.
        target: what its imprint is of; empty when of nothing that is here.
        time: nanoseconds since 1970, the later end of what the authority states; None when it cannot be read.
        authority: subject of the authority's certificate.
        renewed_by: name of the later stamp that keeps it valid after its certificate expired.
        token: what it says, for the tier list; None when it cannot be read.
        revoked: what lists of revoked certificates say of its authority.
    """

    name: str
    state: State
    target: str = ""
    time: int | None = None
    authority: str = ""
    reason: str = ""
    renewed_by: str = ""
    token: Token | None = None
    revoked: tuple[Note, ...] = ()


def existed(stamps: Sequence[Stamp], target: str) -> Stamp | None:
    """Return the earliest stamp that holds for `target`; None when none does."""
    holding = [one for one in stamps if one.state is State.HOLDS and one.target == target]
    return min(holding, key=lambda one: one.time or 0, default=None)


def judge(
    files: Mapping[str, bytes],
    targets: Mapping[str, bytes],
    *,
    roots: Sequence[x509.Certificate],
    at: datetime,
    lists: Sequence[RevocationList] = (),
) -> tuple[Stamp, ...]:
    """Return each stamp's verdict, in the order of the file names.

    Args:
        files: the raw replies by file name.
        targets: what may have been stamped, by name; the stamps themselves are added to it.
        roots: of time-stamping authorities, from outside.
        at: the moment for which the authorities' certificates are judged, with time zone.
        lists: of revoked certificates, from outside.
    """
    known = {**targets, **files}
    first = {name: _alone(name, files[name], known, roots) for name in sorted(files)}
    bench = _Bench(first, roots, lists, at)
    return tuple(bench.judged(name) for name in first)


class _Bench:
    """Judges each stamp once, those over it before it."""

    def __init__(
        self,
        first: Mapping[str, Stamp],
        roots: Sequence[x509.Certificate],
        lists: Sequence[RevocationList],
        at: datetime,
    ) -> None:
        self._first, self._roots, self._lists, self._at = first, roots, lists, at
        self._done: dict[str, Stamp] = {}

    def judged(self, name: str) -> Stamp:
        if name in self._done:
            return self._done[name]
        stamp = self._first[name]
        # No hash names itself, so renewals make no circle; were there one, it would end here.
        self._done[name] = (
            stamp if stamp.state is not State.HOLDS else replace(stamp, state=State.BAD)
        )
        for later in self._first.values():
            if later.target == name:
                self.judged(later.name)
        self._done[name] = _aged(self._revoked(stamp), self._done, self._at)
        return self._done[name]

    def _revoked(self, stamp: Stamp) -> Stamp:
        if stamp.state is not State.HOLDS or stamp.token is None or not self._lists:
            return stamp
        over = existed(tuple(self._done.values()), stamp.name)
        renewed = None if over is None else over.time
        found = others.stamp(
            stamp.token, roots=self._roots, lists=self._lists, at=self._at, renewed=renewed
        )
        state = {Result.MATCH: State.HOLDS, Result.MISMATCH: State.BAD}.get(
            found.result, State.REVOKED
        )
        reason = "" if state is State.HOLDS else "lists of revoked certificates stand against it"
        return replace(stamp, state=state, reason=reason, revoked=found.notes)


def _alone(
    name: str, reply: bytes, known: Mapping[str, bytes], roots: Sequence[x509.Certificate]
) -> Stamp:
    """Judge one stamp as of its own time."""
    from hozen_hashes import timestamp  # noqa: PLC0415 - only when there is a stamp

    try:
        token = timestamp.read_token(reply)
    except BadDataError as error:
        return Stamp(name=name, state=State.UNREADABLE, reason=str(error))
    target = next((n for n, data in known.items() if n != name and token.is_about(data)), "")
    stamp = Stamp(
        name=name,
        state=State.HOLDS,
        target=target,
        time=token.latest,
        authority=token.signer.subject.rfc4514_string()[:200],
        token=token,
    )
    if not target:
        return replace(stamp, state=State.OTHER, reason="it was made for other bytes")
    try:
        timestamp.check(token, roots)
    except timestamp.TimestampError as error:
        state = State.UNTRUSTED if error.kind in _UNVERIFIABLE else State.BAD
        return replace(stamp, state=state, reason=str(error))
    return stamp


def _aged(stamp: Stamp, every: Mapping[str, Stamp], at: datetime) -> Stamp:
    """Judge a stamp that held at its time as of `at`: valid still, or carried by a renewal (RFC 4998 §5.2)."""
    if stamp.state is not State.HOLDS or stamp.token is None or stamp.token.valid_at(at):
        return stamp
    renewal = _renewal(stamp, every, at, seen=frozenset({stamp.name}))
    if renewal:
        return replace(stamp, renewed_by=renewal)
    ended = stamp.token.signer.not_valid_after_utc
    return replace(
        stamp,
        state=State.EXPIRED,
        reason=f"the authority's certificate ended {ended:%Y-%m-%dT%H:%M:%SZ}, and no renewal was made before",
    )


def _renewal(
    stamp: Stamp, every: Mapping[str, Stamp], at: datetime, *, seen: frozenset[str]
) -> str:
    """Return a stamp over this one that was made in time and holds at `at`, by itself or by renewals of its own."""
    for later in every.values():
        if later.name in seen or later.target != stamp.name or later.state is not State.HOLDS:
            continue
        token, ended = later.token, stamp.token
        if token is None or ended is None or not _in_time(token, ended):
            continue
        if token.valid_at(at) or _renewal(later, every, at, seen=seen | {later.name}):
            return later.name
    return ""


def _in_time(later: Token, earlier: Token) -> bool:
    made = datetime.fromtimestamp(later.latest // 10**9, UTC)
    return later.time >= earlier.time and earlier.valid_at(made)
