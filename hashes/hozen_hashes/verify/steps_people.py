"""Steps 14 and 15 of bundle-v1 §11: custody events in their chain, and the operator's signature."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from hozen_hashes import cms
from hozen_hashes.chain import ChainError, verify_chain
from hozen_hashes.errors import BadDataError
from hozen_hashes.fields import Fields
from hozen_hashes.jsonl import parse_object
from hozen_hashes.verify.reading import SEALED, SIGNATURE
from hozen_hashes.verify.report import Note, Result, StepResult
from hozen_hashes.verify.steps_files import step

if TYPE_CHECKING:
    from datetime import datetime

    from hozen_hashes.verify.anchors import Anchors
    from hozen_hashes.verify.reading import Reading

OPERATOR_P7S = "operator.p7s"
STATEMENT = "statement.txt"
_EVENT = re.compile(r"([0-9]{6})\.json")


def custody(reading: Reading, anchors: Anchors) -> StepResult:
    """Step 14: the events are numbered from 1, signed, about this bundle, each naming the one before it.

    Whose keys signed them is not judged: an event is the statement of whoever made it.
    """
    files = anchors.custody
    if not files:
        return StepResult(14, Result.NOT_RUN, (Note("no-custody"),))
    numbers = sorted(int(match[1]) for name in files if (match := _EVENT.fullmatch(name)))
    notes = []
    if numbers != list(range(1, len(numbers) + 1)):
        notes.append(Note("custody-gap"))
    before: str | None = None
    for number in numbers:
        data = files[f"{number:06d}.json"]
        reason = _event_problem(reading, anchors, number, before)
        if reason:
            notes.append(Note("custody", {"event": f"{number:06d}", "reason": reason}))
        before = sha256(data).hexdigest()
    if notes:
        return step(14, notes)
    return StepResult(14, Result.MATCH, (Note("custody-events", {"count": len(numbers)}),))


def _event_problem(reading: Reading, anchors: Anchors, number: int, before: str | None) -> str:
    name = f"{number:06d}"
    data, p7s = anchors.custody[f"{name}.json"], anchors.custody.get(f"{name}.p7s")
    if p7s is None:
        return "there is no signature"
    try:
        event = Fields(parse_object(data, what=f"event {name}"), what=f"event {name}")
        cms.verify_detached(p7s, sha256(data).digest())
        previous, bundle = event.sha256_or_none("previous"), event.text("bundle")
        seal = event.sha256_or_none("seal")
        rules = (
            (event.number("event_no") == number, "it has another number"),
            (previous == before, "it follows another event than the one before it here"),
            (bundle == reading.bundle_id, "it is about another bundle"),
            (seal in {None, reading.hashes.get(SEALED)}, "it is about another root digest"),
        )
        attached = [one.sha256("sha256") for one in event.objects("attachments")]
    except BadDataError as error:
        return str(error)
    lost = [one for one in attached if anchors.attachments.get(one) != one]
    absent = ((not lost, f"its attachment {''.join(lost[:1])[:16]}… is absent or was changed"),)
    return next((text for holds, text in (*rules, *absent) if not holds), "")


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
