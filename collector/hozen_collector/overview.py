"""What a collector holds, as data: for `hozen collector status` and for the status page."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from hozen_collector import leaves
from hozen_collector.index.models import Agent, Container, Custody, Job, Receipt, Upload
from hozen_collector.intake import store
from hozen_collector.jobs import FAILED
from hozen_collector.sealed.showing import (
    ShownEnvelope,
    ShownOpening,
    envelopes_of,
    openings_of,
)
from hozen_collector.timestamps.counting import Timestamps, timestamps
from hozen_collector.web.words import words_in
from hozen_collector.witnesses.showing import Witnessed, witnessed
from hozen_hashes.checkpoint import read_checkpoint
from hozen_hashes.errors import BadDataError
from hozen_hashes.names import rfc3339
from hozen_hashes.terminal import safe_text

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_collector.index.engine import Index
    from hozen_collector.layout import Layout

MAX_ROWS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One container that was received whole. `word` is match, mismatch or not verifiable."""

    bundle: str
    case: str
    seal: str
    sha256: str
    size: int
    kind: str
    state: str
    word: str
    integrity: str
    origin: str
    reasons: list[dict[str, str]]
    signer: str
    vouched: bool
    sender: str
    sealed_at: str
    arrived_at: str
    variant_of: str | None
    leaf: int | None
    receipt: bool
    custody_events: int
    envelopes: list[ShownEnvelope]
    openings: list[ShownOpening]


@dataclass(frozen=True, slots=True, kw_only=True)
class InProgress:
    """One upload that is not yet accepted or quarantined."""

    bundle: str
    case: str
    state: str
    offset: int
    length: int
    sender: str
    touched: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One enrolled identity; `revoked` is empty while it is good."""

    id: str
    host: str
    enrolled: str
    revoked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything at once; the newest MAX_ROWS of each list, with the full counts beside."""

    accepted: list[Held]
    quarantined: list[Held]
    uploads: list[InProgress]
    identities: list[Identity]
    accepted_count: int
    quarantined_count: int
    agents: int
    failed_jobs: list[str]
    leaves: int
    origin: str
    checkpoint_size: int
    checkpoint_root: str
    checkpoint: str
    timestamps: Timestamps
    witnesses: list[Witnessed]

    def as_json(self) -> dict[str, Any]:
        """Give the documented JSON form."""
        return {"format": "hozen-collector-status/1", **asdict(self)}

    def lines(self, language: str) -> list[str]:
        """Give the form for a terminal in `ja` or `en`; foreign text is made harmless."""
        w = words_in(language)
        found = [
            f"{w['log']} {self.origin}: {self.checkpoint_size}  {w['root']} {self.checkpoint_root or '-'}",
            f"{w['agents']}: {self.agents}",
            *(
                f"  {one.id}  {one.host}"
                + (f"  {w['revoked']} {one.revoked}" if one.revoked else "")
                for one in self.identities
            ),
        ]
        for title, count, rows in (
            (w["quarantine"], self.quarantined_count, self.quarantined),
            (w["bundles"], self.accepted_count, self.accepted),
        ):
            found.append(f"{title}: {count}")
            for held in rows:
                found.extend(_told(held, w, language))
        found.append(f"{w['uploads']}: {len(self.uploads)}")
        found.extend(
            f"  {w[one.state]}  {one.offset}/{one.length}  {one.case}  {one.bundle}"
            for one in self.uploads
        )
        found.extend(self.timestamps.lines(w))
        found.append(f"{w['witnesses']}: {len(self.witnesses)}")
        found.extend(_witness(one, w) for one in self.witnesses)
        found.extend(f"{w['failed']}: {error}" for error in self.failed_jobs)
        return [safe_text(line) for line in found]


def _witness(one: Witnessed, w: dict[str, str]) -> str:
    last = f"{w['cosigned']} {one.size}  {one.cosigned_at or '-'}"
    bad = f"  {w['failures']} {one.failures}: {one.error}  {one.failed_at}" if one.failures else ""
    return f"  {one.name}  {one.url}  {last}{bad}"


def _told(held: Held, w: dict[str, str], language: str) -> list[str]:
    vouched = "" if held.vouched else f"  ({w['not_vouched']})"
    return [
        f"  {w[held.word]}{vouched}  {w['case']} {held.case}  {held.bundle}",
        f"      {w['seal']} {held.seal or '-'}",
        *(f"      {w['reasons']}: {reason[language]}" for reason in held.reasons[:5]),
        *(f"      {_envelope(one, w)}" for one in held.envelopes),
        *(f"      {w['openings']}: {_opening(one)}" for one in held.openings),
    ]


def _envelope(one: ShownEnvelope, w: dict[str, str]) -> str:
    signer = one.signer if one.vouched else f"{one.signer} ({w['not_vouched']})"
    people = "; ".join(one.subjects[:5])
    return f"{w['envelope']}: {w['recipients']} {one.recipients}  {people}  {w['signer']} {signer}"


def _opening(one: ShownOpening) -> str:
    return f"{one.signer} {one.certificate[:16]}…  {one.stated_at}  {one.states}"


def overview(layout: Layout, index: Index) -> Overview:
    """Give what is there now. Blocks."""
    note, size, root, origin = b"", 0, "", ""
    with contextlib.suppress(FileNotFoundError, BadDataError):
        note = (layout.log / "checkpoint").read_bytes()
        checkpoint, _ = read_checkpoint(note)
        size, root, origin = checkpoint.size, checkpoint.root.hex(), checkpoint.origin
    with index.read() as session:
        return Overview(
            accepted=_held(session, store.ACCEPTED),
            quarantined=_held(session, store.QUARANTINED),
            uploads=_in_progress(session),
            identities=_identities(session),
            accepted_count=_count(session, store.ACCEPTED),
            quarantined_count=_count(session, store.QUARANTINED),
            agents=session.scalar(select(func.count()).select_from(Agent)) or 0,
            failed_jobs=list(
                session.scalars(select(Job.error).where(Job.state == FAILED).limit(20))
            ),
            leaves=leaves.count(session),
            origin=origin,
            checkpoint_size=size,
            checkpoint_root=root,
            checkpoint=note.decode("utf-8", "replace"),
            timestamps=timestamps(session),
            witnesses=witnessed(session),
        )


def _held(session: Session, state: str) -> list[Held]:
    notes = select(func.count()).where(Custody.seal == Container.seal).scalar_subquery()
    query = (
        select(Container, Agent.host, Receipt.leaf, notes)
        .join(Agent, Agent.id == Container.sender)
        .outerjoin(Receipt, Receipt.leaf == Container.leaf)
        .where(Container.state == state)
        .order_by(Container.arrived.desc())
        .limit(MAX_ROWS)
    )
    rows = session.execute(query).all()
    containers = [row.sha256 for row, *_ in rows if row.kind == "encrypted"]
    envelopes, openings = envelopes_of(session, containers), openings_of(session, containers)
    return [
        Held(
            bundle=row.bundle,
            case=row.case_id,
            seal=row.seal,
            sha256=row.sha256,
            size=row.size,
            kind=row.kind,
            state=row.state,
            word=row.word,
            integrity=row.integrity,
            origin=row.origin,
            reasons=[{"en": en, "ja": ja} for en, ja in json.loads(row.reasons)],
            signer=row.signer_name,
            vouched=row.vouched,
            sender=f"{host} ({row.sender})",
            sealed_at=row.sealed,
            arrived_at=rfc3339(row.arrived),
            variant_of=row.variant_of,
            leaf=row.leaf,
            receipt=receipt is not None,
            custody_events=events,
            envelopes=envelopes.get(row.sha256, []),
            openings=openings.get(row.sha256, []),
        )
        for row, host, receipt, events in rows
    ]


def _in_progress(session: Session) -> list[InProgress]:
    query = (
        select(Upload, Agent.host)
        .join(Agent, Agent.id == Upload.agent_id)
        .where(Upload.state.in_((store.RECEIVING, store.VERIFYING)))
        .order_by(Upload.touched.desc())
        .limit(MAX_ROWS)
    )
    return [
        InProgress(
            bundle=row.bundle,
            case=row.case_id,
            state=row.state,
            offset=row.offset,
            length=row.length,
            sender=f"{host} ({row.agent_id})",
            touched=rfc3339(row.touched),
        )
        for row, host in session.execute(query)
    ]


def _identities(session: Session) -> list[Identity]:
    query = select(Agent).order_by(Agent.enrolled.desc()).limit(MAX_ROWS)
    return [
        Identity(
            id=row.id,
            host=row.host,
            enrolled=rfc3339(row.enrolled),
            revoked=rfc3339(row.revoked) if row.revoked is not None else "",
        )
        for row in session.scalars(query)
    ]


def _count(session: Session, state: str) -> int:
    query = select(func.count()).select_from(Container).where(Container.state == state)
    return session.scalar(query) or 0
