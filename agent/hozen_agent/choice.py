"""What a person adds to a profile on the command line: a window on packets, the main memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import CATALOGUE
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from hozen_agent.packetwindow import Limits
    from hozen_agent.planning import Plan
    from hozen_config.casefile import CaseFile
    from hozen_config.profile import Profile

PACKETS, MEMORY = "packets", "memory"


def names(profile: Profile, *, packets: bool, memory: bool) -> list[str]:
    """Return the profile's artifacts in its order, with what was added at its rank (law M02)."""
    chosen = [one.name for one in profile.artifacts]
    for name, wanted in ((PACKETS, packets), (MEMORY, memory)):
        if wanted and name not in chosen:
            chosen.insert(_place(chosen, CATALOGUE[name].rank), name)
    return chosen


def check_sensitive(profile: Profile, *, memory: bool, encrypted: bool) -> None:
    """Main memory holds keys and everybody's data: it is only taken for a recipient.

    Raises:
        UsageError: it is asked for, and there is none.
    """
    if (memory or MEMORY in {one.name for one in profile.artifacts}) and not encrypted:
        raise UsageError(
            "the main memory is only taken encrypted",
            hint="add --recipient age1… ('hozen key new --age' makes one)",
        )


def window(profile: Profile, plan: Plan, *, seconds: float | None) -> Limits | None:
    """Return the bounds of the window on packets, None when the plan has none."""
    if PACKETS not in {step.name for step in plan.steps}:
        return None
    from hozen_agent.packetwindow import Limits

    own, bounds = profile.packets, profile.limits_of(PACKETS)
    largest = [size for size in (own.bytes, bounds.item, bounds.family) if size is not None]
    return Limits(
        seconds=own.seconds if seconds is None else seconds,
        octets=min(largest),
        packets=own.packets,
        payload=own.payload,
    )


def comments(bundle_id: str, plan: Plan, case: CaseFile) -> list[str]:
    """Return what the packet file says of its origin, in case it is found alone."""
    return [
        f"bundle {bundle_id}",
        f"case {case.case or 'not yet given'}",
        f"profile {plan.profile} {plan.profile_sha256}",
    ]


def _place(chosen: list[str], rank: int) -> int:
    """Return where an artifact of this rank goes: before the first one that is less volatile."""
    places = (at for at, name in enumerate(chosen) if name in CATALOGUE)
    return next((at for at in places if CATALOGUE[chosen[at]].rank > rank), len(chosen))
