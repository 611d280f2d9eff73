"""An envelope is checked, kept write-once beside its ciphertext, and logged (envelope-v1 §3)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from hozen_collector import faults, leaves
from hozen_collector.archive import beside
from hozen_collector.certificates import common_name, fingerprint, nanoseconds
from hozen_collector.clock import now_ns
from hozen_collector.identity import enrolment
from hozen_collector.index.models import Envelope
from hozen_collector.problem import RefusedError
from hozen_collector.sealed.held import check_same, conflict, held
from hozen_collector.timestamps import tasks
from hozen_hashes.digest import sha256_hex
from hozen_hashes.envelope.reading import SEAL, SIGNATURE, check_names, digest_of, read_envelope
from hozen_hashes.errors import MismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from hozen_collector.index.models import Container
    from hozen_collector.runtime import Collector
    from hozen_hashes.envelope.reading import Envelope as Read

MAX_FROM_ONE: Final = (
    4  # envelopes of a container from one identity; others are never kept away by it
)


def take(
    collector: Collector, agent: str, container: str, declared: str, files: Mapping[str, bytes]
) -> tuple[int, dict[str, str]]:
    """Check, keep and log an envelope; give the leaf and its receipt. The same envelope is logged once.

    Args:
        collector: whose archive has the container.
        agent: who sent it.
        container: SHA-256 of the ciphertext.
        declared: digest of the envelope, as the sender computed it.
        files: by name, as they came.

    Raises:
        FormatError, LimitError, SignatureError: the envelope is not whole.
        RefusedError: 404 or 409, it belongs to nothing here; 409, its files are not those that were declared; 400, they
            contradict each other.
        HozenError: disk or database refuse; nothing was acknowledged.
    """
    with collector.index.read() as session:
        held(session, container)
    envelope = _read(declared, files)
    with collector.index.read() as session:
        _check_fits(session, agent, envelope, held(session, container))
    collector.store.check_space(envelope.size, "this envelope")
    place = collector.archive.envelope(container, envelope.digest)
    beside.put_once(collector.layout.uploads, place, files)
    faults.reach("envelope-archived")
    with collector.index.write() as session:
        known = session.get(Envelope, envelope.digest)
        position = _log(session, collector, agent, envelope, files) if known is None else known.leaf
    faults.reach("envelope-committed")
    return position, collector.receipts.make(position)


def _read(declared: str, files: Mapping[str, bytes]) -> Read:
    check_names(files)
    if digest_of(files) != declared:
        raise conflict(
            "the envelope's digest is not the one that was declared",
            hint="Send it again; compare: LC_ALL=C sha256sum -- * | sha256sum",
        )
    try:
        return read_envelope(files)
    except MismatchError as error:
        raise RefusedError(400, f"the envelope contradicts itself: {error}") from error


def _check_fits(session: Session, agent: str, envelope: Read, container: Container) -> None:
    stated: dict[str, object] = {
        "bundle": envelope.bundle_id,
        "container": envelope.ciphertext_sha256,
        "size": envelope.ciphertext_size,
        "seal": envelope.seal,
    }
    check_same("envelope", stated, container)
    if session.get(Envelope, envelope.digest) is not None:
        return
    mine = (Envelope.container == container.sha256, Envelope.agent_id == agent)
    count = session.scalar(select(func.count()).select_from(Envelope).where(*mine)) or 0
    if count >= MAX_FROM_ONE:
        raise conflict(
            f"this identity sent {count} other envelopes of this container",
            hint="They are kept; ask the collector's administrator.",
        )


def _log(
    session: Session, collector: Collector, agent: str, envelope: Read, files: Mapping[str, bytes]
) -> int:
    """Write row and leaf, and promise the stamps of the machine seal that came with it; give the leaf's position."""
    container = held(session, envelope.ciphertext_sha256)
    certificate, now = envelope.signed.certificate, now_ns()
    event = leaves.Event(
        event="envelope",
        bundle=container.bundle,
        case=container.case_id,
        seal=container.seal,
        seal_state="claimed",
        container_sha256=envelope.digest,
        container_size=envelope.size,
        signature_sha256=sha256_hex(files[SIGNATURE]),
        signer_cert_sha256=fingerprint(certificate),
        signer=common_name(certificate),
        sender=agent,
        sealed_at=nanoseconds(envelope.signed.signing_time),
        arrived_at=now,
    )
    position = leaves.append(session, collector.keys.log_key, event)
    sealed = sha256_hex(files[SEAL])
    about = {"bundle": container.bundle, "case": container.case_id, "seal": container.seal}
    tasks.promise_seal(session, collector, sealed, **about)
    session.add(
        Envelope(
            digest=envelope.digest,
            container=container.sha256,
            seal_signature=sealed,
            size=envelope.size,
            recipients=len(envelope.recipients),
            keys=json.dumps([one.subject for one in envelope.keys]),
            signer=fingerprint(certificate),
            signer_name=common_name(certificate),
            vouched=enrolment.vouched_for(session, fingerprint(certificate)),
            agent_id=agent,
            arrived=now,
            leaf=position,
        )
    )
    return position
