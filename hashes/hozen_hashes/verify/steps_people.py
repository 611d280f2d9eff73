"""Steps 14 and 15 of bundle-v1 §11: custody events in their chain, and the operator's signature."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from hozen_hashes import cms
from hozen_hashes.chain import ChainError, verify_chain
from hozen_hashes.errors import BadDataError
from hozen_hashes.jsonl import parse_object
from hozen_hashes.verify.reading import SEALED, SIGNATURE
from hozen_hashes.verify.report import Note, Result, StepResult
from hozen_hashes.verify.steps_files import step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from hozen_hashes.verify.anchors import Anchors
    from hozen_hashes.verify.reading import Reading

OPERATOR_P7S = "operator.p7s"
STATEMENT = "statement.txt"
_EVENT = re.compile(r"([0-9]{6})\.json")


def custody(files: Mapping[str, bytes]) -> StepResult:
    """Step 14: the events are numbered from 1, each signed, each naming the SHA-256 of the one before."""
    if not files:
        return StepResult(14, Result.NOT_RUN, (Note("no-custody"),))
    numbers = sorted(int(match[1]) for name in files if (match := _EVENT.fullmatch(name)))
    notes = []
    if numbers != list(range(1, len(numbers) + 1)):
        notes.append(Note("custody-gap"))
    before: str | None = None
    for number in numbers:
        name = f"{number:06d}"
        reason = _event_problem(files, name, before)
        if reason:
            notes.append(Note("custody", {"event": name, "reason": reason}))
        before = sha256(files[f"{name}.json"]).hexdigest()
    if notes:
        return step(14, notes)
    return StepResult(14, Result.MATCH, (Note("custody-events", {"count": len(numbers)}),))


def _event_problem(files: Mapping[str, bytes], name: str, before: str | None) -> str:
    data = files[f"{name}.json"]
    p7s = files.get(f"{name}.p7s") or files.get(f"{name}.json.p7s")
    if p7s is None:
        return "there is no signature"
    try:
        event = parse_object(data, what=f"custody {name}")
        cms.verify_detached(p7s, sha256(data).digest())
    except BadDataError as error:
        return str(error)
    named = event.get("previous", event.get("previous_sha256"))
    return "" if named == before else "it follows another event than the one before it here"


@dataclass(frozen=True, slots=True)
class Operator:
    """Step 15, and whether the operator's certificate chains to a root from outside."""

    step: StepResult
    vouched: bool = False
    name: str = ""


def operator(reading: Reading, anchors: Anchors, at: datetime) -> Operator:
    """Step 15: a person signed a statement that names this seal and this machine signature."""
    files = anchors.operator
    p7s, text = files.get(OPERATOR_P7S), files.get(STATEMENT)
    if p7s is None and text is None and not anchors.operator_expected:
        return Operator(StepResult(15, Result.NOT_RUN, (Note("no-operator"),)))
    if p7s is None or text is None:
        absent = OPERATOR_P7S if p7s is None else STATEMENT
        return Operator(step(15, [Note("absent", {"path": absent})]))
    try:
        signature = cms.verify_detached(p7s, sha256(text).digest())
    except BadDataError as error:
        return Operator(step(15, [Note("signature", {"reason": str(error)})]))
    if not _names_this(reading, text):
        return Operator(step(15, [Note("statement-other")]))
    who = {"who": signature.certificate.subject.rfc4514_string()}
    try:
        verify_chain(signature.certificate, signature.certificates, anchors.roots, at=at)
    except ChainError as error:
        reason = Note("operator-unvouched", {**who, "reason": str(error)})
        return Operator(StepResult(15, Result.NOT_VERIFIABLE, (reason,)))
    return Operator(
        StepResult(15, Result.MATCH, (Note("operator", who),)), vouched=True, name=who["who"]
    )


def _names_this(reading: Reading, statement: bytes) -> bool:
    """Return whether the statement names seal and machine signature, as words of their own."""
    seal, p7s = reading.hashes.get(SEALED), reading.kept.get(SIGNATURE)
    if seal is None or p7s is None:
        return False
    words = statement.split()
    return seal.encode() in words and sha256(p7s).hexdigest().encode() in words
