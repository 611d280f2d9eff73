"""Runs the stamping jobs: asks, keeps, and where that fails tries again later with the reason on show, for ever."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from hozen_collector import durable, jobs
from hozen_collector.certificates import nanoseconds
from hozen_collector.clock import SECOND, now_ns
from hozen_collector.index.models import Stamp
from hozen_collector.timestamps import backfill, copies, tasks
from hozen_collector.timestamps.ageing import algorithms_of
from hozen_collector.timestamps.asking import Asker, RefusedReplyError
from hozen_collector.timestamps.keeping import About, keep, put, stamp_of
from hozen_hashes.errors import HozenError, InternalError, NotVerifiableError, TryAgainError

if TYPE_CHECKING:
    from hozen_collector.runtime import Collector

NOTHING: Final = 1.0  # seconds until a line without work is looked at again
_LONGEST: Final = 6 * 3600.0
_DOUBLINGS: Final = 20
_KEPT: Final = 3  # refused replies a job; a hostile authority must not fill the disk


class Line:
    """The jobs of one task, done one after the other; each authority has its own, so none waits for another."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.asker = Asker()
        self.failures = 0


def lines_of(collector: Collector) -> tuple[Line, ...]:
    """Give a line for each authority and one for renewals; none without authorities."""
    names = [tasks.TASKS + one.name for one in collector.authorities.every]
    return tuple(Line(task) for task in ([*names, tasks.RENEWALS] if names else []))


def run_one(collector: Collector, line: Line) -> float:
    """Run the oldest job of a line that is free; give the seconds until the next, NOTHING when there is none.

    A failure never leaves this function: it is written to the job, shown by `collector status`, and tried again.

    Raises:
        HozenError: the database refuses, so that not even the failure can be noted.
    """
    lease = collector.settings.lease_seconds + int(_patience(collector))
    job = jobs.claim(collector.index, lease_seconds=lease, tasks=(line.task,))
    if job is None:
        return NOTHING
    try:
        _run(collector, line.asker, job)
    except (HozenError, OSError) as error:
        return 0.0 if line.asker.stopped else _failed(collector, line, job, error)
    if line.failures:
        line.failures = 0
        jobs.hurry(collector.index, line.task)
    return 0.0


def _failed(collector: Collector, line: Line, job: jobs.Claim, error: Exception) -> float:
    line.failures += 1
    doubled = min(line.failures - 1, _DOUBLINGS)
    pause = min(collector.settings.timestamps.retry * float(1 << doubled), _LONGEST)
    jobs.fail(
        collector.index,
        job,
        _told(job, error) + _kept(collector, job, error),
        retry_seconds=int(pause),
        passing=False,
        final=isinstance(error, NotVerifiableError),
    )
    return pause


def _kept(collector: Collector, job: jobs.Claim, error: Exception) -> str:
    """Keep a refused reply as it came, of the first attempts of a job; say where."""
    if not isinstance(error, RefusedReplyError) or not error.raw:
        return ""
    if job.attempts > _KEPT:
        return f" (of this job the first {_KEPT} refused replies are kept, not this one)"
    sha256 = hashlib.sha256(error.raw).hexdigest()
    try:
        put(collector, error.raw, sha256)
    except HozenError as problem:
        return f" (the reply could not be kept: {problem})"
    return f" (the reply is kept: stamps/{sha256[:2]}/{sha256})"


def _patience(collector: Collector) -> float:
    return sum(one.timeout for one in collector.authorities.every) * 2


def _run(collector: Collector, asker: Asker, job: jobs.Claim) -> None:
    kind = job.args["kind"]
    if kind == tasks.RENEWAL:
        _renew(collector, asker, job)
    elif kind == backfill.BACKFILL:
        backfill.go_on(collector, job)
    elif kind == copies.COPIES:
        copies.go_on(collector, job)
    else:
        _stamp(collector, asker, job)


def _stamp(collector: Collector, asker: Asker, job: jobs.Claim) -> None:
    """Stamp a machine seal or a checkpoint with the job's authority."""
    words = job.args
    target, name = words["target"], words["authority"]
    with collector.index.read() as session:
        made = stamp_of(session, target, name) is not None
    if made:
        with collector.index.write() as session:
            jobs.finish(session, job)
        collector.log.publish()
        return
    authority = collector.authorities.named(name)
    if authority is None:
        raise NotVerifiableError("this authority is no longer in the settings")
    about = About(
        kind=words["kind"],
        subject=target,
        target=target,
        size=int(words.get("size", "0")),
        bundle=words.get("bundle", ""),
        case=words.get("case", ""),
        seal=words.get("seal", ""),
    )
    keep(collector, job, about, authority, asker.ask(authority, bytes.fromhex(target)))


def _renew(collector: Collector, asker: Asker, job: jobs.Claim) -> None:
    """Stamp an earlier stamp, by the first authority whose stamp ends later (RFC 4998 §5.2 in idea)."""
    target = job.args["target"]
    old, renewed = _earlier(collector, target)
    if renewed:
        with collector.index.write() as session:
            jobs.finish(session, job)
        collector.log.publish()
        return
    if now_ns() > old.ends:
        raise NotVerifiableError(f"its certificate ended {_day(old.ends)}, before it was renewed")
    refusals = []
    algorithm, digest = _digest(collector, target)
    for authority in collector.authorities.every:
        try:
            reply = asker.ask(authority, digest, algorithm=algorithm)
        except HozenError as error:
            if asker.stopped:
                raise
            refusals.append(f"{authority.name}: {error}")
            continue
        ageing = collector.authorities.ageing
        ends = ageing.end(
            nanoseconds(reply.token.signer.not_valid_after_utc), algorithms_of(reply.token)
        )
        if ends <= ageing.end(old.ends, old.algorithms):
            refusals.append(f"{authority.name}: its stamp ends no later ({_day(ends)})")
            continue
        keep(collector, job, _renewal_of(old), authority, reply)
        return
    raise TryAgainError(f"not renewed, ends {_day(old.ends)}: {'; '.join(refusals)}")


def _digest(collector: Collector, sha256: str) -> tuple[str, bytes]:
    """Give the hash that is asked with, and that of the earlier reply: another one once SHA-256 ages."""
    algorithm = collector.authorities.ageing.hash_for(now_ns())
    with durable.writing("the archive of stamps"):
        raw = collector.stamps.path(sha256).read_bytes()
    return algorithm, hashlib.new(algorithm, raw).digest()


def _earlier(collector: Collector, sha256: str) -> tuple[Stamp, bool]:
    with collector.index.read() as session:
        old = session.scalar(select(Stamp).where(Stamp.sha256 == sha256))
        over = select(Stamp.id).where(Stamp.target == sha256, Stamp.kind == tasks.RENEWAL)
        renewed = session.scalar(over.limit(1)) is not None
    if old is None:
        raise InternalError(f"a job would renew the stamp {sha256[:16]}…, which is unknown")
    return old, renewed


def _renewal_of(old: Stamp) -> About:
    return About(
        kind=tasks.RENEWAL,
        subject=old.subject,
        target=old.sha256,
        bundle=old.bundle,
        case=old.case_id,
        seal=old.seal,
    )


def _told(job: jobs.Claim, error: Exception) -> str:
    about = job.args.get("bundle") or f"{job.args['kind']} {job.args['target'][:16]}…"
    by = job.args.get("authority", "renewal")
    return f"time stamp by {by} over {about}: {error}"


def _day(when: int) -> str:
    return datetime.fromtimestamp(when // SECOND, UTC).strftime("%Y-%m-%d")
