"""Runs the fifteen steps of bundle-v1 §11 and gives the verdict.

Pure: the bundle is handed in open, the time and everything from outside too. What the caller MUST still do: obtain
roots, log keys and the seal by a way that the bundle did not take, and compare their fingerprints.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from hozen_hashes.names import rfc3339
from hozen_hashes.verify import (
    steps_files,
    steps_journal,
    steps_outside,
    steps_people,
    steps_signature,
    steps_time,
    steps_witnesses,
)
from hozen_hashes.verify.reading import MANIFEST, SEALED, SIGNATURE, Reading
from hozen_hashes.verify.report import (
    EXIT,
    Note,
    Result,
    StepResult,
    VerificationReport,
    WitnessReport,
    Word,
)
from hozen_hashes.verify.revoked import unanswered
from hozen_hashes.verify.verdict import integrity, verdict

if TYPE_CHECKING:
    from hozen_hashes.journalcheck import JournalReport
    from hozen_hashes.opened import OpenBundle
    from hozen_hashes.verify.anchors import Anchors
    from hozen_hashes.verify.report import SignerInfo

_STEPS = 15
_OUTSIDE = frozenset({SEALED, SIGNATURE})


def verify(bundle: OpenBundle, *, anchors: Anchors, at: datetime) -> VerificationReport:
    """Return what holds of the bundle.

    Args:
        bundle: open, at its beginning; it is read once.
        anchors: what is known from outside the bundle.
        at: the moment for which certificates are judged, with time zone.

    Raises:
        FormatError: the bytes are no bundle at all.
    """
    reading = Reading()
    reading.read(bundle)
    reading.journal.bundle_id = reading.bundle_id
    return _Judgement(reading, anchors, at).report(bundle.form)


class _Judgement:
    """The steps after reading, in their order."""

    def __init__(self, reading: Reading, anchors: Anchors, at: datetime) -> None:
        self._reading, self._anchors, self._at = reading, anchors, at
        self._journal = reading.journal.finish()
        self._seal = steps_signature.machine_seal(reading)
        self._stamped = steps_time.stamped(reading, anchors, at)
        self._receipted = steps_outside.receipt(reading, anchors, self._stamped, at)
        self._witnesses = self._witnessed()
        self._operator = steps_people.operator(reading, anchors, self._stamped, at)
        steps = self._all_steps() if reading.complete else self._first_step_only()
        self._steps = {one.number: one for one in steps}

    def report(self, form: str) -> VerificationReport:
        """Return the report."""
        reading, results = self._reading, {n: one.result for n, one in self._steps.items()}
        origin, by = self._origin()
        word = verdict(
            results,
            origin=origin,
            seal_given=self._anchors.seal is not None,
            anchor_mismatch=results[10] is Result.MISMATCH,
            witnesses=self._witnesses.result,
        )
        moment = self._earliest() if reading.complete else None
        return VerificationReport(
            word=word,
            exit_code=EXIT[word],
            bundle_id=reading.bundle_id,
            form=form,
            seal=reading.hashes.get(SEALED) if reading.complete else None,
            at=self._at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            integrity=integrity(results),
            origin=origin,
            origin_by=by,
            time=Word.NOT_VERIFIABLE if moment is None else Word.MATCH,
            not_after=None if moment is None else rfc3339(moment),
            steps=tuple(self._steps[number] for number in sorted(self._steps)),
            witnesses=self._witnesses,
            signer=self._signer(),
            signature_sha256=_sha256(reading.kept.get(SIGNATURE)),
            journal=_journal_state(self._journal),
            journal_reason=self._journal.end.reason if self._journal.end else "",
            items=reading.items.entries,
            files=reading.payload.count,
            size=reading.payload.size,
        )

    def _all_steps(self) -> list[StepResult]:
        reading, journal, signature = self._reading, self._journal, self._seal.signature
        payload = reading.payload.finish()
        tags = reading.tags.finish(outside=_OUTSIDE)
        return [
            steps_files.container(reading, [*payload.differences, *tags.differences]),
            steps_files.structure(reading),
            steps_files.sealed_text(reading, self._anchors.seal),
            steps_files.against_manifest(4, tags, SEALED, reading),
            steps_files.against_manifest(5, payload, MANIFEST, reading),
            steps_files.nothing_else(reading, payload, tags),
            steps_journal.journal(journal, reading),
            steps_journal.records(journal, reading, payload, tags),
            self._seal.step,
            steps_signature.identity(
                signature, journal, self._anchors, self._moment(), trusted=self._trusted()
            ),
            steps_signature.start(signature, journal, reading),
            self._receipted.step,
            steps_time.time(self._receipted, self._stamped, self._anchors),
            steps_people.custody(reading, self._anchors),
            self._operator.step,
        ]

    def _witnessed(self) -> WitnessReport:
        if not self._reading.complete:
            return WitnessReport(Result.NOT_RUN, Note("container-unread"))
        return steps_witnesses.witnesses(self._anchors, self._receipted.signed)

    def _first_step_only(self) -> list[StepResult]:
        """Return the steps of a container that broke off: what did not come is not thereby missing."""
        reason = (Note("container-unread"),)
        rest = [StepResult(number, Result.NOT_RUN, reason) for number in range(2, _STEPS + 1)]
        return [steps_files.container(self._reading, []), *rest]

    def _moment(self) -> datetime:
        """Return when the signer's certificate must have been valid: when it was known to be used, else `at`."""
        return self._trusted() or self._at

    def _trusted(self) -> datetime | None:
        """Return the earliest time, vouched for from outside, at which the machine seal existed; None: nobody says."""
        moment = self._earliest()
        return None if moment is None else datetime.fromtimestamp(moment // 10**9, UTC)

    def _earliest(self) -> int | None:
        """Return the earliest time, vouched for from outside, at which the machine seal existed."""
        found = [one for one in (self._receipted.moment, self._stamped.moment) if one is not None]
        return min(found, default=None)

    def _origin(self) -> tuple[Word, str]:
        """Return who: by root, receipt or operator; a contradiction of any of them is a mismatch."""
        found = [self._steps[number].result for number in (10, 12, 15)]
        if Result.MISMATCH in found:
            return Word.MISMATCH, ""
        if not self._reading.complete:
            return Word.NOT_VERIFIABLE, ""
        if found[0] is Result.MATCH:
            return Word.MATCH, "root"
        # A receipt says that the collector held it, not that a revoked key was still its owner's.
        if self._receipted.vouched and not unanswered(self._steps[10].notes):
            return Word.MATCH, "receipt"
        if self._operator.vouched:
            return Word.MATCH, "operator"
        return Word.NOT_VERIFIABLE, ""

    def _signer(self) -> SignerInfo | None:
        return steps_signature.signer_info(self._seal.signature, self._journal)


def _sha256(data: bytes | None) -> str | None:
    return None if data is None else sha256(data).hexdigest()


def _journal_state(report: JournalReport) -> str:
    if report.segments == 0:
        return "absent"
    return "closed" if report.end is not None else "open"
