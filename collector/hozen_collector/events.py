"""Signed statements that arrive beside bundles: the start of a capture, and custody events. Each becomes a leaf."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from hozen_collector import durable, leaves
from hozen_collector.certificates import common_name, fingerprint, nanoseconds
from hozen_collector.clock import now_ns
from hozen_collector.index.models import Container, Custody, Start
from hozen_collector.intake.declared import is_case
from hozen_collector.problem import RefusedError
from hozen_hashes import cms
from hozen_hashes.digest import sha256_hex
from hozen_hashes.errors import FormatError
from hozen_hashes.jsonl import parse_object
from hozen_hashes.names import check_bundle_id

if TYPE_CHECKING:
    from hozen_collector.runtime import Collector

MAX_EVENT: Final = 1 << 20
MAX_ATTACHMENTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """A capture's signed first journal segment (bundle-v1 §6)."""

    bundle: str
    segment: bytes
    signature: bytes
    signed: cms.Signature
    first_key: str
    case: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A signed custody event with the files it names."""

    seal: str
    name: str
    event: bytes
    signature: bytes
    signed: cms.Signature
    attachments: dict[str, bytes]


def read_start(bundle: str, segment: bytes, signature: bytes) -> Announced:
    """Read an announced capture; the signature holds, whose it is was not asked.

    Raises:
        FormatError, LimitError: not a first segment of this bundle.
        SignatureError: the signature is not over it.
    """
    check_bundle_id(bundle)
    signed = cms.verify_detached(signature, hashlib.sha256(segment).digest())
    lines = segment.split(b"\n", 2)
    first = parse_object(lines[0], what="journal segment 0")
    if first.get("type") != "segment" or first.get("epoch") != 0 or first.get("bundle") != bundle:
        raise FormatError("start: the segment is not the first one of this bundle")
    second = parse_object(lines[1], what="journal segment 0") if len(lines) > 1 else {}
    case = second.get("case")
    number = case.get("id") if isinstance(case, dict) else None
    return Announced(
        bundle=bundle,
        segment=segment,
        signature=signature,
        signed=signed,
        first_key=str(first.get("key")),
        case=number if isinstance(number, str) and is_case(number) else None,
    )


def log_start(collector: Collector, agent: str, announced: Announced) -> tuple[int, dict[str, str]]:
    """Store and log the start of a capture; give the leaf and its receipt. The same start is logged once."""
    key = sha256_hex(announced.signature)
    now = now_ns()
    with collector.index.write() as session:
        known = session.get(Start, key)
        if known is not None:
            position = known.leaf
        else:
            event = leaves.Event(
                event="start",
                bundle=announced.bundle,
                case=announced.case,
                container_sha256=sha256_hex(announced.segment),
                container_size=len(announced.segment),
                signature_sha256=key,
                start_sha256=key,
                first_journal_key_sha256=announced.first_key,
                signer_cert_sha256=fingerprint(announced.signed.certificate),
                signer=common_name(announced.signed.certificate),
                sender=agent,
                sealed_at=nanoseconds(announced.signed.signing_time),
                arrived_at=now,
            )
            position = leaves.append(session, collector.keys.log_key, event)
            session.add(
                Start(
                    signature_sha256=key,
                    bundle=announced.bundle,
                    segment=announced.segment,
                    signature=announced.signature,
                    agent_id=agent,
                    leaf=position,
                )
            )
    return position, collector.receipts.make(position)


def read_custody(
    seal: str, name: str, event: bytes, signature: bytes, attachments: dict[str, bytes]
) -> Note:
    """Read a custody event; the signature holds, and every attachment has its hash.

    Raises:
        FormatError, LimitError: not an event, or an attachment that is not what it is called.
        SignatureError: the signature is not over the event.
    """
    parse_object(event, what="the custody event", max_bytes=MAX_EVENT)
    signed = cms.verify_detached(signature, hashlib.sha256(event).digest())
    if len(attachments) > MAX_ATTACHMENTS:
        raise FormatError(f"custody: more than {MAX_ATTACHMENTS} attachments")
    for digest, data in attachments.items():
        if sha256_hex(data) != digest:
            raise FormatError("custody: an attachment does not have its SHA-256")
    return Note(
        seal=seal,
        name=name,
        event=event,
        signature=signature,
        signed=signed,
        attachments=attachments,
    )


def log_custody(collector: Collector, agent: str, note: Note) -> tuple[int, dict[str, str]]:
    """Store and log a custody event; give the leaf and its receipt. The same event is logged once.

    Raises:
        RefusedError: 404, no bundle with this seal was accepted.
    """
    held = _held(collector, note.seal)
    for digest, data in note.attachments.items():
        path = collector.layout.attachments / digest[:2] / digest
        durable.make_directory(path.parent)
        durable.write_file(path, data, mode=0o440)
    key = sha256_hex(note.event)
    now = now_ns()
    with collector.index.write() as session:
        known = session.get(Custody, key)
        if known is not None:
            position = known.leaf
        else:
            event = leaves.Event(
                event="custody",
                bundle=held.bundle,
                case=held.case_id,
                seal=note.seal,
                seal_state="claimed",
                container_sha256=key,
                container_size=len(note.event),
                signature_sha256=sha256_hex(note.signature),
                signer_cert_sha256=fingerprint(note.signed.certificate),
                signer=common_name(note.signed.certificate),
                sender=agent,
                sealed_at=nanoseconds(note.signed.signing_time),
                arrived_at=now,
            )
            position = leaves.append(session, collector.keys.log_key, event)
            session.add(
                Custody(
                    event_sha256=key,
                    seal=note.seal,
                    name=note.name,
                    event=note.event,
                    signature=note.signature,
                    signer=common_name(note.signed.certificate),
                    attachments=json.dumps(sorted(note.attachments)),
                    agent_id=agent,
                    arrived=now,
                    leaf=position,
                )
            )
    return position, collector.receipts.make(position)


def _held(collector: Collector, seal: str) -> Container:
    with collector.index.read() as session:
        held = session.scalar(select(Container).where(Container.seal == seal).limit(1))
    if held is None:
        raise RefusedError(404, "no bundle with this seal is here", hint="Push the bundle first.")
    return held
