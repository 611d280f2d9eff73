"""Step 12 of bundle-v1 §11: what the receipt of a collector states about the bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from hozen_hashes.errors import (
    BadDataError,
    MismatchError,
    NotVerifiableError,
    SignatureError,
)
from hozen_hashes.names import rfc3339
from hozen_hashes.receipt import SIGNATURE_NAME, PartState, verify_receipt
from hozen_hashes.verify import others
from hozen_hashes.verify.reading import SEALED, SIGNATURE
from hozen_hashes.verify.report import Note, Result, StepResult
from hozen_hashes.verify.steps_files import step

if TYPE_CHECKING:
    from datetime import datetime

    from hozen_hashes.checkpoint import SignedCheckpoint
    from hozen_hashes.receipt import VerifiedReceipt
    from hozen_hashes.verify.anchors import Anchors
    from hozen_hashes.verify.reading import Reading
    from hozen_hashes.verify.revoked import Judged
    from hozen_hashes.verify.steps_time import Stamped


@dataclass(frozen=True, slots=True)
class Receipted:
    """Step 12 with what an anchored receipt gives.

    Attributes:
        vouched: the receipt is for this seal and this signature, and somebody from outside vouches for it.
        moment: nanoseconds since 1970 at which the collector had the signature; None unless vouched.
        by: the log's origin, empty unless vouched.
        signed: the checkpoint whose tree holds the receipt; None unless the receipt is about this bundle.
    """

    step: StepResult
    vouched: bool = False
    moment: int | None = None
    by: str = ""
    signed: SignedCheckpoint | None = None


def receipt(reading: Reading, anchors: Anchors, stamps: Stamped, at: datetime) -> Receipted:
    """Step 12: the receipt's statement is about this bundle, logged, and signed by a known log or root.

    The receipt's certificate is judged for the time that stamps over `receipt.p7s` show, else for `at`.
    """
    if anchors.receipt is None:
        return Receipted(StepResult(12, Result.NOT_RUN, (Note("no-receipt"),)))
    trusted = stamps.existed(f"receipt/{SIGNATURE_NAME}")
    p7s = reading.kept.get(SIGNATURE)
    try:
        verified = verify_receipt(
            anchors.receipt,
            seal=reading.hashes.get(SEALED),
            container=reading.ciphertext,
            signature=None if p7s is None else sha256(p7s).hexdigest(),
            at=trusted or at,
            roots=anchors.roots,
            log_keys=anchors.log_keys,
            bundle=reading.bundle_id,
        )
    except (SignatureError, MismatchError) as error:
        return Receipted(step(12, [Note("receipt", {"reason": str(error)})]))
    except (BadDataError, NotVerifiableError) as error:
        unusable = Note("receipt-unusable", {"reason": str(error)})
        return Receipted(StepResult(12, Result.NOT_VERIFIABLE, (unusable,)))
    found = _judged(verified)
    if verified.signature is None or verified.part("signer").state is not PartState.MATCH:
        return found
    return _unrevoked(found, verified, others.signer(verified.signature, anchors, trusted, at))


def _unrevoked(found: Receipted, verified: VerifiedReceipt, judged: Judged) -> Receipted:
    """Take from the receipt what lists of revoked certificates take from its signer; a log key stands without it."""
    if judged.result is Result.MISMATCH:
        return Receipted(StepResult(12, Result.MISMATCH, judged.notes))
    if judged.result is Result.NOT_VERIFIABLE and verified.anchor == "root":
        return Receipted(StepResult(12, Result.NOT_VERIFIABLE, judged.notes), signed=found.signed)
    notes = (*found.step.notes, *judged.notes)
    return replace(found, step=replace(found.step, notes=notes))


def _judged(verified: VerifiedReceipt) -> Receipted:
    said = verified.statement
    known = {part.name for part in verified.parts if part.state is PartState.MATCH}
    # The hash of the ciphertext fixes what is in it, the signature too; a collector without a key names no other.
    about_this = "statement" in known and not known.isdisjoint(("agent signature", "container"))
    signed = verified.signed if about_this else None
    if not about_this or verified.anchor is None:
        key = "receipt-unanchored" if verified.anchor is None else "receipt-other"
        reason = Note(key, {"log": said.log})
        return Receipted(StepResult(12, Result.NOT_VERIFIABLE, (reason,)), signed=signed)
    arrived = said.arrived_at if said.arrived_at is not None else said.time
    values = {"log": said.log, "by": verified.anchor, "time": rfc3339(arrived)}
    if not verified.accepted:
        quarantined = Note("receipt-quarantine", {**values, "verified": said.verified or "-"})
        return Receipted(
            StepResult(12, Result.MATCH, (quarantined,)), moment=arrived, by=said.log, signed=signed
        )
    found = StepResult(12, Result.MATCH, (Note("receipt-holds", values),))
    return Receipted(found, vouched=True, moment=arrived, by=said.log, signed=signed)
