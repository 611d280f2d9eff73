"""Work that outlives a crash: a lease table, filled in the transaction of its cause.

A task is safe to run again: it is keyed, and each of its steps looks first whether it was done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import case, select, update

from hozen_collector import faults
from hozen_collector.clock import SECOND, now_ns
from hozen_collector.index.models import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from hozen_collector.index.engine import Index

READY: Final = "ready"
DONE: Final = "done"
FAILED: Final = "failed"
_ASIDE: Final = 20


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is ours until its lease runs out."""

    id: int
    task: str
    args: dict[str, str]
    attempts: int


def enqueue(session: Session, task: str, args: Mapping[str, str], *, key: str) -> None:
    """Promise `task`, once for each `key`, together with whatever else the session writes."""
    if session.scalar(select(Job.id).where(Job.key == key)) is None:
        session.add(
            Job(
                task=task,
                args=json.dumps(dict(args)),
                key=key,
                state=READY,
                not_before=0,
                attempts=0,
                error="",
            )
        )


def claim(index: Index, *, lease_seconds: int, tasks: tuple[str, ...] = ()) -> Claim | None:
    """Take the oldest free job of these tasks (of any, when none is named), for `lease_seconds`; None without one."""
    with index.read() as session:
        if session.scalar(_free(tasks)) is None:
            return None
    with index.write() as session:
        job = session.scalar(_free(tasks))
        if job is None:
            return None
        job.not_before = now_ns() + lease_seconds * SECOND
        job.attempts += 1
        claimed = Claim(job.id, job.task, json.loads(job.args), job.attempts)
    faults.reach("job-claimed")
    return claimed


def extend(index: Index, job: Claim, *, lease_seconds: int) -> None:
    """Keep a job that takes longer than its lease."""
    with index.write() as session:
        session.execute(
            update(Job).where(Job.id == job.id).values(not_before=now_ns() + lease_seconds * SECOND)
        )


def finish(session: Session, job: Claim) -> None:
    """Close the job, together with whatever else the session writes."""
    session.execute(update(Job).where(Job.id == job.id).values(state=DONE, error=""))


def fail(
    index: Index, job: Claim, error: str, *, retry_seconds: int, passing: bool, final: bool
) -> None:
    """Note why an attempt failed; it is tried again later unless `final`, and one that is `passing` is not counted."""
    with index.write() as session:
        session.execute(
            update(Job)
            .where(Job.id == job.id)
            .values(
                state=FAILED if final else READY,
                error=error[:2000],
                attempts=job.attempts - 1 if passing else job.attempts,
                not_before=now_ns() + retry_seconds * SECOND,
            )
        )


def hurry(index: Index, task: str) -> None:
    """Let the jobs of a task that wait after a failure be tried at once: what hindered them is over."""
    waiting = (Job.task == task, Job.state == READY, Job.error != "")
    with index.write() as session:
        session.execute(update(Job).where(*waiting).values(not_before=0))


def release_all(index: Index, *, max_attempts: int) -> None:
    """Give every lease back and every failed job one more chance: at start, nobody else works here.

    A job that was begun `max_attempts` times and never ended may be what brings the collector down: it waits a while,
    so that everything else is done first.
    """
    later = case((Job.attempts >= max_attempts, now_ns() + _ASIDE * SECOND), else_=0)
    with index.write() as session:
        session.execute(update(Job).where(Job.state == READY).values(not_before=later))
        session.execute(
            update(Job)
            .where(Job.state == FAILED)
            .values(state=READY, not_before=0, attempts=max_attempts - 1)
        )


def _free(tasks: tuple[str, ...]) -> Select[Job]:
    free = select(Job).where(Job.state == READY, Job.not_before <= now_ns())
    wanted = free.where(Job.task.in_(tasks)) if tasks else free
    return wanted.order_by(Job.id).limit(1)
