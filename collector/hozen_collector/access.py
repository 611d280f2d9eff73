"""The access log (law M21): who saw or exported what, when and from where, each row linked to the one before."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from hozen_collector.clock import now_ns
from hozen_collector.index.models import Access
from hozen_hashes.errors import MismatchError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_collector.index.engine import Index

_FIRST: Final = "0" * 64


def record_access(index: Index, *, actor: str, address: str, action: str, subject: str) -> None:
    """Add a row, durably, before what it speaks of is given out. Blocks."""
    with index.write() as session:
        last = session.scalar(select(Access).order_by(Access.id.desc()).limit(1))
        row = Access(
            id=last.id + 1 if last else 0,
            at=now_ns(),
            actor=actor,
            address=address,
            action=action,
            subject=subject,
            previous=last.sha256 if last else _FIRST,
            sha256="",
        )
        row.sha256 = _digest(row)
        session.add(row)


def check_accesses(session: Session) -> int:
    """Give how many rows there are, when each carries the hash of the one before.

    Raises:
        MismatchError: a row was altered, removed or put in.
    """
    previous, count = _FIRST, 0
    for row in session.scalars(select(Access).order_by(Access.id)):
        if row.id != count or row.previous != previous or row.sha256 != _digest(row):
            raise MismatchError(f"the access log was altered at row {row.id}")
        previous, count = row.sha256, count + 1
    return count


def _digest(row: Access) -> str:
    words = [row.id, str(row.at), row.actor, row.address, row.action, row.subject, row.previous]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()
