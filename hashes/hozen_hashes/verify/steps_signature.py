"""Steps 9 to 11 of bundle-v1 §11: the machine seal, the chain to a root from outside, and the signed start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes

from hozen_hashes import cms
from hozen_hashes.chain import ChainError, verify_chain
from hozen_hashes.errors import BadDataError
from hozen_hashes.verify.reading import SEALED, SIGNATURE, START
from hozen_hashes.verify.report import Note, Result, SignerInfo, StepResult
from hozen_hashes.verify.revoked import Use, judge
from hozen_hashes.verify.steps_files import step

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from hozen_hashes.journalcheck import JournalReport
    from hozen_hashes.verify.anchors import Anchors
    from hozen_hashes.verify.reading import Reading

ONE_CAPTURE = "one-capture"


@dataclass(frozen=True, slots=True)
class Sealed:
    """Step 9 with the signature it found, or None."""

    step: StepResult
    signature: cms.Signature | None


def machine_seal(reading: Reading) -> Sealed:
    """Step 9: the embedded certificate's key signed the tag manifest; mathematics only."""
    seal = reading.hashes.get(SEALED)
    p7s = reading.kept.get(SIGNATURE)
    if p7s is None:
        return Sealed(step(9, [Note("absent", {"path": SIGNATURE})]), None)
    if seal is None:
        return Sealed(step(9, [Note("absent", {"path": SEALED})]), None)
    try:
        signature = cms.verify_detached(p7s, bytes.fromhex(seal))
    except BadDataError as error:
        return Sealed(step(9, [Note("signature", {"reason": str(error)})]), None)
    return Sealed(StepResult(9, Result.MATCH), signature)


def identity(
    signature: cms.Signature | None,
    report: JournalReport,
    anchors: Anchors,
    at: datetime,
    *,
    trusted: datetime | None = None,
) -> StepResult:
    """Step 10: a chain from the signer to one of the given roots, valid at `at`, and not revoked before.

    Args:
        signature: of the machine seal; None when it does not hold.
        report: of the journal, for the kind of identity that it states.
        anchors: roots, and lists of revoked certificates.
        at: the trusted time where there is one, else the moment of the check.
        trusted: when the seal existed at the latest, vouched for from outside.
    """
    if not anchors.roots:
        return _no_root(signature, anchors)
    if signature is None:
        return StepResult(10, Result.NOT_VERIFIABLE, (Note("no-signature"),))
    try:
        path = verify_chain(signature.certificate, signature.certificates, anchors.roots, at=at)
    except ChainError as error:
        return _no_path(error, signature.certificate, report)
    except BadDataError as error:
        return step(10, [Note("chain", {"reason": str(error)})])
    use = Use(trusted=trusted, claimed=signature.signing_time, at=at)
    judged = judge(path, anchors.revoked, roots=anchors.roots, use=use)
    leads = Note("chain-root", {"root": fingerprint(path[-1])})
    return StepResult(10, judged.result, (leads, *judged.notes))


def _no_root(signature: cms.Signature | None, anchors: Anchors) -> StepResult:
    """Without a root nobody can say whose a list of revoked certificates is; a one-capture key is on none."""
    alone = signature is None or signature.certificate.issuer == signature.certificate.subject
    if not anchors.revoked or alone:
        return StepResult(10, Result.NOT_RUN, (Note("no-root"),))
    return StepResult(10, Result.NOT_VERIFIABLE, (Note("no-root"), Note("revoked-no-root")))


def _no_path(error: ChainError, signer: x509.Certificate, report: JournalReport) -> StepResult:
    reason = {"reason": str(error)}
    if error.kind in {"expired", "not_yet_valid"}:
        return StepResult(10, Result.NOT_VERIFIABLE, (Note(error.kind, reason),))
    alone = signer.issuer == signer.subject
    stated = report.start is not None and report.start.identity_kind == ONE_CAPTURE
    if error.kind == "untrusted" and alone and stated:
        return StepResult(10, Result.NOT_VERIFIABLE, (Note("one-capture"),))
    return step(10, [Note("chain", reason)])


def start(signature: cms.Signature | None, report: JournalReport, reading: Reading) -> StepResult:
    """Step 11: the identity that sealed the end signed segment 0 before anything was read."""
    p7s = reading.kept.get(START)
    first = reading.journal.segments.get(0)
    if p7s is None or first is None:
        path = START if p7s is None else "hozen/journal/000000.jsonl"
        return step(11, [Note("absent", {"path": path})])
    try:
        started = cms.verify_detached(p7s, bytes.fromhex(first.sha256))
    except BadDataError as error:
        return step(11, [Note("signature", {"reason": str(error)})])
    notes = []
    if signature is not None and started.certificate != signature.certificate:
        notes.append(Note("other-signer"))
    if report.start is not None:
        stated = report.start.certificate_sha256
        if stated != fingerprint(started.certificate):
            notes.append(Note("start-certificate"))
    return step(11, notes)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER bytes, lower-case hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def signer_info(signature: cms.Signature | None, report: JournalReport) -> SignerInfo | None:
    """Return whose certificate sealed the bundle."""
    if signature is None:
        return None
    certificate = signature.certificate
    return SignerInfo(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        certificate_sha256=fingerprint(certificate),
        not_before=certificate.not_valid_before_utc.isoformat().replace("+00:00", "Z"),
        not_after=certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
        claimed=signature.signing_time.isoformat().replace("+00:00", "Z"),
        kind=report.start.identity_kind if report.start else "",
    )
