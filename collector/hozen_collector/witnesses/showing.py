"""What is said of the witnesses in `hozen collector status` and on the status page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from hozen_collector.index.models import Cosignature, Witness
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """A witness that is asked; `size` and `cosigned_at` (the collector's clock) are of its last cosignature.

    `failures` counts those in a row; `error` and `failed_at` are of the last one.
    """

    name: str
    url: str
    size: int
    cosigned_at: str
    failures: int
    error: str
    failed_at: str


def witnessed(session: Session) -> list[Witnessed]:
    """Give the witnesses that were asked when the collector last began to serve, by name."""
    asked = select(Witness).where(Witness.asked.is_(True)).order_by(Witness.name)
    return [_shown(session, row) for row in session.scalars(asked).all()]


def _shown(session: Session, row: Witness) -> Witnessed:
    query = select(Cosignature).where(Cosignature.key == row.key)
    last = session.scalar(query.order_by(Cosignature.size.desc()).limit(1))
    return Witnessed(
        name=row.name,
        url=row.url,
        size=0 if last is None else last.size,
        cosigned_at="" if last is None else rfc3339(last.arrived),
        failures=row.failures,
        error=row.error,
        failed_at="" if row.failed is None else rfc3339(row.failed),
    )
