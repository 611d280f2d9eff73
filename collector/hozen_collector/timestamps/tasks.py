"""What is to be stamped, promised as jobs: each machine seal with its acceptance, the log on a schedule, renewals.

A job is one of:
    seal        over `signatures/agent.p7s` of an accepted container, by one authority
    checkpoint  over a checkpoint of the log, by one authority
    renewal     over an earlier stamp's raw reply, by the first authority whose certificate lives longer
    backfill    a step along the log that promises the seals of older bundles (`backfill`)
    copies      a step that writes older stamps beside their containers (`copies`)
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from hozen_collector import jobs
from hozen_collector.clock import SECOND, now_ns
from hozen_collector.index.models import Job, Leaf, Stamp
from hozen_collector.timestamps.keeping import put

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_collector.runtime import Collector

TASKS: Final = "stamp/"  # and the name of the authority
RENEWALS: Final = "stamp/.renewals"
SEAL: Final = "seal"
CHECKPOINT: Final = "checkpoint"
RENEWAL: Final = "renewal"
_BATCH: Final = 500


def promise_seal(
    session: Session, collector: Collector, signature: str, *, bundle: str, case: str, seal: str
) -> None:
    """Promise the stamps of a machine seal, once for each authority, in the transaction of its acceptance."""
    for authority in collector.authorities.every:
        promise_seal_by(session, authority.name, signature, bundle=bundle, case=case, seal=seal)


def promise_seal_by(
    session: Session, name: str, signature: str, *, bundle: str, case: str, seal: str
) -> None:
    """Promise the stamp of a machine seal by one authority, once."""
    words = {"kind": SEAL, "target": signature, "authority": name, "at": str(now_ns())}
    about = {"bundle": bundle, "case": case, "seal": seal}
    key = f"stamp:{SEAL}:{signature}:{name}"
    jobs.enqueue(session, TASKS + name, {**words, **about}, key=key)


def promise_due(collector: Collector) -> bool:
    """Promise what the time asks for: a stamp over the log, and renewals; True when there was something.

    Raises:
        HozenError: disk or database refuse; it is looked at again soon.
    """
    if not collector.authorities.every:
        return False
    return _promise_checkpoint(collector) | _promise_renewals(collector)


def _promise_checkpoint(collector: Collector) -> bool:
    with collector.index.read() as session:
        due = [
            one.name
            for one in collector.authorities.every
            if _checkpoint_due(session, collector, one.name)
        ]
    if not due:
        return False
    checkpoint, note = collector.log.signed
    sha256 = hashlib.sha256(note).hexdigest()
    put(collector, note, sha256)
    with collector.index.write() as session:
        for name in due:
            words = {"kind": CHECKPOINT, "target": sha256, "authority": name}
            more = {"size": str(checkpoint.size), "at": str(now_ns())}
            jobs.enqueue(
                session, TASKS + name, {**words, **more}, key=f"stamp:{CHECKPOINT}:{sha256}:{name}"
            )
    return True


def _checkpoint_due(session: Session, collector: Collector, authority: str) -> bool:
    """Return whether the interval is over, the last one was made, and the log has news that is not a stamp's own."""
    size = collector.log.signed[0].size
    mine = (Job.task == TASKS + authority, Job.key.like(f"stamp:{CHECKPOINT}:%"))
    last = session.execute(
        select(Job.args, Job.state).where(*mine).order_by(Job.id.desc()).limit(1)
    ).first()
    before = 0
    if last is not None:
        args = json.loads(last.args)
        waited = now_ns() - int(args["at"])
        if (
            last.state != jobs.DONE
            or waited < collector.settings.timestamps.checkpoint_every * SECOND
        ):
            return False
        before = int(args["size"])
    news = select(Leaf.position).where(
        Leaf.position >= before, Leaf.position < size, Leaf.event != "attachment"
    )
    return session.scalar(news.limit(1)) is not None


def _promise_renewals(collector: Collector) -> bool:
    """Promise a stamp over each stamp that is due for renewal and has none over it."""
    renewed = select(Stamp.target).where(Stamp.kind == RENEWAL)
    promised = select(func.substr(Job.key, len(f"stamp:{RENEWAL}:") + 1)).where(
        Job.key.like(f"stamp:{RENEWAL}:%")
    )
    old = select(Stamp.sha256).where(
        Stamp.renew_at <= now_ns(), Stamp.sha256.not_in(renewed), Stamp.sha256.not_in(promised)
    )
    with collector.index.read() as session:
        due = session.scalars(old.order_by(Stamp.renew_at).limit(_BATCH)).all()
    if not due:
        return False
    with collector.index.write() as session:
        for sha256 in due:
            words = {"kind": RENEWAL, "target": sha256, "at": str(now_ns())}
            jobs.enqueue(session, RENEWALS, words, key=f"stamp:{RENEWAL}:{sha256}")
    return True
