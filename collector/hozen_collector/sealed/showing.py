"""What is kept beside encrypted containers, as data: for `hozen collector status` and for the status page."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from hozen_collector.index.models import Envelope, Opening
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

MAX_SHOWN: Final = 10  # of each kind, of one container
_MAX_ROWS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEnvelope:
    """An envelope that is kept; `subjects` are those of the certificates, as its signer names them."""

    digest: str
    signer: str
    vouched: bool
    recipients: int
    subjects: list[str]
    arrived_at: str
    leaf: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOpening:
    """A person's claim to have opened and verified the bundle elsewhere; the collector checked its signature only."""

    signer: str
    certificate: str
    states: str
    stated_at: str
    arrived_at: str
    leaf: int


def envelopes_of(session: Session, containers: Sequence[str]) -> dict[str, list[ShownEnvelope]]:
    """Give the envelopes of these containers in the order of their arrival, the first MAX_SHOWN of each."""
    query = select(Envelope).where(Envelope.container.in_(containers))
    found: dict[str, list[ShownEnvelope]] = defaultdict(list)
    for row in session.scalars(query.order_by(Envelope.leaf).limit(_MAX_ROWS)):
        if len(found[row.container]) < MAX_SHOWN:
            found[row.container].append(
                ShownEnvelope(
                    digest=row.digest,
                    signer=row.signer_name,
                    vouched=row.vouched,
                    recipients=row.recipients,
                    subjects=json.loads(row.keys),
                    arrived_at=rfc3339(row.arrived),
                    leaf=row.leaf,
                )
            )
    return found


def openings_of(session: Session, containers: Sequence[str]) -> dict[str, list[ShownOpening]]:
    """Give the opening statements about these containers in the order of their arrival, the first MAX_SHOWN of each."""
    query = select(Opening).where(Opening.container.in_(containers))
    found: dict[str, list[ShownOpening]] = defaultdict(list)
    for row in session.scalars(query.order_by(Opening.leaf).limit(_MAX_ROWS)):
        if len(found[row.container]) < MAX_SHOWN:
            found[row.container].append(
                ShownOpening(
                    signer=row.signer_name,
                    certificate=row.signer,
                    states=row.states,
                    stated_at=rfc3339(row.stated),
                    arrived_at=rfc3339(row.arrived),
                    leaf=row.leaf,
                )
            )
    return found
