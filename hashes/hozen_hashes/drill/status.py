"""Who has opened when, who is overdue, who never did: judged from the files of a drill folder (drill-v1 §4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes import cms, cmsnames
from hozen_hashes.chain import verify_chain
from hozen_hashes.drill.rounds import MAX_OPENED, answer_digest, parse_opened, present, walk
from hozen_hashes.errors import BadDataError, NotVerifiableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography import x509

    from hozen_hashes.drill.rounds import Entry, Opened, Round

OPENED, OVERDUE, NEVER = "opened", "overdue", "never"
_SECOND: Final = 10**9
_DAY: Final = 86_400 * _SECOND


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening that holds.

    Attributes:
        time: nanoseconds since 1970, claimed; never before the round or after the check.
        signer: subject of who signed it, or empty.
    """

    round: str
    time: int
    signer: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one recipient; `state` is `opened`, `overdue` or `never`."""

    name: str
    subject: str
    state: str
    last: Opening | None


@dataclass(frozen=True, slots=True)
class Status:
    """The result of a check; each problem is round, file and reason: something there does not hold."""

    standings: tuple[Standing, ...]
    problems: tuple[tuple[str, str, str], ...]

    @property
    def exit_code(self) -> int:
        """0: everybody opened in time; 1: something does not hold; 2: somebody is overdue or never opened."""
        if self.problems:
            return 1
        return 0 if all(one.state == OPENED for one in self.standings) else 2


def judge(
    rounds: Sequence[Round],
    *,
    at: int,
    max_age: int,
    roots: Sequence[x509.Certificate] = (),
    expected: Iterable[str] = (),
) -> Status:
    """Return how it stands with everybody of the newest round, and everybody who is expected besides.

    Args:
        rounds: at least one, the oldest first.
        at: the time of the check, nanoseconds since 1970.
        max_age: nanoseconds after which an opening is too old.
        roots: where given, only openings that a certificate under one of them signed count.
        expected: names that must be there, from a case file or a profile.
    """
    openings: dict[str, Opening] = {}
    problems: list[tuple[str, str, str]] = []
    for one, entry in walk(list(rounds)):
        try:
            found = _opening(one, entry, at, roots)
        except (BadDataError, NotVerifiableError) as error:
            problems.append((one.folder.name, f"{entry.stem}.opened.txt", str(error)))
            continue
        if found is not None and (
            entry.name not in openings or found.time >= openings[entry.name].time
        ):
            openings[entry.name] = found
    subjects = {entry.name: entry.subject for entry in rounds[-1].entries}
    subjects |= {name: "" for name in expected if name not in subjects}
    standings = tuple(
        _standing(name, subject, openings.get(name), at - max_age)
        for name, subject in subjects.items()
    )
    return Status(standings, tuple(problems))


def _standing(name: str, subject: str, last: Opening | None, oldest: int) -> Standing:
    state = NEVER if last is None else OVERDUE if last.time < oldest else OPENED
    return Standing(name, subject, state, last)


def _opening(
    one: Round, entry: Entry, at: int, roots: Sequence[x509.Certificate]
) -> Opening | None:
    """Return the opening of one recipient in one round, None without one; BadDataError when it does not hold."""
    path = one.folder / f"{entry.stem}.opened.txt"
    text = present(path, MAX_OPENED)
    if text is None:
        return None
    opened = parse_opened(text)
    if (opened.round_sha256, opened.recipient) != (one.sha256, entry.name):
        raise BadDataError("it is of another round or recipient")
    if answer_digest(opened.answer) != entry.answer_sha256:
        raise BadDataError("its answer is not the one in the test object")
    if not one.made - _DAY <= opened.time <= at + _DAY:
        raise BadDataError("its time lies before the round or after now")
    p7s = present(path.with_suffix(".p7s"), cmsnames.MAX_SIGNATURE_BYTES)
    if p7s is None:
        if roots:
            raise BadDataError("it is not signed")
        signer = ""
    else:
        signer = _signer(p7s, text, opened, roots)
    # A clock may be off by a day: the round was not opened before it was made, nor after now.
    return Opening(one.folder.name, min(max(opened.time, one.made), max(at, one.made)), signer)


def _signer(p7s: bytes, text: bytes, opened: Opened, roots: Sequence[x509.Certificate]) -> str:
    signed = cms.verify_detached(p7s, sha256(text).digest())
    if roots:
        moment = datetime.fromtimestamp(opened.time // _SECOND, UTC)
        verify_chain(signed.certificate, signed.certificates, roots, at=moment)
    return signed.certificate.subject.rfc4514_string()
