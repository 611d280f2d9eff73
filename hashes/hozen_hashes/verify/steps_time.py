"""Step 13 of bundle-v1 §11: since when the bundle exists, said by a receipt or by time-stamping authorities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes.names import rfc3339
from hozen_hashes.verify import others
from hozen_hashes.verify.reading import SIGNATURE
from hozen_hashes.verify.report import Note, Result, StepResult
from hozen_hashes.verify.stamps import MACHINE_SEAL, WRONG, Stamp, State, existed, judge
from hozen_hashes.verify.tiers import tier_of

if TYPE_CHECKING:
    from datetime import datetime

    from hozen_hashes.verify.anchors import Anchors
    from hozen_hashes.verify.reading import Reading
    from hozen_hashes.verify.steps_outside import Receipted

_BESIDE_RECEIPT = ("receipt.p7s", "checkpoint")


@dataclass(frozen=True, slots=True)
class Stamped:
    """The stamps beside the bundle, judged.

    Attributes:
        moment: nanoseconds since 1970 at which the machine seal existed at the latest; None when no stamp shows it.
        by: the authority that says so.
    """

    stamps: tuple[Stamp, ...] = ()
    moment: int | None = None
    by: str = ""

    def existed(self, target: str) -> datetime | None:
        """Return when `target` existed at the latest, as stamps that hold say; None when none does."""
        first = existed(self.stamps, target)
        return None if first is None or first.time is None else others.moment(first.time)


def stamped(reading: Reading, anchors: Anchors, at: datetime) -> Stamped:
    """Judge every stamp, and find the earliest one that holds for the machine seal, or for what covers it."""
    if not anchors.timestamps:
        return Stamped()
    targets, lists = _targets(reading, anchors), anchors.revoked
    stamps = judge(anchors.timestamps, targets, roots=anchors.tsa_roots, at=at, lists=lists)
    first = existed(stamps, MACHINE_SEAL)
    return Stamped(stamps) if first is None else Stamped(stamps, first.time, first.authority)


def time(receipted: Receipted, stamps: Stamped, anchors: Anchors) -> StepResult:
    """Step 13: 一致 when a receipt or a stamp shows it; a stamp that is about other bytes is 不一致."""
    notes = [*_said_by_log(receipted)]
    for one in stamps.stamps:
        notes += [_note(one, anchors), *one.revoked]
    if any(one.state in WRONG for one in stamps.stamps):
        return StepResult(13, Result.MISMATCH, tuple(notes))
    if receipted.moment is not None or stamps.moment is not None:
        return StepResult(13, Result.MATCH, tuple(notes))
    notes.append(Note("no-time"))
    nothing = not stamps.stamps and receipted.step.result is Result.NOT_RUN
    return StepResult(13, Result.NOT_RUN if nothing else Result.NOT_VERIFIABLE, tuple(notes))


def _targets(reading: Reading, anchors: Anchors) -> dict[str, bytes]:
    p7s = reading.kept.get(SIGNATURE)
    found = {} if p7s is None else {MACHINE_SEAL: p7s}
    found.update({n: data for n, data in anchors.operator.items() if n.endswith(".p7s")})
    receipt = anchors.receipt or {}
    found.update({f"receipt/{n}": receipt[n] for n in _BESIDE_RECEIPT if n in receipt})
    return found


def _said_by_log(receipted: Receipted) -> list[Note]:
    if receipted.moment is None:
        return []
    return [Note("existed", {"time": rfc3339(receipted.moment), "log": receipted.by})]


def _note(stamp: Stamp, anchors: Anchors) -> Note:
    values = {
        "file": stamp.name,
        "target": stamp.target or "-",
        "by": stamp.authority or "-",
        "time": "-" if stamp.time is None else rfc3339(stamp.time),
        "reason": stamp.reason,
        "renewal": stamp.renewed_by,
    }
    if stamp.state is State.HOLDS:
        tier = tier_of(stamp, anchors)
        values |= {"tier": tier.name, "as_of": tier.as_of or "-"}
        return Note("stamp-renewed", values) if stamp.renewed_by else Note("stamp-holds", values)
    refusals = {
        State.UNTRUSTED: Note("stamp-untrusted", values),
        State.EXPIRED: Note("stamp-expired", values),
        State.REVOKED: Note("stamp-revoked", values),
        State.UNREADABLE: Note("stamp-unreadable", values),
        State.OTHER: Note("stamp-other", values),
        State.BAD: Note("stamp-bad", values),
    }
    return refusals[stamp.state]
