"""Verify, archive, log, receipt: what follows an upload that was received whole (law M20).

1. a container that is here already has its answer: the same one;
2. the bytes are read back from the disk and verified;
3. what fails is quarantined with the reasons, and an event is logged; nothing is deleted;
4. what holds gets its name in the archive, then its row and leaf in one transaction;
5. the log is published, the receipt is made, and only then the upload is called accepted.

Each step looks whether it was done, so the task can be run again after a crash at any point.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from hozen_collector import durable, faults, jobs, leaves
from hozen_collector.identity import enrolment
from hozen_collector.index.models import Container, Upload
from hozen_collector.intake import store
from hozen_collector.timestamps import tasks
from hozen_collector.verdict import MATCH, MISMATCH, NOT_VERIFIABLE, Reason, Verdict, reason_of
from hozen_collector.verifying import DiedError
from hozen_hashes.digest import Digest
from hozen_hashes.errors import InternalError
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from hozen_collector.runtime import Collector
    from hozen_collector.verifying import Verifier

_READ: Final = 1 << 20
_OTHER_HASH: Final = Reason(
    "the container's SHA-256 is not the one that was declared",
    "ファイルのハッシュ値が申告と異なります",
)
_OTHER_SEAL: Final = Reason(
    "the seal is not the one that was declared", "ルート値が申告と異なります"
)
_OTHER_BUNDLE: Final = Reason(
    "the bundle id is not the one that was declared", "バンドルの名前が申告と異なります"
)
_NOT_SHOWN: Final = Reason(
    "the integrity of the bundle could not be shown", "バンドルの完全性を確認できませんでした"
)
_VERIFIED: Final = {"bundle": "ok", "partial": "partial", "encrypted": "sealed-unopened"}


def accept(collector: Collector, verifier: Verifier, job: jobs.Claim) -> None:
    """Bring one finished upload to accepted or quarantined, and close the job.

    Raises:
        TryAgainError: the collector stops; the job stays.
        HozenError: disk or database refuse; the job stays.
    """
    upload = _upload(collector, job.args["upload"])
    if upload.state != store.VERIFYING:
        _close(collector, job, upload, upload.state, None)
        return
    container = _known(collector, upload)
    if container is None:
        verdict = _verify(collector, verifier, upload)
        faults.reach("verified")
        container = _keep(collector, upload, verdict)
    if container.state == store.ACCEPTED and container.leaf is not None:
        collector.receipts.make(container.leaf)
    else:
        collector.log.publish()
    _close(collector, job, upload, container.state, container)


def _upload(collector: Collector, upload_id: str) -> Upload:
    with collector.index.read() as session:
        upload = session.get(Upload, upload_id)
    if upload is None:
        raise InternalError(f"a job names the upload {upload_id}, which is unknown")
    return upload


def _known(collector: Collector, upload: Upload) -> Container | None:
    """Give the container if it is archived already and the upload really has its bytes."""
    with collector.index.read() as session:
        container = session.get(Container, upload.sha256)
    if container is None or container.state != store.ACCEPTED:
        return None
    return container if _hash(collector.store.path(upload.id)) == container.sha256 else None


def _verify(collector: Collector, verifier: Verifier, upload: Upload) -> Verdict:
    path = collector.store.path(upload.id)
    try:
        verdict = verifier.verify(path, upload.kind)
    except DiedError as error:
        with durable.writing("the upload"):
            size = path.stat().st_size
        return Verdict(
            container_sha256=_hash(path),
            container_size=size,
            integrity=NOT_VERIFIABLE,
            reasons=(reason_of(error),),
        )
    return verdict


def _keep(collector: Collector, upload: Upload, verdict: Verdict) -> Container:
    """Archive or quarantine the bytes, then write row and leaf in one transaction."""
    reasons = _objections(upload, verdict)
    state = store.QUARANTINED if reasons else store.ACCEPTED
    place = collector.quarantine if reasons else collector.archive
    place.put_once(
        collector.store.path(upload.id), verdict.container_sha256, verdict.container_size
    )
    with collector.index.write() as session:
        known = session.get(Container, verdict.container_sha256)
        if known is not None and (reasons or known.state == store.ACCEPTED):
            return known
        first = _first_of_seal(session, verdict.seal) if not reasons else None
        vouched = bool(verdict.signer) and enrolment.vouched_for(session, verdict.signer)
        container = _row(upload, verdict, state, reasons, variant_of=first, vouched=vouched)
        event = "quarantine" if reasons else _event(upload, variant=first is not None)
        container.leaf = leaves.append(
            session, collector.keys.log_key, _statement(upload, verdict, event, container)
        )
        session.merge(container)
        if not reasons and verdict.signature_sha256:
            about = {"bundle": upload.bundle, "case": upload.case_id, "seal": container.seal}
            tasks.promise_seal(session, collector, verdict.signature_sha256, **about)
    faults.reach("leaf-committed")
    return container


def _objections(upload: Upload, verdict: Verdict) -> list[Reason]:
    """Give why the container is not what was declared, or is not whole; nothing if it is accepted."""
    objections = []
    if verdict.container_sha256 != upload.sha256:
        objections.append(_OTHER_HASH)
    # What cannot be looked into is kept as such; a bundle must be shown to be whole.
    enough = (MATCH,) if upload.kind == "bundle" else (MATCH, NOT_VERIFIABLE)
    if verdict.integrity not in enough or verdict.refused:
        objections.extend(verdict.reasons or (_NOT_SHOWN,))
        return objections
    if upload.kind == "bundle" and verdict.seal != upload.seal:
        objections.append(_OTHER_SEAL)
    if upload.kind != "encrypted" and verdict.bundle != upload.bundle:
        objections.append(_OTHER_BUNDLE)
    return objections


def _event(upload: Upload, *, variant: bool) -> str:
    if variant:
        return "variant"
    return "partial" if upload.kind == "partial" else "ingest"


def _first_of_seal(session: Session, seal: str) -> str | None:
    if not seal:
        return None
    query = select(Container.sha256).where(
        Container.seal == seal, Container.state == store.ACCEPTED, Container.variant_of.is_(None)
    )
    return session.scalar(query.limit(1))


def _row(
    upload: Upload,
    verdict: Verdict,
    state: str,
    reasons: list[Reason],
    *,
    variant_of: str | None,
    vouched: bool,
) -> Container:
    origin, word = _judged(verdict, refused=bool(reasons), vouched=vouched)
    return Container(
        sha256=verdict.container_sha256,
        size=verdict.container_size,
        bundle=upload.bundle,
        seal=verdict.seal or upload.seal,
        case_id=upload.case_id,
        kind=upload.kind,
        filename=upload.filename,
        state=state,
        word=word,
        integrity=verdict.integrity,
        origin=origin,
        reasons=json.dumps(reasons or list(verdict.reasons)),
        signer=verdict.signer,
        signer_name=verdict.signer_name,
        vouched=vouched,
        sender=upload.agent_id,
        sealed=rfc3339(verdict.sealed_at) if verdict.sealed_at is not None else "",
        arrived=upload.touched,
        variant_of=variant_of,
        leaf=None,
    )


def _judged(verdict: Verdict, *, refused: bool, vouched: bool) -> tuple[str, str]:
    """Give origin and word as they are shown: a revoked signer vouches for nothing, an objection is no match."""
    origin, word = verdict.origin, verdict.word
    if origin == MATCH and not vouched:
        origin = NOT_VERIFIABLE
        word = NOT_VERIFIABLE if word == MATCH else word
    if refused and word == MATCH:
        word = MISMATCH
    return origin, word


def _statement(upload: Upload, verdict: Verdict, event: str, row: Container) -> leaves.Event:
    failed = row.state == store.QUARANTINED
    checked = bool(verdict.seal)
    seal = verdict.seal or upload.seal or None
    return leaves.Event(
        event=event,
        bundle=upload.bundle,
        case=upload.case_id,
        seal=seal,
        seal_state=("checked" if checked else "claimed") if seal else None,
        container_sha256=verdict.container_sha256,
        container_size=verdict.container_size,
        signature_sha256=verdict.signature_sha256 or None,
        start_sha256=verdict.start_sha256 or None,
        first_journal_key_sha256=verdict.first_journal_key_sha256 or None,
        signer_cert_sha256=verdict.signer or None,
        signer=verdict.signer_name or None,
        sender=upload.agent_id,
        verified="failed" if failed else _VERIFIED[upload.kind],
        sealed_at=verdict.sealed_at,
        arrived_at=upload.touched,
    )


def _close(
    collector: Collector, job: jobs.Claim, upload: Upload, state: str, container: Container | None
) -> None:
    """Say what became of the upload, and let go of its own name for the bytes."""
    with collector.index.write() as session:
        row = session.get(Upload, upload.id)
        if row is not None and container is not None:
            row.state = state
            row.reasons = container.reasons if state == store.QUARANTINED else "[]"
            if state == store.ACCEPTED and upload.sha256 != container.sha256:
                raise InternalError("an upload would be accepted for another container")
        jobs.finish(session, job)
    faults.reach("upload-released")
    durable.remove(collector.store.path(upload.id))


def _hash(path: Path) -> str:
    digest = Digest()
    with durable.writing("the upload"), path.open("rb") as file:
        while chunk := file.read(_READ):
            digest.update(chunk)
    return digest.hexdigest()
