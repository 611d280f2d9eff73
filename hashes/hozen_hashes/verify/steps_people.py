"""Steps 14 and 15 of bundle-v1 §11: custody events in their chain, and the signatures of people."""

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
from hozen_hashes.personstatement import ROLES, PersonStatement, parse_person_statement
from hozen_hashes.verify.reading import SEALED, SIGNATURE
from hozen_hashes.verify.report import Note, Result, StepResult
from hozen_hashes.verify.revoked import Use, judge
from hozen_hashes.verify.steps_files import step

if TYPE_CHECKING:
    from datetime import datetime

    from hozen_hashes.verify.anchors import Anchors
    from hozen_hashes.verify.reading import Reading
    from hozen_hashes.verify.steps_time import Stamped

OPERATOR_P7S = "operator.p7s"
STATEMENT = "statement.txt"
_WITNESS = re.compile(r"witness-([0-9]{2})\.(?:p7s|txt)")
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


def operator(reading: Reading, anchors: Anchors, stamps: Stamped, at: datetime) -> Operator:
    """Step 15: people signed statements that name this seal and this machine signature.

    Only the operator can vouch for the origin; a witness whose signature does not hold is a mismatch all the same. A
    certificate is judged for the time that stamps over that person's own signature show, else for `at`: they sign
    after the machine, so what dates the machine seal does not date them.
    """
    people = [
        _person(reading, anchors, name, role, _Time(stamps.existed(name), at))
        for name, role in _expected(anchors)
    ]
    if not people:
        return Operator(StepResult(15, Result.NOT_RUN, (Note("no-operator"),)))
    notes = tuple(note for one in people for note in one.notes)
    results = [one.result for one in people]
    if Result.MISMATCH in results:
        wrong = [note for one in people if one.result is Result.MISMATCH for note in one.notes]
        return Operator(StepResult(15, Result.MISMATCH, tuple(wrong)))
    first = people[0]
    if first.role != ROLES[0]:
        return Operator(StepResult(15, Result.NOT_VERIFIABLE, (*notes, Note("no-operator"))))
    vouched = first.result is Result.MATCH
    return Operator(StepResult(15, first.result, notes), vouched=vouched, name=first.who)


@dataclass(frozen=True, slots=True)
class _Person:
    role: str
    result: Result
    notes: tuple[Note, ...]
    who: str = ""


@dataclass(frozen=True, slots=True)
class _Time:
    """When a person's signature existed at the latest (None: nobody says), and the moment of the check."""

    trusted: datetime | None
    at: datetime


def _expected(anchors: Anchors) -> list[tuple[str, str]]:
    """Return (signature file, role), the operator first; half of a pair counts."""
    files = anchors.operator
    wanted = [(OPERATOR_P7S, ROLES[0])]
    if not (anchors.operator_expected or OPERATOR_P7S in files or STATEMENT in files):
        wanted = []
    numbers = sorted({match[1] for name in files if (match := _WITNESS.fullmatch(name))})
    return [*wanted, *((f"witness-{number}.p7s", ROLES[1]) for number in numbers)]


def _person(reading: Reading, anchors: Anchors, name: str, role: str, when: _Time) -> _Person:
    beside = STATEMENT if name == OPERATOR_P7S else name.removesuffix(".p7s") + ".txt"
    p7s, text = anchors.operator.get(name), anchors.operator.get(beside)
    if p7s is None or text is None:
        absent = name if p7s is None else beside
        return _Person(role, Result.MISMATCH, (Note("absent", {"path": absent}),))
    try:
        signature = cms.verify_detached(p7s, sha256(text).digest())
        said = parse_person_statement(text)
    except BadDataError as error:
        return _Person(role, Result.MISMATCH, (Note("signature", {"reason": f"{name}: {error}"}),))
    if said.role != role or not _is_about_this(reading, said):
        return _Person(role, Result.MISMATCH, (Note("statement-other"),))
    return _vouched(signature, anchors, role, when)


def _vouched(signature: cms.Signature, anchors: Anchors, role: str, when: _Time) -> _Person:
    """Judge whose signature it is: the chain, and the lists of revoked certificates that answer."""
    who, at = signature.certificate.subject.rfc4514_string(), when.trusted or when.at
    roots = anchors.roots
    try:
        path = verify_chain(signature.certificate, signature.certificates, roots, at=at)
    except ChainError as error:
        reason = Note("operator-unvouched", {"who": who, "reason": str(error)})
        return _Person(role, Result.NOT_VERIFIABLE, (reason,), who)
    use = Use(trusted=when.trusted, claimed=signature.signing_time, at=when.at)
    judged = judge(path, anchors.revoked, roots=roots, use=use, demanded=False)
    name = Note("operator", {"who": who}) if role == ROLES[0] else Note("witness", {"who": who})
    return _Person(role, judged.result, (name, *judged.notes), who)


def _is_about_this(reading: Reading, said: PersonStatement) -> bool:
    p7s = reading.kept.get(SIGNATURE)
    if p7s is None or said.bundle != reading.bundle_id:
        return False
    return said.seal == reading.hashes.get(SEALED) and said.signature == sha256(p7s).hexdigest()
