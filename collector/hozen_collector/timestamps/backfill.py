"""Bundles that are older than an authority in the settings are stamped by it too: a walk along the log, in jobs.

Each authority has its own walk. It remembers the last leaf that it passed, and goes on from there at the next start, so
that nothing is left out which was accepted while the settings did not have the authority.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from hozen_collector import jobs
from hozen_collector.clock import now_ns
from hozen_collector.index.models import Container, Envelope, Job, Leaf
from hozen_collector.timestamps import copies, tasks
from hozen_hashes.statement import parse_statement

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_collector.index.engine import Index
    from hozen_collector.runtime import Collector
    from hozen_collector.timestamps.authorities import Authorities

BACKFILL: Final = "backfill"
_ACCEPTED: Final = ("ingest", "partial", "variant")
_BATCH: Final = 200  # leaves a step: a new bundle waits for the stamps of at most so many old ones


def promise(index: Index, authorities: Authorities) -> None:
    """At start, promise the walk of each authority, and the copies of stamps kept before; raises HozenError."""
    if not authorities.every:
        return
    with index.write() as session:
        last = session.scalar(select(func.max(Leaf.position)))
        for authority in authorities.every:
            passed = _passed(session, authority.name)
            if last is not None and passed is not None and passed < last:
                _promise(session, authority.name, passed)
        copies.promise(session, tasks.RENEWALS)


def go_on(collector: Collector, job: jobs.Claim) -> None:
    """Promise the stamps of the next leaves, and the step after; raises HozenError."""
    after, name = int(job.args["after"]), job.args["authority"]
    with collector.index.write() as session:
        query = select(Leaf.position, Leaf.event, Leaf.text).where(Leaf.position > after)
        rows = session.execute(query.order_by(Leaf.position).limit(_BATCH)).all()
        for position, event, text in rows:
            if event in _ACCEPTED:
                _promise_accepted(session, name, text)
            elif event == "envelope":
                _promise_enveloped(session, name, position)
        if rows:
            _promise(session, name, rows[-1].position)
        jobs.finish(session, job)


def _passed(session: Session, name: str) -> int | None:
    """Give the last leaf that the authority's walk passed, -1 before the first; None while it is under way."""
    mine = Job.key.startswith(f"stamp:{BACKFILL}:{name}:", autoescape=True)
    query = select(Job.args, Job.state).where(Job.task == tasks.TASKS + name, mine)
    last = session.execute(query.order_by(Job.id.desc()).limit(1)).first()
    if last is None:
        return -1
    return int(json.loads(last.args)["after"]) if last.state == jobs.DONE else None


def _promise(session: Session, name: str, after: int) -> None:
    now = str(now_ns())
    words = {"kind": BACKFILL, "target": "older bundles", "authority": name, "after": str(after)}
    key = f"stamp:{BACKFILL}:{name}:{after}:{now}"
    jobs.enqueue(session, tasks.TASKS + name, {**words, "at": now}, key=key)


def _promise_accepted(session: Session, name: str, text: bytes) -> None:
    stated = parse_statement(text)
    if stated.signature_sha256 is None or stated.bundle is None:
        return
    about = {"bundle": stated.bundle, "case": stated.case or "", "seal": stated.seal or ""}
    tasks.promise_seal_by(session, name, stated.signature_sha256, **about)


def _promise_enveloped(session: Session, name: str, position: int) -> None:
    query = select(Envelope.seal_signature, Container.bundle, Container.case_id, Container.seal)
    mine = query.join(Container, Container.sha256 == Envelope.container)
    row = session.execute(mine.where(Envelope.leaf == position).limit(1)).first()
    if row is not None:
        about = {"bundle": row.bundle, "case": row.case_id, "seal": row.seal}
        tasks.promise_seal_by(session, name, row.seal_signature, **about)
