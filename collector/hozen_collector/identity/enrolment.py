"""A host becomes an identity: token, two proofs of possession, two certificates, one leaf."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from hozen_collector import leaves
from hozen_collector.certificates import fingerprint
from hozen_collector.clock import SECOND, now_ns
from hozen_collector.identity import tokens
from hozen_collector.index.models import Agent, Certificate
from hozen_hashes.errors import FormatError, UsageError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_collector.keys import Keys
    from hozen_config.settings import CollectorSettings as Settings

MAX_CSR: Final = 8192
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
TRANSPORT: Final = "transport"
EVIDENCE: Final = "evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a host asks for, its words checked: token, host name and the keys it proved to hold."""

    token: tokens.TokenText
    host: str
    transport: ec.EllipticCurvePublicKey
    evidence: ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What a host is given."""

    agent_id: str
    transport: x509.Certificate
    evidence: x509.Certificate


def read_request(body: dict[str, object]) -> Request:
    """Read the JSON of an enrolment request.

    Raises:
        FormatError: a word is missing, or a request is not signed by its own key.
    """
    words = {name: body.get(name) for name in ("token", "host", "transport_csr", "evidence_csr")}
    for name, value in words.items():
        if not isinstance(value, str) or len(value) > MAX_CSR:
            raise FormatError(f"enrolment: {name} is missing or too long")
    host = str(words["host"])
    if not _HOST.fullmatch(host):
        raise FormatError("enrolment: host is not a host name")
    request = Request(
        token=tokens.parse_token(str(words["token"])),
        host=host,
        transport=_possessed(str(words["transport_csr"]), "transport_csr"),
        evidence=_possessed(str(words["evidence_csr"]), "evidence_csr"),
    )
    if request.transport == request.evidence:
        raise FormatError("enrolment: transport and evidence key must differ")
    return request


def enrol(session: Session, keys: Keys, settings: Settings, request: Request) -> Enrolled:
    """Count the token, issue both certificates, and add the leaf, all in the caller's transaction.

    A host whose answer was lost asks again with the same keys and token, and is given the same certificates.

    Raises:
        DeniedError: the token is not good for this host.
    """
    now = now_ns()
    tokens.authorise(session, request.token, host=request.host, now_ns=now)
    again = _known(session, request)
    if again is not None:
        return again
    tokens.spend(session, request.token)
    agent_id = str(uuid.uuid4())
    enrolled = Enrolled(
        agent_id=agent_id,
        transport=keys.authority.transport(request.transport, agent_id, settings.transport_days),
        evidence=keys.authority.evidence(request.evidence, agent_id, settings.evidence_days),
    )
    session.add(
        Agent(
            id=agent_id,
            host=request.host,
            token_id=request.token.id,
            transport_key=_key_hash(request.transport),
            enrolled=now,
            revoked=None,
        )
    )
    session.flush()
    _store(session, agent_id, TRANSPORT, enrolled.transport)
    _store(session, agent_id, EVIDENCE, enrolled.evidence)
    leaves.append(
        session,
        keys.log_key,
        leaves.Event(
            event="enroll",
            signer=request.host,
            signer_cert_sha256=fingerprint(enrolled.evidence),
            sender=agent_id,
        ),
    )
    return enrolled


def revoke(session: Session, keys: Keys, agent_id: str) -> str:
    """Put an identity on the deny list with all its certificates, add the leaf, and give its host name.

    Raises:
        UsageError: there is no such identity, or it was revoked before.
    """
    agent = session.get(Agent, agent_id)
    if agent is None or agent.revoked is not None:
        why = "there is no such identity" if agent is None else "it was revoked before"
        raise UsageError(why, hint="`hozen collector status DIR --json` shows the identities.")
    agent.revoked = now_ns()
    evidence = session.scalar(
        select(Certificate.sha256).where(
            Certificate.agent_id == agent_id, Certificate.usage == EVIDENCE
        )
    )
    leaves.append(
        session,
        keys.log_key,
        leaves.Event(
            event="revoke",
            signer=agent.host,
            signer_cert_sha256=evidence,
            sender=agent_id,
            actor="operator",
        ),
    )
    return agent.host


def identity_of(session: Session, certificate_der: bytes) -> str | None:
    """Give the agent whose unrevoked, unexpired transport certificate this is."""
    digest = hashlib.sha256(certificate_der).hexdigest()
    return session.scalar(
        select(Agent.id)
        .join(Certificate, Certificate.agent_id == Agent.id)
        .where(
            Certificate.sha256 == digest,
            Certificate.usage == TRANSPORT,
            Certificate.revoked.is_(None),
            Certificate.not_after > now_ns(),
            Agent.revoked.is_(None),
        )
    )


def vouched_for(session: Session, certificate_sha256: str) -> bool:
    """Give whether this is an evidence certificate that we issued and did not revoke."""
    query = (
        select(Certificate.sha256)
        .join(Agent, Certificate.agent_id == Agent.id)
        .where(
            Certificate.sha256 == certificate_sha256,
            Certificate.usage == EVIDENCE,
            Certificate.revoked.is_(None),
            Agent.revoked.is_(None),
        )
    )
    return session.scalar(query) is not None


def _known(session: Session, request: Request) -> Enrolled | None:
    agent = session.scalar(select(Agent).where(Agent.transport_key == _key_hash(request.transport)))
    if agent is None:
        return None
    query = select(Certificate).where(Certificate.agent_id == agent.id)
    stored = {row.usage: x509.load_der_x509_certificate(row.der) for row in session.scalars(query)}
    same = (
        agent.token_id == request.token.id
        and agent.host == request.host
        and agent.revoked is None
        and stored[EVIDENCE].public_key() == request.evidence
    )
    if not same:
        raise FormatError("enrolment: this key is enrolled already", hint="Make new keys.")
    return Enrolled(agent_id=agent.id, transport=stored[TRANSPORT], evidence=stored[EVIDENCE])


def _store(session: Session, agent_id: str, usage: str, certificate: x509.Certificate) -> None:
    not_after = certificate.not_valid_after_utc - datetime(1970, 1, 1, tzinfo=UTC)
    session.add(
        Certificate(
            sha256=fingerprint(certificate),
            agent_id=agent_id,
            usage=usage,
            der=certificate.public_bytes(serialization.Encoding.DER),
            not_after=int(not_after.total_seconds()) * SECOND,
            revoked=None,
        )
    )


def _possessed(pem: str, what: str) -> ec.EllipticCurvePublicKey:
    """Give the key of a certificate request that this key signed (RFC 2986); its other words are not used."""
    try:
        request = x509.load_pem_x509_csr(pem.encode("ascii"))
        key = request.public_key()
        valid = request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature, x509.UnsupportedGeneralNameType) as error:
        raise FormatError(f"enrolment: {what} is not a certificate request") from error
    if not valid or not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise FormatError(f"enrolment: {what} is not signed by its own P-256 key")
    return key


def _key_hash(key: ec.EllipticCurvePublicKey) -> str:
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()
