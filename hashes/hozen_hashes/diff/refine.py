"""What the plain comparison cannot know: programs that were merely not hashed, and files that an upgrade changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from hozen_hashes.diff.compare import Difference, State
from hozen_hashes.diff.filenames import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hozen_hashes.diff.gather import Gathered, Opening


def hashed_or_not(
    differences: Iterable[Difference],
    before: tuple[Gathered, Opening],
    after: tuple[Gathered, Opening],
) -> list[Difference]:
    """Return the differences, a program called new or gone only when the other list of file names lacks it.

    Which programs are hashed depends on their age and on bounds (docs/format/records/executables.md): one that a
    capture did not hash is not one that was not there.
    """
    found = list(differences)
    for state, (bundle, opening) in ((State.NEW, before), (State.GONE, after)):
        paths = [one.key for one in found if one.group == "executable" and one.state is state]
        if paths:
            there = listed(bundle, opening, paths)
            found = [_judged(one, state, there) for one in found]
    return found


def _judged(one: Difference, state: State, there: frozenset[str] | None) -> Difference:
    if one.group != "executable" or one.state is not state:
        return one
    side = "earlier" if state is State.NEW else "later"
    if there is None:
        reason = f"the {side} capture has no whole list of file names: whether the file was there is unknown"
    elif one.key in there:
        reason = f"the {side} capture lists the file and did not hash it"
    else:
        return one
    return replace(one, state=State.NOT_COMPARABLE, reason=reason)


def folded(differences: Iterable[Difference], verdicts: Mapping[str, str]) -> list[Difference]:
    """Return the differences with each package's upgrade as one line that counts its programs.

    A program is folded only when its package is new, gone or changed too *and* the package's own database vouches for
    it in the later capture: the same bytes, or no longer expected. One that somebody replaced at the occasion of an
    upgrade stays a line of its own.

    Args:
        differences: of two captures.
        verdicts: of the later capture (`Gathered.verdicts`).
    """
    every = list(differences)
    moved = {one.package for one in every if one.group == "package" and one.package}
    counts: Counter[str] = Counter()
    kept = []
    for one in every:
        if one.group == "executable" and one.package in moved and _vouched(one, verdicts):
            counts[one.package] += 1
        else:
            kept.append(one)
    return [
        replace(one, folded=counts[one.package]) if one.group == "package" else one for one in kept
    ]


def _vouched(one: Difference, verdicts: Mapping[str, str]) -> bool:
    said = verdicts.get(one.key)
    return (
        said == "same"
        if one.state in (State.NEW, State.CHANGED)
        else one.state is State.GONE and said is None
    )
