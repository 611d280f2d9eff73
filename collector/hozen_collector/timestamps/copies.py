"""Each stamp of a machine seal also lies beside its container: `<container>.stamps/<sha256>/<authority>.tsr`.

So the archive directory alone, without the database, has the proofs of time of what it holds. Stamps over checkpoints
of the log cover every bundle at once; they lie in `stamps/` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from hozen_collector import durable, jobs
from hozen_collector.archive import beside
from hozen_collector.index.models import Container, Envelope, Leaf, Stamp
from hozen_collector.intake import store
from hozen_hashes.statement import parse_statement

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_collector.runtime import Collector

COPIES: Final = "copies"
_BATCH: Final = 200
_CONTAINERS: Final = 64  # of one bundle: packed anew, or enciphered for somebody else


def write(collector: Collector, *, bundle: str, subject: str, name: str, reply: bytes) -> None:
    """Make a reply durable beside every accepted container with this machine seal; one that is there stays.

    Args:
        collector: whose archive.
        bundle: id of the bundle, empty where the stamp is about none.
        subject: SHA-256 of the machine seal.
        name: of the authority.
        reply: as it came.

    Raises:
        HozenError: the disk refuses, or other bytes lie there.
    """
    if not bundle:
        return
    with collector.index.read() as session:
        containers = _containers(session, bundle, subject)
    for sha256 in containers:
        place = collector.archive.stamp(sha256, reply)
        beside.put_once(collector.layout.uploads, place, {f"{name}.tsr": reply})


def promise(session: Session, task: str) -> None:
    """Promise, once in a collector's life, the copies of stamps that were kept before there were any."""
    _promise(session, task, 0)


def go_on(collector: Collector, job: jobs.Claim) -> None:
    """Write the copies of the next stamps, and promise those after them; raises HozenError."""
    after = int(job.args["after"])
    about = select(Stamp.id, Stamp.bundle, Stamp.subject, Stamp.authority, Stamp.sha256)
    with collector.index.read() as session:
        rows = session.execute(about.where(Stamp.id > after).order_by(Stamp.id).limit(_BATCH)).all()
    for row in rows:
        with durable.writing("the archive of stamps"):
            reply = collector.stamps.path(row.sha256).read_bytes()
        words = {"bundle": row.bundle, "subject": row.subject, "name": row.authority}
        write(collector, **words, reply=reply)
    with collector.index.write() as session:
        if rows:
            _promise(session, job.task, rows[-1].id)
        jobs.finish(session, job)


def _promise(session: Session, task: str, after: int) -> None:
    words = {"kind": COPIES, "target": "older stamps", "after": str(after)}
    jobs.enqueue(session, task, words, key=f"stamp:{COPIES}:{after}")


def _containers(session: Session, bundle: str, subject: str) -> list[str]:
    mine = (Container.bundle == bundle, Container.state == store.ACCEPTED)
    query = select(Container.sha256, Leaf.text).join(Leaf, Leaf.position == Container.leaf)
    found = []
    for sha256, text in session.execute(
        query.where(*mine).order_by(Container.leaf).limit(_CONTAINERS)
    ):
        if parse_statement(text).signature_sha256 == subject or _enveloped(
            session, sha256, subject
        ):
            found.append(sha256)
    return found


def _enveloped(session: Session, container: str, subject: str) -> bool:
    same = (Envelope.container == container, Envelope.seal_signature == subject)
    return session.scalar(select(Envelope.digest).where(*same).limit(1)) is not None
