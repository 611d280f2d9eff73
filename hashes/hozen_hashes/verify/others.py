"""Lists of revoked certificates asked for those beside the machine: time-stamping authorities and receipt signers.

A list answers for whom it is about. That none answers is said and stops nothing here: whoever gives the list of the
hosts' authority does not thereby demand those of all the others.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hozen_hashes.chain import ChainError, verify_chain
from hozen_hashes.verify.report import Note, Result
from hozen_hashes.verify.revoked import Judged, Use, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from hozen_hashes import cms
    from hozen_hashes.revocation import RevocationList
    from hozen_hashes.timestamp import Token
    from hozen_hashes.verify.anchors import Anchors


def stamp(
    token: Token,
    *,
    roots: Sequence[x509.Certificate],
    lists: Sequence[RevocationList],
    at: datetime,
    renewed: int | None,
) -> Judged:
    """Return what the lists do to a stamp that held at its own time.

    Args:
        token: checked against `roots` before.
        roots: of time-stamping authorities, from outside.
        lists: from outside.
        at: the moment of the check.
        renewed: nanoseconds since 1970, the earliest that a stamp over this one states; None without one.
    """
    made = moment(token.time)
    use = Use(
        trusted=None if renewed is None else moment(renewed),
        claimed=made,
        at=at,
        stated=moment(token.latest),
    )
    return _judged(token.signer, token.certificates, roots, lists, use, valid=made)


def signer(
    signature: cms.Signature, anchors: Anchors, trusted: datetime | None, at: datetime
) -> Judged:
    """Return what the lists do to a receipt's signer, whose chain was checked before.

    Args:
        signature: over the receipt.
        anchors: roots and lists.
        trusted: the signature existed then at the latest, vouched for from outside; None: nobody says.
        at: the moment of the check.
    """
    use = Use(trusted=trusted, claimed=signature.signing_time, at=at)
    leaf, extra = signature.certificate, signature.certificates
    return _judged(leaf, extra, anchors.roots, anchors.revoked, use, valid=trusted or at)


def moment(nanoseconds: int) -> datetime:
    """Return nanoseconds since 1970 as a time, whole seconds."""
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC)


def _judged(
    leaf: x509.Certificate,
    extra: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    lists: Sequence[RevocationList],
    use: Use,
    *,
    valid: datetime,
) -> Judged:
    if not lists:
        return Judged(Result.MATCH)
    try:
        path = verify_chain(leaf, extra, roots, at=valid)
    except ChainError as error:
        # Another library found a way that ours does not go: whom to ask is then unknown.
        who = leaf.subject.rfc4514_string()[:200]
        note = Note("revoked-unreadable", {"who": who, "reason": str(error)})
        return Judged(Result.NOT_VERIFIABLE, (note,))
    return judge(path, lists, roots=roots, use=use, demanded=False)
