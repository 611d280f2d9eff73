"""How the time stamps stand, for `hozen collector status`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from hozen_collector.index.models import Job, Stamp
from hozen_collector.jobs import FAILED, READY
from hozen_collector.timestamps.tasks import RENEWAL, RENEWALS, TASKS
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamps:
    """Counts; times are RFC 3339, empty where there is none. `lapsed` stamps ended before they were renewed."""

    stamped: int
    waiting: int
    oldest_waiting: str
    next_renewal: str
    lapsed: int
    failures: list[str]

    def lines(self, w: Mapping[str, str]) -> list[str]:
        """Give the lines for a terminal; none when there was never anything to stamp."""
        if not self.stamped and not self.waiting:
            return []
        since = f" ({w['oldest']} {self.oldest_waiting})" if self.oldest_waiting else ""
        lapsed = f", {w['lapsed']}: {self.lapsed}" if self.lapsed else ""
        counts = f"{w['stamps']}: {w['stamped']} {self.stamped}, {w['waiting']} {self.waiting}{since}{lapsed}"
        renewal = [f"  {w['next_renewal']} {self.next_renewal}"] if self.next_renewal else []
        return [counts, *renewal, *(f"  {one}" for one in self.failures)]


def timestamps(session: Session) -> Timestamps:
    """Give how they stand now."""
    mine = Job.task.like(f"{TASKS}%")
    ready = (mine, Job.state == READY)
    oldest = session.scalar(select(Job.args).where(*ready).order_by(Job.id).limit(1))
    renewed = select(Stamp.target).where(Stamp.kind == RENEWAL)
    due = select(func.min(Stamp.renew_at)).where(Stamp.sha256.not_in(renewed))
    failing = select(Job.error).where(*ready, Job.error != "").order_by(Job.id).limit(_SHOWN)
    return Timestamps(
        stamped=session.scalar(select(func.count()).select_from(Stamp)) or 0,
        waiting=session.scalar(select(func.count()).select_from(Job).where(*ready)) or 0,
        oldest_waiting=_at(oldest),
        next_renewal=_time(session.scalar(due)),
        lapsed=session.scalar(
            select(func.count()).select_from(Job).where(Job.task == RENEWALS, Job.state == FAILED)
        )
        or 0,
        failures=list(session.scalars(failing)),
    )


def _at(args: str | None) -> str:
    words: dict[str, Any] = json.loads(args) if args else {}
    return _time(int(words["at"])) if "at" in words else ""


def _time(when: int | None) -> str:
    return "" if when is None else rfc3339(when)
