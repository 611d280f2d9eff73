"""What a person adds to a profile on the command line: a window on packets, the main memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hozen_agent.net.packetwindow import Limits
    from hozen_agent.planning import Plan
    from hozen_config.casefile import CaseFile
    from hozen_config.profile import Profile

PACKETS, MEMORY = "packets", "memory"


def window(profile: Profile, plan: Plan, *, seconds: float | None) -> Limits | None:
    """Return the bounds of the window on packets, None when the plan has none."""
    if PACKETS not in {step.name for step in plan.steps}:
        return None
    from hozen_agent.net.packetwindow import Limits

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
