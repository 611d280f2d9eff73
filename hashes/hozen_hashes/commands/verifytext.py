"""The report of a verification for people: the verdict first, then who and since when, then every step."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from hozen_hashes.terminal import safe_text
from hozen_hashes.verify.report import Result, Word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.verify.report import StepResult, VerificationReport, WitnessReport
    from hozen_hashes.words import Words

_SHOWN = 10
_INDENT = " " * 6


def lines(
    report: VerificationReport, words: Words, *, name: str, everything: bool
) -> Iterator[str]:
    """Yield the lines of the full report.

    Args:
        report: of one bundle.
        words: the language.
        name: how the caller named the bundle.
        everything: list every difference instead of the first ten of a step.
    """
    yield from verdict_lines(report, words, name=name)
    yield ""
    yield from _facts(report, words)
    yield ""
    for step in report.steps:
        yield from _step(step, words, everything=everything)
    yield ""
    yield f"{words.text('not-run')}: {_not_run(report, words)}"
    yield words.text("truth")


def verdict_lines(report: VerificationReport, words: Words, *, name: str) -> Iterator[str]:
    """Yield the verdict: the word, and one sentence that says what it means."""
    yield f"{words.text('verdict')}: {words.both(report.word)}  {safe_text(name)}"
    yield f"  {words.text(_meaning(report))}"


def _meaning(report: VerificationReport) -> str:
    if report.word is Word.MISMATCH:
        return "mismatch-plain"
    if report.word is Word.MATCH:
        return "match-plain" if report.origin is Word.MATCH else "match-seal"
    if report.integrity is not Word.MATCH:
        return "unverifiable-integrity"
    lacking = report.witnesses.result is Result.NOT_VERIFIABLE
    return "unverifiable-witnesses" if lacking else "unverifiable-origin"


def _not_run(report: VerificationReport, words: Words) -> str:
    """Return what was not run: a summary must list all of it."""
    parts = [f"{number} {words.step(number)}" for number in report.not_run]
    if report.witnesses.result is Result.NOT_RUN:
        parts.append(words.text("witnesses"))
    return ", ".join(parts) or words.text("none")


def _facts(report: VerificationReport, words: Words) -> Iterator[str]:
    origin, time = words.both(report.origin), words.both(report.time)
    if report.origin_by:
        origin += f" ({words.text('origin-' + report.origin_by)})"
    if report.not_after:
        time += f" ({words.text('time-latest', time=report.not_after)})"
    rows = [
        ("integrity", words.both(report.integrity)),
        ("origin", origin),
        ("time", time),
        ("witnesses", _witnesses(report.witnesses, words)),
        ("bundle", report.bundle_id or "-"),
        ("seal", report.seal or "-"),
        *_signer(report, words),
        ("contents", words.text("contents-value", items=report.items, files=report.files, size=report.size)),
        ("journal", words.text(f"journal-{report.journal}", reason=report.journal_reason)),
        ("at", report.at),
    ]  # fmt: skip
    labels = [words.text(key) for key, _ in rows]
    width = max(_width(label) for label in labels)
    for label, (_, value) in zip(labels, rows, strict=True):
        yield f"{label}{' ' * (width - _width(label))}  {safe_text(value)}"


def _witnesses(found: WitnessReport, words: Words) -> str:
    who = [words.text("witnesses-time", name=one.name, time=one.time) for one in found.cosigned]
    return f"{words.both(found.result)} ({'; '.join((words.note(found.note), *who))})"


def _signer(report: VerificationReport, words: Words) -> list[tuple[str, str]]:
    signer = report.signer
    if signer is None:
        return []
    kind = f" ({words.text('signer-kind-one-capture')})" if signer.kind == "one-capture" else ""
    return [
        ("signer", signer.subject + kind),
        ("fingerprint", signer.certificate_sha256),
        ("claimed", signer.claimed),
    ]


def _step(step: StepResult, words: Words, *, everything: bool) -> Iterator[str]:
    result = words.result(step.result)
    pad = " " * (16 - _width(result))
    yield f"{step.number:>4}  {result}{pad}{words.step(step.number)}"
    for note in step.notes:
        if step.result is not Result.NOT_RUN or everything:
            yield f"{_INDENT}- {words.note(note)}"
    shown = step.differences if everything else step.differences[:_SHOWN]
    for one in shown:
        detail = f"  {safe_text(one.detail)}" if one.detail else ""
        yield f"{_INDENT}- {words.difference(one.kind)}: {safe_text(one.path)}{detail}"
    if step.count > len(shown):
        yield f"{_INDENT}- {words.text('more', count=step.count - len(shown))}"


def _width(text: str) -> int:
    """Return the columns that the text takes: East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
