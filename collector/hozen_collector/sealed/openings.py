"""A person states that they opened and verified a bundle elsewhere: logged as their claim (envelope-v1 §4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from hozen_collector import leaves
from hozen_collector.certificates import common_name, fingerprint, nanoseconds
from hozen_collector.clock import now_ns
from hozen_collector.index.models import Opening
from hozen_collector.sealed.held import check_same, conflict, held
from hozen_hashes import cms
from hozen_hashes.digest import sha256_hex
from hozen_hashes.envelope.opening import OpeningStatement, parse_opening

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hozen_collector.index.engine import Index
    from hozen_hashes.note import VerifierKey

MAX_FROM_ONE: Final = 32  # statements about a container from one identity
ADMINISTRATOR: Final = "administrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An opening statement whose signature holds; who vouches for its certificate was not asked."""

    statement: OpeningStatement
    text: bytes
    signature: bytes
    signed: cms.Signature


def read(text: bytes, signature: bytes) -> Signed:
    """Read a signed opening statement.

    Raises:
        FormatError, LimitError: not a statement of envelope-v1 §4.
        SignatureError: the signature is not over it.
    """
    statement = parse_opening(text)
    signed = cms.verify_detached(signature, hashlib.sha256(text).digest())
    return Signed(statement=statement, text=text, signature=signature, signed=signed)


def log(
    index: Index, log_key: VerifierKey, agent: str | None, container: str, signed: Signed
) -> int:
    """Store and log a statement; give the leaf's position. The same signed statement is logged once.

    Args:
        index: the collector's.
        log_key: of its log.
        agent: who sent it; None: an administrator took it in.
        container: SHA-256 of the ciphertext that it must be about.
        signed: the statement.

    Raises:
        RefusedError: 404 or 409, it is about nothing that is archived here; 409, too many.
    """
    key = sha256_hex(signed.signature)
    with index.write() as session:
        _check_fits(session, container, signed.statement)
        known = session.get(Opening, key)
        if known is not None:
            return known.leaf
        _check_count(session, agent, container)
        return _add(session, log_key, agent, container, signed)


def _check_fits(session: Session, container: str, statement: OpeningStatement) -> None:
    stated: dict[str, object] = {
        "bundle": statement.bundle,
        "container": statement.container_sha256,
        "size": statement.container_size,
        "seal": statement.seal,
    }
    check_same("statement", stated, held(session, container))


def _check_count(session: Session, agent: str | None, container: str) -> None:
    mine = (Opening.container == container, Opening.agent_id == agent)
    count = session.scalar(select(func.count()).select_from(Opening).where(*mine)) or 0
    if agent is not None and count >= MAX_FROM_ONE:
        raise conflict(
            f"this identity sent {count} statements about this container",
            hint="They are kept; ask the collector's administrator.",
        )


def _add(
    session: Session, log_key: VerifierKey, agent: str | None, container: str, signed: Signed
) -> int:
    about, certificate, now = held(session, container), signed.signed.certificate, now_ns()
    event = leaves.Event(
        event="opened",
        bundle=about.bundle,
        case=about.case_id,
        seal=about.seal,
        seal_state="claimed",
        container_sha256=sha256_hex(signed.text),
        container_size=len(signed.text),
        signature_sha256=sha256_hex(signed.signature),
        signer_cert_sha256=fingerprint(certificate),
        signer=common_name(certificate),
        sender=agent,
        sealed_at=nanoseconds(signed.signed.signing_time),
        arrived_at=now,
        actor="collector" if agent else ADMINISTRATOR,
    )
    position = leaves.append(session, log_key, event)
    session.add(
        Opening(
            signature_sha256=sha256_hex(signed.signature),
            container=container,
            statement=signed.text,
            signature=signed.signature,
            signer=fingerprint(certificate),
            signer_name=common_name(certificate),
            states=signed.statement.states,
            stated=signed.statement.time,
            agent_id=agent,
            arrived=now,
            leaf=position,
        )
    )
    return position
