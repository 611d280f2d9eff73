"""One comparison from two bundles: gathered, compared, refined."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes.diff.compare import Difference, compare
from hozen_hashes.diff.gather import Gathered, gather
from hozen_hashes.diff.notes import notes
from hozen_hashes.diff.refine import folded, hashed_or_not

if TYPE_CHECKING:
    from hozen_hashes.diff.gather import Opening


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two captures beside each other.

    Attributes:
        notes: (note, value before, value after), see hozen_hashes.diff.notes.NOTES.
    """

    before: Gathered
    after: Gathered
    notes: tuple[tuple[str, str, str], ...]
    differences: tuple[Difference, ...]

    def counts(self) -> dict[str, int]:
        """Return how many differences each state has."""
        return dict(Counter(str(one.state) for one in self.differences))


def difference(before: Opening, after: Opening) -> Comparison:
    """Return what differs between two bundles.

    Args:
        before: gives the earlier bundle open at its beginning, as often as asked (two or three times).
        after: the same of the later one.

    Raises:
        FormatError: one is no bundle, or damaged.
        LimitError: more facts than any host has.
    """
    one, other = gather(before), gather(after)
    found = hashed_or_not(compare(one, other), (one, before), (other, after))
    return Comparison(one, other, tuple(notes(one, other)), tuple(folded(found, other.verdicts)))
