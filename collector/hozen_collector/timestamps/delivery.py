"""The proofs of time beside a receipt, as the files of `<bundle>.proofs/` (timestamp-v1 §1, receipt-v1 §2).

The numbers are those of the order in which the stamps were kept, so a file once given out keeps its name.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, or_, select

from hozen_collector import durable
from hozen_collector.index.models import Container, Envelope, Job, Leaf, Stamp
from hozen_collector.jobs import READY
from hozen_collector.timestamps.tasks import CHECKPOINT, SEAL, TASKS
from hozen_hashes.checkpoint import read_checkpoint
from hozen_hashes.names import rfc3339
from hozen_hashes.receipt import parse_statement

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_collector.runtime import Collector
    from hozen_hashes.statement import Statement

FORMAT: Final = "hozen-proofs/1"
MAX_STAMPS: Final = 256
MAX_BYTES: Final = 4 << 20
MAX_ENVELOPES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One stamp; `time` is the authority's, `received_at` the collector's. The tier is of the list of that day."""

    file: str
    authority: str
    over: str
    time: str
    received_at: str
    ends: str
    tier: str
    tier_as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """What there is now; `waiting` stamps of the machine seal are still to come."""

    sealed_at: str | None
    arrived_at: str
    stamps: tuple[Timed, ...]
    files: dict[str, bytes]
    waiting: int

    def as_json(self) -> dict[str, Any]:
        """Give the documented form."""
        return {
            "format": FORMAT,
            "sealed_at": self.sealed_at,
            "arrived_at": self.arrived_at,
            "stamps": [asdict(one) for one in self.stamps],
            "waiting": self.waiting,
            "files": {name: base64.b64encode(data).decode() for name, data in self.files.items()},
        }


def proofs_of(collector: Collector, key: str) -> Proofs | None:
    """Give the time stamps of the bundle of this id, seal or container hash; None where no receipt is."""
    with collector.index.read() as session:
        found = session.execute(_container(key)).first()
        if found is None:
            return None
        arrived, position, text = found
        stated = parse_statement(text)
        signatures = _signatures(session, stated)
        covering = _covering(session, position)
        rows = _stamps(session, signatures | ({covering.target: 0} if covering is not None else {}))
        waiting = sum(_waiting(session, one) for one in signatures)
    files = _beside(collector, position, covering)
    names: dict[str, str] = dict.fromkeys(signatures, "signatures/agent.p7s")
    names |= {covering.target: "receipt/checkpoint"} if covering is not None else {}
    timed, total = [], 0
    for number, row in enumerate(rows, 1):
        data = _archived(collector, row.sha256)
        total += len(data)
        if total > MAX_BYTES:
            break
        name = f"{number:04d}-{row.authority}.tsr"
        timed.append(_timed(row, f"timestamps/{name}", names.get(row.target, "-")))
        names[row.sha256] = name
        files[f"timestamps/{name}"] = data
    return Proofs(
        sealed_at=None if stated.sealed_at is None else rfc3339(stated.sealed_at),
        arrived_at=rfc3339(arrived),
        stamps=tuple(timed),
        files=files,
        waiting=waiting,
    )


def _container(key: str) -> Any:
    return (
        select(Container.arrived, Leaf.position, Leaf.text)
        .join(Leaf, Leaf.position == Container.leaf)
        .where(
            Container.state == "accepted",
            or_(Container.sha256 == key, Container.seal == key, Container.bundle == key),
        )
        .order_by(Container.sha256 != key, Leaf.position)
        .limit(1)
    )


def _covering(session: Session, position: int) -> Stamp | None:
    """Give the first stamp that was kept over a checkpoint with this leaf: it stays the first one for ever."""
    query = select(Stamp).where(Stamp.kind == CHECKPOINT, Stamp.size > position)
    return session.scalar(query.order_by(Stamp.id).limit(1))


def _signatures(session: Session, stated: Statement) -> dict[str, int]:
    """Give the machine seals with the leaf since which they are known here.

    The receipt names the one of an opened container; envelopes bring those of an unopened one.
    """
    if stated.signature_sha256 is not None:
        return {stated.signature_sha256: 0}
    kept = select(Envelope.seal_signature, Envelope.leaf)
    query = kept.where(Envelope.container == stated.container_sha256).order_by(Envelope.leaf)
    found: dict[str, int] = {}
    for signature, leaf in session.execute(query.limit(MAX_ENVELOPES)):
        found.setdefault(signature, leaf)
    return found


def _stamps(session: Session, subjects: dict[str, int]) -> list[Stamp]:
    """Give the stamps in the order in which they could be handed out, so that none changes its number."""
    query = select(Stamp).where(Stamp.subject.in_(list(subjects)))
    rows = session.scalars(query.order_by(Stamp.id).limit(MAX_STAMPS))
    return sorted(rows, key=lambda row: (max(row.leaf, subjects[row.subject]), row.id))


def _waiting(session: Session, signature: str) -> int:
    key = Job.key.like(f"stamp:{SEAL}:{signature}:%")
    query = select(func.count()).where(Job.task.like(f"{TASKS}%"), key, Job.state == READY)
    return session.scalar(query) or 0


def _beside(collector: Collector, position: int, covering: Stamp | None) -> dict[str, bytes]:
    if covering is None:
        return {}
    note = _archived(collector, covering.target)
    checkpoint, _ = read_checkpoint(note)
    proof = collector.log.proof_to(position, checkpoint, note)
    return {"receipt/checkpoint": note, "receipt/checkpoint.tlog-proof": proof}


def _archived(collector: Collector, sha256: str) -> bytes:
    with durable.writing("the archive of stamps"):
        return collector.stamps.path(sha256).read_bytes()


def _timed(row: Stamp, file: str, over: str) -> Timed:
    return Timed(
        file=file,
        authority=row.authority,
        over=over,
        time=rfc3339(row.stamped),
        received_at=rfc3339(row.arrived),
        ends=rfc3339(row.ends),
        tier=row.tier,
        tier_as_of=row.tier_as_of,
    )
