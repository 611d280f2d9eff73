"""The report as JSON values, stable and documented (docs/reference/json.md): format hozen-verification/1."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from hozen_hashes.words import Words

if TYPE_CHECKING:
    from hozen_hashes.verify.report import Note, StepResult, VerificationReport, WitnessReport

FORMAT = "hozen-verification/1"


def as_json(report: VerificationReport) -> dict[str, object]:
    """Return the report as JSON values; sentences are English, keys of the catalogue stand beside them."""
    signer = None if report.signer is None else asdict(report.signer)
    return {
        "format": FORMAT,
        "bundle_id": report.bundle_id,
        "form": report.form,
        "word": report.word.value,
        "word_ja": Words("ja").result(report.word),
        "exit_code": report.exit_code,
        "integrity": report.integrity.value,
        "origin": report.origin.value,
        "origin_by": report.origin_by or None,
        "time": report.time.value,
        "existed_at": report.not_after,
        "certificates_judged_as_of": report.at,
        "seal": report.seal,
        "signer": signer,
        "journal": {"state": report.journal, "reason": report.journal_reason or None},
        "counts": {
            "attempts": report.items,
            "payload_files": report.files,
            "payload_bytes": str(report.size),
        },
        "steps": [_step(one) for one in report.steps],
        "steps_not_run": list(report.not_run),
        "witnesses": _witnesses(report.witnesses),
    }


def _witnesses(found: WitnessReport) -> dict[str, object]:
    return {
        "result": found.result.value,
        "required": found.required,
        "cosigned": [asdict(one) for one in found.cosigned],
        "missing": list(found.missing),
        "wrong": list(found.wrong),
        "note": _note(found.note, Words("en")),
    }


def _step(step: StepResult) -> dict[str, object]:
    words = Words("en")
    return {
        "number": step.number,
        "name": words.step(step.number),
        "result": step.result.value,
        "notes": [_note(note, words) for note in step.notes],
        "differences": [
            {"kind": one.kind, "path": one.path, "detail": one.detail or None}
            for one in step.differences
        ],
        "difference_count": step.count,
    }


def _note(note: Note, words: Words) -> dict[str, object]:
    return {"key": note.key, "text": words.note(note), "values": dict(note.values)}
