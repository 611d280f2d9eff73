"""The verdict table of bundle-v1 §11: one word and exit code for every combination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes.verify.report import Result, Word

if TYPE_CHECKING:
    from collections.abc import Mapping

INTEGRITY = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11)


def integrity(results: Mapping[int, Result]) -> Word:
    """Return whether everything is as it was sealed: steps 1 to 9 and 11."""
    found = [results[number] for number in INTEGRITY]
    if Result.MISMATCH in found:
        return Word.MISMATCH
    return Word.MATCH if all(one is Result.MATCH for one in found) else Word.NOT_VERIFIABLE


def verdict(
    results: Mapping[int, Result],
    *,
    origin: Word,
    seal_given: bool,
    anchor_mismatch: bool,
    witnesses: Result = Result.NOT_RUN,
) -> Word:
    """Return the word of the table.

    Args:
        results: of all steps.
        origin: who made it, judged from steps 10, 12 and 15.
        seal_given: the seal was given from outside; step 3 then says whether it matches.
        anchor_mismatch: something given from outside contradicts the bundle.
        witnesses: whether the witnesses that were asked for cosigned.
    """
    unchanged = integrity(results)
    if unchanged is Word.MISMATCH or anchor_mismatch or origin is Word.MISMATCH:
        return Word.MISMATCH
    if Result.MISMATCH in {*results.values(), witnesses}:
        return Word.MISMATCH
    if unchanged is Word.NOT_VERIFIABLE or witnesses is Result.NOT_VERIFIABLE:
        return Word.NOT_VERIFIABLE
    return Word.MATCH if origin is Word.MATCH or seal_given else Word.NOT_VERIFIABLE
