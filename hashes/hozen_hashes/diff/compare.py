"""Two sets of facts beside each other: new, gone, changed, and what cannot be compared, with the reason."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from hozen_hashes.diff.groups import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hozen_hashes.diff.facts import Fact
    from hozen_hashes.diff.gather import Gathered

Name = tuple[str, str]


class State(StrEnum):
    """What became of a fact between the two captures."""

    NEW = "new"
    GONE = "gone"
    CHANGED = "changed"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True, slots=True)
class Side:
    """The values that one bundle states for a key, and the items that show them."""

    values: tuple[str, ...] = ()
    items: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        reason: why the key cannot be compared; empty otherwise.
        package: that names the file on the later side, or the earlier one when it is gone.
        folded: how many files of the package changed with it; of a package only.
    """

    state: State
    group: str
    key: str
    before: Side
    after: Side
    reason: str = ""
    package: str = ""
    folded: int = 0


@dataclass(slots=True)
class _Facts:
    values: dict[str, list[int]] = field(default_factory=dict)
    artifacts: set[str] = field(default_factory=set)
    package: str = ""

    def side(self) -> Side:
        items = sorted({item for items in self.values.values() for item in items})
        return Side(tuple(sorted(self.values)), tuple(items))


def compare(before: Gathered, after: Gathered) -> list[Difference]:
    """Return every difference, by group in the order of GROUPS, then by key."""
    left, right = _keyed(before.facts), _keyed(after.facts)
    lacking = _Lacking(before, "earlier"), _Lacking(after, "later")
    found = []
    for name in left.keys() | right.keys():
        one, other = left.get(name, _Facts()), right.get(name, _Facts())
        if one.values.keys() != other.values.keys():
            found.append(_difference(name, one, other, lacking))
    order = {group: place for place, group in enumerate(GROUPS)}
    return sorted(found, key=lambda one: (order[one.group], one.key))


def _keyed(facts: Iterable[Fact]) -> dict[Name, _Facts]:
    found: dict[Name, _Facts] = defaultdict(_Facts)
    for fact in facts:
        held = found[fact.group, fact.key]
        held.values.setdefault(fact.value, []).append(fact.item)
        held.artifacts.add(fact.artifact)
        held.package = held.package or fact.package
    return dict(found)


class _Lacking:
    """Why a bundle says nothing about a key that the other one has."""

    def __init__(self, bundle: Gathered, side: str) -> None:
        self._families, self._side = bundle.families, side
        self._reasons = {(gap.group, gap.key): gap.reason for gap in bundle.gaps}

    def reason(self, name: Name, held: _Facts) -> str:
        """Return the reason, empty when the bundle would have shown the key."""
        if not held.artifacts & self._families:
            return f"{', '.join(sorted(held.artifacts))} is not in the {self._side} capture"
        reason = self._reasons.get(name) or self._reasons.get((name[0], ""), "")
        return f"{self._side} capture: {reason}" if reason else ""


def _difference(
    name: Name, one: _Facts, other: _Facts, lacking: tuple[_Lacking, _Lacking]
) -> Difference:
    state, reason = State.CHANGED, ""
    if not one.values:
        state, reason = State.NEW, lacking[0].reason(name, other)
    elif not other.values:
        state, reason = State.GONE, lacking[1].reason(name, one)
    package = other.package or one.package
    if reason:
        state = State.NOT_COMPARABLE
    return Difference(state, *name, one.side(), other.side(), reason, package)
