"""The result of a verification as data; `words` turns it into Japanese or English."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Result(StrEnum):
    """How a step ended."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NOT_VERIFIABLE = "not verifiable"
    NOT_RUN = "not run"


class Word(StrEnum):
    """The three words a check may end with (law §7, 32)."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NOT_VERIFIABLE = "not verifiable"


EXIT = {Word.MATCH: 0, Word.MISMATCH: 1, Word.NOT_VERIFIABLE: 2}


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence by its key in the message catalogue, with what is filled in."""

    key: str
    values: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is not as it was sealed.

    Attributes:
        kind: `changed`, `missing`, `extra`, `renamed` or `unreadable`.
        path: as sealed; for `extra` as found. Foreign text in a directory form: escape before showing.
        detail: the other path for `renamed`, what is wrong for `unreadable`.
    """

    kind: str
    path: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of bundle-v1 §11.

    Attributes:
        notes: the reasons, in order; never empty when the result is not a match.
        differences: at most `MAX_SHOWN` items; `count` says how many there are.
    """

    number: int
    result: Result
    notes: tuple[Note, ...] = ()
    differences: tuple[Difference, ...] = ()
    count: int = 0


MAX_SHOWN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerInfo:
    """Whose certificate the machine seal carries; the times are the certificate's, `claimed` the signer's."""

    subject: str
    issuer: str
    certificate_sha256: str
    not_before: str
    not_after: str
    claimed: str
    kind: str


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness whose cosignature holds; `time` is the witness's claim, RFC 3339."""

    name: str
    time: str


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """Whether enough witnesses cosigned the checkpoint of the receipt (log-v1 §9).

    Attributes:
        result: NOT_RUN when nobody asked for it.
        note: the reason, or who cosigned.
        required: how many must have; None when nobody asked.
        missing, wrong: names of the keys whose cosignature is not there, or does not hold.
    """

    result: Result
    note: Note
    required: int | None = None
    cosigned: tuple[Cosignature, ...] = ()
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """Everything a check found.

    Attributes:
        word, exit_code: the verdict, bundle-v1 §11.
        integrity, origin, time: unchanged / who / since when, stated apart.
        steps: all fifteen, in order.
        seal: the root digest computed from the bundle, or None.
        signature_sha256: of the machine seal's `signatures/agent.p7s`, or None.
        at: the moment for which certificates were judged, RFC 3339.
        not_after: a moment at which the seal existed already, vouched for from outside, RFC 3339.
        witnesses: whether enough witnesses cosigned the log.
        journal: `closed`, `open` or `absent`, with the reason of the end in `journal_reason`.
    """

    word: Word
    exit_code: int
    bundle_id: str | None
    form: str
    seal: str | None
    at: str
    integrity: Word
    origin: Word
    origin_by: str
    time: Word
    not_after: str | None
    steps: tuple[StepResult, ...]
    witnesses: WitnessReport
    signer: SignerInfo | None
    signature_sha256: str | None
    journal: str
    journal_reason: str
    items: int
    files: int
    size: int

    def step(self, number: int) -> StepResult:
        """Return the step with this number."""
        return self.steps[number - 1]

    @property
    def not_run(self) -> tuple[int, ...]:
        """Numbers of the steps that were not run; a summary must list them."""
        return tuple(one.number for one in self.steps if one.result is Result.NOT_RUN)
