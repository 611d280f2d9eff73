"""Steps 7 and 8 of bundle-v1 §11: the journal's chain, and that records, journal and manifests agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.fields import Fields
from hozen_hashes.jsonl import parse_object
from hozen_hashes.verify.reading import BUNDLE_JSON, PLAN
from hozen_hashes.verify.report import Note, Result, StepResult
from hozen_hashes.verify.steps_files import step

if TYPE_CHECKING:
    from hozen_hashes.journalcheck import JournalReport
    from hozen_hashes.verify.ledger import Comparison
    from hozen_hashes.verify.reading import Reading

_MAX_NOTES = 20


def journal(report: JournalReport, reading: Reading) -> StepResult:
    """Step 7: every segment signed by the announced key, in order, to the end.

    An open journal is stated; it is a match here because step 9 decides whether the seal holds.
    """
    notes = [
        Note("journal", {"epoch": epoch, "reason": reason})
        for epoch, reason in report.problems[:_MAX_NOTES]
    ]
    if report.segments == 0:
        notes.append(Note("journal-absent"))
    notes += _stated(report, reading)
    if notes:
        return step(7, notes)
    stated = () if report.end is not None else (Note("journal-open"),)
    return StepResult(7, Result.MATCH, stated)


def _stated(report: JournalReport, reading: Reading) -> list[Note]:
    """Compare with what `bundle.json` says of the journal (bundle-v1 §12)."""
    found = _bundle_json(reading)
    if found is None or "journal" not in found:
        return []
    try:
        stated = found.inner("journal")
        differs = (
            stated.number("segments") != report.segments
            or stated.sha256("last_sha256") != report.last_sha256
            or stated.sha256("first_key_sha256") != report.first_key_sha256
            or stated.flag("closed") != (report.end is not None)
        )
    except FormatError as error:
        return [Note("malformed", {"reason": str(error)})]
    return [Note("journal-stated")] if differs and not report.problems else []


def _bundle_json(reading: Reading) -> Fields | None:
    try:
        found = parse_object(reading.kept.get(BUNDLE_JSON, b""), what=BUNDLE_JSON)
    except (FormatError, LimitError):
        return None
    return Fields(found, what=BUNDLE_JSON)


def records(
    report: JournalReport, reading: Reading, payload: Comparison, tags: Comparison
) -> StepResult:
    """Step 8: every attempt once in journal and files, every stored file named by exactly one record."""
    items = reading.items
    notes = list(items.problems[:_MAX_NOTES])
    if report.end is not None and report.end.items != items.entries:
        notes.append(Note("items-count", {"stated": report.end.items, "found": items.entries}))
    plan = reading.hashes.get(PLAN)
    if report.start is not None and plan not in {None, report.start.plan_sha256}:
        notes.append(Note("plan-differs"))
    if _sweep_absent(report, reading):
        notes.append(Note("sweep-absent"))
    notes += _counts(reading)
    notes += [
        Note("malformed", {"reason": text})
        for path, text in reading.malformed.items()
        if path.startswith("hozen/files/")
    ]
    if items.count > len(items.problems):
        notes.append(Note("more", {"count": items.count - len(items.problems)}))
    return step(8, notes, [*payload.records, *tags.records])


def _sweep_absent(report: JournalReport, reading: Reading) -> bool:
    """Return whether a finished capture stored processes, but not the sweep that segment 0 committed to."""
    if report.start is None or report.end is None or report.end.reason != "complete":
        return False
    wanted = report.start.sweep_sha256
    return wanted is not None and bool(reading.processes) and wanted not in reading.processes


def _counts(reading: Reading) -> list[Note]:
    """Compare with the counts in `bundle.json` (bundle-v1 §12), where they are stated."""
    found = _bundle_json(reading)
    if found is None or "counts" not in found:
        return []
    try:
        stated = found.inner("counts")
        pairs = (
            ("attempts", stated.number("attempts"), reading.items.entries),
            ("files", stated.number("files"), reading.payload.count),
            ("bytes", stated.decimal("bytes"), reading.payload.size),
        )
    except FormatError as error:
        return [Note("malformed", {"reason": str(error)})]
    return [
        Note("counts", {"what": what, "stated": said, "found": here})
        for what, said, here in pairs
        if said != here and (what == "attempts" or not reading.limited)
    ]
