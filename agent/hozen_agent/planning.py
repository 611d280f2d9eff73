"""From profile to plan: what will be attempted, in which order, of which personal-data class (law B10, B12)."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from hozen_agent import artifacts as families
from hozen_agent.artifacts.registry import CATALOGUE, FILES_FROM_RANK, Artifact
from hozen_hashes.errors import UsageError
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a profile asks for on this platform, most volatile first.

    Attributes:
        profile_sha256: of the profile file's bytes.
        steps: the artifacts in the order of reading.
    """

    profile: str
    profile_sha256: str
    steps: tuple[Artifact, ...]

    def to_json(self) -> bytes:
        """Return `hozen/plan.json`: one line, ASCII."""
        return dump_line(
            {
                "format": "hozen-plan/1",
                "profile": {"name": self.profile, "sha256": self.profile_sha256},
                "artifacts": [_step(number, a) for number, a in enumerate(self.steps, 1)],
            }
        )

    @property
    def sha256(self) -> str:
        """SHA-256 of `to_json()`, named by the first journal segment."""
        return sha256(self.to_json()).hexdigest()


def load_families() -> None:
    """Import every module of evidence families, which enters them in the catalogue."""
    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"{families.__name__}.{module.name}")


def make_plan(names: Sequence[str], *, profile: str, profile_sha256: str) -> Plan:
    """Return the plan for the named artifacts, in the profile's order (law M02), without those of other platforms.

    Raises:
        UsageError: a name is not in the catalogue, or there is none for this platform.
    """
    load_families()
    for name in names:
        if name not in CATALOGUE:
            known = ", ".join(sorted(CATALOGUE))
            raise UsageError(
                f"profile {profile} names the unknown artifact {name!r}", hint=f"known: {known}"
            )
    here = "linux" if sys.platform.startswith("linux") else sys.platform
    steps = tuple(CATALOGUE[n] for n in dict.fromkeys(names) if here in CATALOGUE[n].platforms)
    if not steps:
        raise UsageError(f"profile {profile} has nothing that can be read on {here}")
    return Plan(profile=profile, profile_sha256=profile_sha256, steps=steps)


def expected_files(plan: Plan) -> dict[str, list[str]]:
    """Return, for each artifact that consists of files, the paths that a capture would ask for now.

    Names are looked up through the same private view and helpers as in a capture; of contents only
    /etc/passwd is looked at, for the homes. The process enters the view and stays there.
    """
    from hozen_agent.dryrun import look_up

    return {step.name: look_up(step) for step in plan.steps if step.rank >= FILES_FROM_RANK}


def _step(number: int, family: Artifact) -> dict[str, object]:
    return {
        "step": number,
        "artifact": family.name,
        "rank": family.rank,
        "class": family.personal,
        "reads": list(family.reads),
        "needs_root": family.needs_root,
        "en": family.en,
        "ja": family.ja,
    }
