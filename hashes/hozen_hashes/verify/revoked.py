"""Which word follows when lists of revoked certificates were given (bundle-v1 §11, docs/keys-over-years.md).

A trusted time is an upper bound: the signature existed then *at the latest*. So a time before the revocation shows that
the key still counted; a time after it does not show the contrary, unless the signer, too, says that it signed after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import FormatError
from hozen_hashes.revocation import Answer, signed_by, standing
from hozen_hashes.verify.report import Note, Result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509

    from hozen_hashes.revocation import RevocationList, Standing

_MAX_NOTES: Final = 20
_ORDER: Final = (Result.MISMATCH, Result.NOT_VERIFIABLE)
# With these an authority says that the key was never in wrong hands (RFC 3161 §4, 1 and 2); no reason says nothing.
_ORDERLY: Final = frozenset({"affiliationChanged", "superseded", "cessationOfOperation"})


@dataclass(frozen=True, slots=True)
class Judged:
    """What the lists do to a step: the word that they allow, and what is said."""

    result: Result
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """When the key was used, as far as anybody says.

    Attributes:
        trusted: the signature existed then at the latest, vouched for from outside; None when nobody says so.
        claimed: the signing time inside the signature.
        at: the moment for which certificates are judged where there is no trusted time.
        stated: of a time stamp, the latest time that it states; None of anything else. It is as good as the key: it
            counts as trusted when the reason of the revocation leaves the key above suspicion, and against the stamp.
    """

    trusted: datetime | None
    claimed: datetime
    at: datetime
    stated: datetime | None = None


def judge(
    path: Sequence[x509.Certificate],
    lists: Sequence[RevocationList],
    *,
    roots: Sequence[x509.Certificate],
    use: Use,
    demanded: bool = True,
) -> Judged:
    """Return what the lists say of a path that leads to a given root.

    Args:
        path: signer first, its root last; checked before.
        lists: from outside; believed when a certificate of the path or a given root signed them.
        roots: all that were given: an authority that changed its key is there twice.
        use: when the signer's key was used.
        demanded: one of the lists must answer for the signer, and the others are told. Without it they may all be
            about somebody else: that none answers is said and stops nothing.
    """
    if not lists:
        return Judged(Result.MATCH)
    authorities = [*path[1:], *roots]
    believed = [one for one in lists if any(signed_by(one, by) for by in authorities)]
    notes = [_unknown(one) for one in lists if demanded and one not in believed]
    results = []
    for place, certificate in enumerate(path):
        result, said = _one(certificate, believed, use, signer=place == 0, demanded=demanded)
        results.append(result)
        notes += said
    word = next((one for one in _ORDER if one in results), Result.MATCH)
    return Judged(word, tuple(notes[:_MAX_NOTES]))


def unanswered(notes: Sequence[Note]) -> bool:
    """Return whether a step's notes say that revocation stands in the way of its word."""
    return any(note.key.startswith("revoked-") for note in notes)


def _one(
    certificate: x509.Certificate,
    lists: Sequence[RevocationList],
    use: Use,
    *,
    signer: bool,
    demanded: bool,
) -> tuple[Result, list[Note]]:
    who = certificate.subject.rfc4514_string()[:200]
    try:
        found = standing(certificate, lists, moment=use.trusted or use.at)
    except FormatError as error:
        note = Note("revoked-unreadable", {"who": who, "reason": str(error)})
        return Result.NOT_VERIFIABLE, [note]
    values = {"who": who, "list": found.list_name, "made": _time(found.made)}
    if found.answer is Answer.REVOKED:
        return _revoked(found, use, values)
    if certificate.issuer == certificate.subject and not signer:
        return Result.MATCH, []  # a root: it counts because it came from outside
    return _absent(found.answer, values, demanded=signer and demanded)


def _absent(answer: Answer, values: dict[str, str], *, demanded: bool) -> tuple[Result, list[Note]]:
    """Return what it means that a certificate is on no list."""
    if answer is Answer.NOT_LISTED:
        return Result.MATCH, [Note("not-revoked", values)]
    if answer is Answer.NOT_ASKED:
        who = {"who": values["who"]}
        if demanded:
            return Result.NOT_VERIFIABLE, [Note("revoked-not-asked", who)]
        return Result.MATCH, [Note("no-list", who)]
    late = answer is Answer.LATE
    return Result.NOT_VERIFIABLE, [
        Note("revoked-list-late", values) if late else Note("revoked-list-outdated", values)
    ]


def _revoked(found: Standing, use: Use, values: dict[str, str]) -> tuple[Result, list[Note]]:
    since = found.since
    assert since is not None  # noqa: S101 - Answer.REVOKED has it
    trusted = _trusted(use, found.reason, since)
    values |= {
        "since": _time(since),
        "reason": found.reason,
        "time": _time(trusted),
        "claimed": _time(use.claimed),
    }
    if trusted is None:
        return Result.NOT_VERIFIABLE, [Note("revoked-no-time", values)]
    if trusted < since:
        return Result.MATCH, [Note("later-revoked", values)]
    if use.claimed >= since:
        return Result.MISMATCH, [Note("revoked-before", values)]
    return Result.NOT_VERIFIABLE, [Note("revoked-between", values)]


def _trusted(use: Use, reason: str, since: datetime) -> datetime | None:
    """Return the upper bound to compare: what a stamp states counts where no thief could gain by it."""
    believed = use.stated is not None and (reason in _ORDERLY or use.stated >= since)
    found = [one for one in (use.trusted, use.stated if believed else None) if one is not None]
    return min(found, default=None)


def _unknown(one: RevocationList) -> Note:
    issuer = one.crl.issuer.rfc4514_string()[:200]
    return Note("list-unknown", {"list": one.name, "issuer": issuer, "made": _time(one.made)})


def _time(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"
