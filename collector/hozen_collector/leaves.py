"""Leaves of the log are added to the database, in the transaction of the event that they state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from hozen_collector.clock import now_ns
from hozen_collector.index.models import Leaf
from hozen_hashes.statement import Statement

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_hashes.note import VerifierKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a leaf will say; the words are those of `hozen_hashes.statement.Statement`."""

    event: str
    bundle: str | None = None
    case: str | None = None
    seal: str | None = None
    seal_state: str | None = None
    container_sha256: str | None = None
    container_size: int | None = None
    signature_sha256: str | None = None
    start_sha256: str | None = None
    first_journal_key_sha256: str | None = None
    signer_cert_sha256: str | None = None
    signer: str | None = None
    sender: str | None = None
    verified: str | None = None
    sealed_at: int | None = None
    arrived_at: int | None = None
    actor: str = "collector"


def count(session: Session) -> int:
    """Give how many leaves there are."""
    return session.scalar(select(func.count()).select_from(Leaf)) or 0


def append(session: Session, log_key: VerifierKey, event: Event) -> int:
    """Add the leaf for `event` and give its position; it is final when the session commits.

    The session must be a writing one: positions have no gaps because writers take turns.

    Raises:
        FormatError: a word of the event has no spelling in a statement.
    """
    position = (session.scalar(select(func.max(Leaf.position))) or 0) + 1 if count(session) else 0
    now = now_ns()
    words = {name: getattr(event, name) for name in Event.__dataclass_fields__}
    statement = Statement(
        log=log_key.name,
        log_key_sha256=log_key.sha256,
        previous=_previous(session, event.bundle),
        time=now,
        **words,
    )
    bundle = event.bundle or ""
    session.add(
        Leaf(
            position=position,
            event=event.event,
            text=statement.encode(),
            bundle=bundle,
            created=now,
        )
    )
    session.flush()
    return position


def _previous(session: Session, bundle: str | None) -> int | None:
    if not bundle:
        return None
    return session.scalar(select(func.max(Leaf.position)).where(Leaf.bundle == bundle))
