"""What is asked of a container before it is accepted: its hash as read back, then the lawyer's own verification."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, Final

from hozen_collector.certificates import common_name, fingerprint, nanoseconds
from hozen_collector.verdict import (
    MATCH,
    MISMATCH,
    NOT_VERIFIABLE,
    Reason,
    Verdict,
    clean,
    reason_of,
)
from hozen_hashes import cms
from hozen_hashes.chain import load_certificates
from hozen_hashes.digest import Digest
from hozen_hashes.errors import BadDataError, FormatError, HozenError, LimitError, UsageError
from hozen_hashes.opened import ZipBundle
from hozen_hashes.salvage import salvage
from hozen_hashes.verify import Anchors, Result, VerificationReport, verify
from hozen_hashes.words import Words
from hozen_hashes.zipread import open_entry

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_hashes.verify import StepResult

_READ: Final = 1 << 20
_SMALL: Final = 1 << 20
_AGE: Final = b"age-encryption.org/v1\n"
_SIGNATURE: Final = "signatures/agent.p7s"
_START: Final = "hozen/start.p7s"
_FIRST_KEY: Final = "hozen/journal/000000.pub"
_SHOWN: Final = 20
_SEAL_STEP: Final = 9  # of bundle-v1 §11


def examine(path: Path, kind: str, roots_pem: bytes) -> Verdict:
    """Give the verdict on a container of a kind; a foreign byte never makes this raise.

    Args:
        path: the container.
        kind: bundle, partial or encrypted.
        roots_pem: the collector's root, by which origin is judged.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        verdict = _hashed(file)
        file.seek(0)
        try:
            if kind == "bundle":
                return _verified(verdict, file, roots_pem)
            return _salvaged(verdict, file) if kind == "partial" else _unopened(verdict, file)
        except HozenError as error:
            return _refused(verdict, error)


def _hashed(file: BinaryIO) -> Verdict:
    """Hash the bytes as the disk gives them back: what the page cache still holds is dropped first."""
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    digest = Digest()
    while chunk := file.read(_READ):
        digest.update(chunk)
    return Verdict(
        container_sha256=digest.hexdigest(),
        container_size=digest.size,
        integrity=NOT_VERIFIABLE,
    )


def _verified(verdict: Verdict, file: BinaryIO, roots_pem: bytes) -> Verdict:
    bundle = ZipBundle(file)
    anchors = Anchors(roots=tuple(load_certificates(roots_pem)))
    report = verify(bundle, anchors=anchors, at=datetime.now(UTC))
    verdict = replace(
        verdict,
        integrity=str(report.integrity),
        origin=str(report.origin),
        word=str(report.word),
        reasons=_reasons(report),
        bundle=report.bundle_id or "",
        seal=report.seal or "",
    )
    if verdict.integrity == MATCH:
        return _signed(verdict, bundle, file)
    if report.signer is None or report.step(_SEAL_STEP).result is not Result.MATCH:
        return verdict
    return replace(
        verdict,
        signer=report.signer.certificate_sha256,
        signer_name=clean(report.signer.subject)[:64],
    )


def _signed(verdict: Verdict, bundle: ZipBundle, file: BinaryIO) -> Verdict:
    """Add what the leaf will say of the signer and of the beginning."""
    entries = bundle.entries()

    def member(path: str) -> bytes:
        entry = entries[path]
        if entry.size > _SMALL:
            raise LimitError(f"{path} is too large")
        return b"".join(open_entry(file, entry))

    signature = member(_SIGNATURE)
    signed = cms.read_signature(signature)
    return replace(
        verdict,
        signer=fingerprint(signed.certificate),
        signer_name=common_name(signed.certificate),
        sealed_at=nanoseconds(signed.signing_time),
        signature_sha256=_sha256(signature),
        start_sha256=_sha256(member(_START)),
        first_journal_key_sha256=_sha256(member(_FIRST_KEY)),
    )


def _salvaged(verdict: Verdict, file: BinaryIO) -> Verdict:
    """Take an interrupted capture for what it proves; one that proves nothing, or contradicts itself, is refused."""
    report = salvage(container=file.read)
    proved = report.journal.proved
    words = Reason(
        f"an interrupted capture: {proved} journal segments and {len(report.proved)} files are proved",
        f"中断した取得です。ジャーナル{proved}区間、ファイル{len(report.proved)}件を証明できます",
    )
    contradicted = tuple(
        Reason(
            clean(f"{one.path}: not what its proved record says"),
            clean(f"{one.path}: 証明済みの記録と異なります"),
        )
        for one in report.contradictions[:_SHOWN]
    )
    word = MISMATCH if contradicted else NOT_VERIFIABLE
    signer = report.start.certificate if report.start else None
    return replace(
        verdict,
        integrity=word,
        word=word,
        reasons=(words, *contradicted),
        refused=not proved,
        bundle=report.bundle_id or "",
        signer=fingerprint(signer) if signer else "",
        signer_name=common_name(signer) if signer else "",
    )


def _unopened(verdict: Verdict, file: BinaryIO) -> Verdict:
    """Look only at whether it is what it is said to be: the key to it is elsewhere."""
    if file.read(len(_AGE)) != _AGE:
        raise FormatError("this is not an age-encrypted file")
    words = Reason("encrypted, not opened here", "暗号化されており、ここでは開封していません")
    return replace(verdict, reasons=(words,))


def _refused(verdict: Verdict, error: HozenError) -> Verdict:
    bad = isinstance(error, BadDataError | UsageError)
    word = MISMATCH if bad and not isinstance(error, LimitError) else NOT_VERIFIABLE
    return replace(verdict, integrity=word, word=word, reasons=(reason_of(error),))


def _reasons(report: VerificationReport) -> tuple[Reason, ...]:
    """Give why the report is not a plain match, in both languages."""
    english, japanese = Words("en"), Words("ja")
    found = [
        Reason(_sentence(english, step), _sentence(japanese, step))
        for step in report.steps
        if step.result is Result.MISMATCH
        or (step.result is Result.NOT_VERIFIABLE and report.integrity != MATCH)
    ]
    return tuple(found)


def _sentence(words: Words, step: StepResult) -> str:
    notes = [words.note(note) for note in step.notes[:_SHOWN]]
    items = [
        f"{words.difference(one.kind)}: {one.path}" + (f" ({one.detail})" if one.detail else "")
        for one in step.differences[:_SHOWN]
    ]
    head = f"{step.number}. {words.step(step.number)}: {words.result(str(step.result))}"
    return "; ".join([head, *notes, *items])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
