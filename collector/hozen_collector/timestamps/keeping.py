"""A checked reply is kept: its raw bytes write-once, then row, leaf and the end of its job in one transaction."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from hozen_collector import durable, faults, jobs, leaves
from hozen_collector.certificates import fingerprint, nanoseconds
from hozen_collector.index.models import Stamp
from hozen_collector.timestamps import copies
from hozen_collector.timestamps.ageing import algorithms_of
from hozen_hashes.verify.anchors import Anchors
from hozen_hashes.verify.stamps import Stamp as Judged
from hozen_hashes.verify.stamps import State
from hozen_hashes.verify.tiers import Tier, tier_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_collector.index.engine import Index
    from hozen_collector.runtime import Collector
    from hozen_collector.timestamps.ageing import Ageing
    from hozen_collector.timestamps.asking import Reply
    from hozen_collector.timestamps.authorities import Authority

ACTOR: Final = "timestamps"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a stamp is over; the words of `index.models.Stamp`."""

    kind: str
    subject: str
    target: str
    size: int = 0
    bundle: str = ""
    case: str = ""
    seal: str = ""


def put(collector: Collector, data: bytes, sha256: str) -> None:
    """Make `data` part of the archive of stamps, durably; what is there already stays.

    Raises:
        CannotWriteError: the disk refuses.
        InternalError: other bytes lie under this name.
    """
    temporary = collector.layout.stamps / f".tmp-{secrets.token_hex(8)}"
    durable.create_file(temporary, data, mode=0o440)
    try:
        collector.stamps.put_once(temporary, sha256, len(data))
    finally:
        temporary.unlink(missing_ok=True)


def stamp_of(session: Session, target: str, authority: str) -> Stamp | None:
    """Give the stamp that this authority made over `target`, if it is kept."""
    query = select(Stamp).where(Stamp.target == target, Stamp.authority == authority)
    return session.scalar(query)


def keep(
    collector: Collector, job: jobs.Claim, about: About, authority: Authority, reply: Reply
) -> None:
    """Archive the raw reply, then log it and close the job.

    Raises:
        HozenError: disk or database refuse; the job stays, and the authority is asked again.
    """
    faults.reach("stamp-received")
    sha256 = hashlib.sha256(reply.raw).hexdigest()
    put(collector, reply.raw, sha256)
    words = {"bundle": about.bundle, "subject": about.subject, "name": authority.name}
    copies.write(collector, **words, reply=reply.raw)
    faults.reach("stamp-archived")
    tier = _tier(collector, authority, reply)
    with collector.index.write() as session:
        if stamp_of(session, about.target, authority.name) is None:
            leaf = leaves.append(session, collector.keys.log_key, _event(about, reply, sha256))
            words = {"authority": authority.name, "tier": tier.name, "tier_as_of": tier.as_of}
            row = _row(about, reply, sha256=sha256, leaf=leaf, **words)
            row.renew_at = collector.authorities.ageing.renew_at(row.ends, row.algorithms)
            session.add(row)
        jobs.finish(session, job)
    faults.reach("stamp-committed")
    collector.log.publish()


def reschedule(index: Index, ageing: Ageing) -> None:
    """Bring the days of renewal to what the settings say now; raises HozenError."""
    with index.write() as session:
        for ends, algorithms in session.execute(select(Stamp.ends, Stamp.algorithms).distinct()):
            same = (Stamp.ends == ends, Stamp.algorithms == algorithms)
            due = ageing.renew_at(ends, algorithms)
            session.execute(update(Stamp).where(*same, Stamp.renew_at != due).values(renew_at=due))


def _event(about: About, reply: Reply, sha256: str) -> leaves.Event:
    """Give the leaf: another proof beside the bundle was received (receipt-v1 §4)."""
    return leaves.Event(
        event="attachment",
        bundle=about.bundle or None,
        case=about.case or None,
        seal=about.seal or None,
        seal_state="claimed" if about.seal else None,
        container_sha256=sha256,
        container_size=len(reply.raw),
        signer_cert_sha256=fingerprint(reply.token.signer),
        sealed_at=reply.token.latest,
        arrived_at=reply.arrived,
        actor=ACTOR,
    )


def _row(about: About, reply: Reply, **words: Any) -> Stamp:
    return Stamp(
        kind=about.kind,
        subject=about.subject,
        target=about.target,
        stamped=reply.token.latest,
        arrived=reply.arrived,
        ends=nanoseconds(reply.token.signer.not_valid_after_utc),
        algorithms=algorithms_of(reply.token),
        size=about.size,
        bundle=about.bundle,
        case_id=about.case,
        seal=about.seal,
        **words,
    )


def _tier(collector: Collector, authority: Authority, reply: Reply) -> Tier:
    judged = Judged(name=authority.name, state=State.HOLDS, token=reply.token)
    anchors = Anchors(tsa_roots=authority.roots, tsa_list=collector.authorities.tiers)
    return tier_of(judged, anchors)
