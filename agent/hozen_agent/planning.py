"""From profile to plan: what will be attempted, in which order, of which personal-data class (law B10, B12)."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from hozen_agent import artifacts as families
from hozen_agent.artifacts.registry import CATALOGUE, Artifact
from hozen_agent.reading.window import MARKED
from hozen_config.bind import did_you_mean
from hozen_config.profile import ArtifactLimits
from hozen_hashes.errors import UsageError
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.reading.window import Window
    from hozen_config.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a profile asks for on this platform, most volatile first.

    Attributes:
        profile_sha256: of the profile file's bytes.
        steps: the artifacts in the order of reading.
        added, removed: what the person chose otherwise than the profile.
        window: the span of time that holds for artifacts with `over_time`.
        limits: the bounds that hold, by name.
    """

    profile: str
    profile_sha256: str
    steps: tuple[Artifact, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    window: Window | None = None
    limits: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return `hozen/plan.json`: one line, ASCII."""
        document: dict[str, object] = {
            "format": "hozen-plan/1",
            "profile": {"name": self.profile, "sha256": self.profile_sha256},
            "with": list(self.added),
            "without": list(self.removed),
            "window": None,
            "limits": self.limits,
            "artifacts": [_step(number, a) for number, a in enumerate(self.steps, 1)],
        }
        if self.window is not None:
            marked = [step.name for step in self.steps if step.name in MARKED]
            applies = {"applies_to": sorted(self.over_time), "marks_changes_of": sorted(marked)}
            document["window"] = {**self.window.as_json(), **applies}
        return dump_line(document)

    @property
    def sha256(self) -> str:
        """SHA-256 of `to_json()`, named by the first journal segment."""
        return sha256(self.to_json()).hexdigest()

    @property
    def over_time(self) -> frozenset[str]:
        """The artifacts that the window applies to."""
        return frozenset(step.name for step in self.steps if step.over_time)

    @property
    def sensitive(self) -> list[str]:
        """The artifacts of the class `sensitive`, which need a reason and a recipient (law P04)."""
        return [step.name for step in self.steps if step.personal == "sensitive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the person asked for beside the profile."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    window: Window | None = None


def load_families() -> None:
    """Import every module of evidence families, which enters them in the catalogue."""
    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"{families.__name__}.{module.name}")


def make_plan(profile: Profile, *, profile_sha256: str, choice: Choice | None = None) -> Plan:
    """Return the plan in the profile's order (law M02), without artifacts of other platforms.

    Raises:
        UsageError: a name is not in the catalogue, is not in the profile and yet removed, or nothing is left.
    """
    load_families()
    choice = choice or Choice()
    names = _chosen(profile, choice)
    here = "linux" if sys.platform.startswith("linux") else sys.platform
    steps = tuple(CATALOGUE[n] for n in names if here in CATALOGUE[n].platforms)
    if not steps:
        raise UsageError(f"profile {profile.name} has nothing that can be read on {here}")
    return Plan(
        profile=profile.name,
        profile_sha256=profile_sha256,
        steps=steps,
        added=choice.added,
        removed=choice.removed,
        window=choice.window,
        limits=limits_json(profile),
    )


def _chosen(profile: Profile, choice: Choice) -> list[str]:
    """Return the names to take; one that the profile does not list goes where its volatility belongs."""
    listed = [one.name for one in profile.artifacts]
    for name in (*listed, *choice.added, *choice.removed):
        if name not in CATALOGUE:
            raise UsageError(f"there is no artifact {name!r}", hint=did_you_mean(name, CATALOGUE))
    names = profile.names(added=choice.added, removed=choice.removed)
    for name in choice.removed:
        if name not in listed:
            raise UsageError(
                f"profile {profile.name} does not take {name!r}", hint=did_you_mean(name, listed)
            )
    for name in dict.fromkeys(choice.added):
        if name not in names and name not in choice.removed:
            rank = CATALOGUE[name].rank
            later = (at for at, other in enumerate(names) if CATALOGUE[other].rank > rank)
            names.insert(next(later, len(names)), name)
    return names


def limits_json(profile: Profile) -> dict[str, object]:
    """Return the bounds that a profile sets; sizes in bytes as decimal strings, times in seconds."""
    limits = profile.limits
    return {
        "item_bytes": str(limits.item),
        "family_bytes": str(limits.family),
        "total_bytes": str(limits.total),
        "reserved_bytes": str(int(limits.total * limits.reserved_share)),
        "deadline_seconds": limits.deadline,
        "volatile_deadline_seconds": profile.isolation,
        "nice": limits.nice,
        "io_class": limits.io_class,
        "cpu_share": limits.cpu_share,
        "memory_bytes": str(limits.memory),
        "artifacts": {
            one.name: {
                "item_bytes": None if one.limits.item is None else str(one.limits.item),
                "family_bytes": None if one.limits.family is None else str(one.limits.family),
                "deadline_seconds": one.limits.deadline,
            }
            for one in profile.artifacts
            if one.limits != ArtifactLimits()
        },
    }


def _step(number: int, family: Artifact) -> dict[str, object]:
    return {
        "step": number,
        "artifact": family.name,
        "rank": family.rank,
        "class": family.personal,
        "reads": list(family.reads),
        "needs_root": family.needs_root,
        "over_time": family.over_time,
        "en": family.en,
        "ja": family.ja,
    }
