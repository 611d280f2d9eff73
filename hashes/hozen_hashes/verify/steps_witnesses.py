"""Whether enough witnesses, known from outside, cosigned the checkpoint of the receipt (log-v1 §9); beside the steps.

A demand that is not met is never a match: too few cosignatures are 検証不能, one that does not hold is 不一致.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes.cosignature import verify_cosignatures
from hozen_hashes.errors import FormatError, SignatureError
from hozen_hashes.names import rfc3339
from hozen_hashes.verify.report import Cosignature, Note, Result, WitnessReport

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hozen_hashes.checkpoint import SignedCheckpoint
    from hozen_hashes.cosignature import Cosigned, WitnessKey
    from hozen_hashes.verify.anchors import Anchors

_SECOND = 10**9


def witnesses(anchors: Anchors, signed: SignedCheckpoint | None) -> WitnessReport:
    """Return which witnesses from outside cosigned.

    Args:
        anchors: the keys, and how many of them must have cosigned; without a number all of them.
        signed: the checkpoint whose tree holds a receipt that is about this bundle; None without one.
    """
    groups = distinct(anchors.witness_keys)
    if not groups:
        return WitnessReport(Result.NOT_RUN, Note("witnesses-no-keys"))
    required = len(groups) if anchors.witnesses is None else anchors.witnesses
    names = tuple(group[0].name for group in groups)
    if signed is None:
        return WitnessReport(
            Result.NOT_VERIFIABLE, Note("witnesses-no-receipt"), required=required, missing=names
        )
    found, wrong = _asked(signed, groups)
    here = {one.key.public_bytes for one in found}
    missing = tuple(
        group[0].name
        for group in groups
        if group[0].public_bytes not in here and group[0].name not in wrong
    )
    result, note = _judged(found, wrong, missing, required, signed.checkpoint.size)
    return WitnessReport(
        result,
        note,
        required=required,
        cosigned=tuple(Cosignature(one.key.name, _time(one.seconds)) for one in found),
        missing=missing,
        wrong=wrong,
    )


def distinct(keys: Iterable[WitnessKey]) -> tuple[tuple[WitnessKey, ...], ...]:
    """Return the keys by witness: one public key is one witness, under whatever names."""
    groups: dict[bytes, list[WitnessKey]] = {}
    for key in keys:
        groups.setdefault(key.public_bytes, []).append(key)
    return tuple(tuple(group) for group in groups.values())


def _asked(
    signed: SignedCheckpoint, groups: tuple[tuple[WitnessKey, ...], ...]
) -> tuple[list[Cosigned], tuple[str, ...]]:
    """Return whose cosignatures hold, and the names of those whose do not."""
    found: list[Cosigned] = []
    wrong = []
    for group in groups:
        try:
            found += verify_cosignatures(signed.note, group)
        except SignatureError:
            wrong.append(group[0].name)
    return found, tuple(wrong)


def _judged(
    found: list[Cosigned],
    wrong: tuple[str, ...],
    missing: tuple[str, ...],
    required: int,
    size: int,
) -> tuple[Result, Note]:
    if wrong:
        return Result.MISMATCH, Note("witnesses-wrong", {"names": ", ".join(wrong)})
    values: dict[str, str | int] = {"count": len(found), "required": required, "size": size}
    if len(found) < required:
        lacking = Note("witnesses-missing", {**values, "names": ", ".join(missing)})
        return Result.NOT_VERIFIABLE, lacking
    names = ", ".join(one.key.name for one in found)
    return Result.MATCH, Note("witnesses-hold", {**values, "names": names})


def _time(seconds: int) -> str:
    """Return the time that a witness claims; one that no calendar has as seconds since 1970."""
    try:
        return rfc3339(seconds * _SECOND)
    except FormatError:
        return str(seconds)
