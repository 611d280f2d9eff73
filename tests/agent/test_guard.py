"""Limits of a capture: time, space, item, family, total."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hozen_agent.guard import Guard, floor_of
from hozen_config.profile import load_profile

STANDARD, _ = load_profile("standard")


def guard(*, free: int = 1 << 40, floor: int = 1 << 20, **limits: float) -> Guard:
    profile = replace(STANDARD, limits=replace(STANDARD.limits, **limits))  # type: ignore[arg-type]
    return Guard(profile=profile, floor=floor, free_bytes=lambda: free)


def test_nothing_stops_a_capture_within_its_limits() -> None:
    assert not guard().stopped()


def test_the_deadline_stops_it_with_its_reason() -> None:
    one = guard(deadline=60.0)
    one.began -= 61
    assert one.stopped()
    assert (one.stop_reason, one.detail) == ("deadline", "the time limit of 60 s was reached")


def test_the_free_space_floor_stops_it_before_the_medium_is_full() -> None:
    one = guard(free=(1 << 20) - 1)
    assert one.stopped()
    assert one.stop_reason == "full"


def test_the_first_reason_stays() -> None:
    one = guard()
    one.interrupt("stopped by SIGINT")
    one.interrupt("stopped by SIGTERM")
    assert (one.stop_reason, one.detail) == ("interrupted", "stopped by SIGINT")


@pytest.mark.parametrize(
    ("limits", "room"),
    [({"item": 5}, 5), ({"family": 50}, 40), ({"total": 30}, 20), ({"total": 3}, 0)],
)
def test_the_tightest_limit_decides_the_room(limits: dict[str, int], room: int) -> None:
    one = guard(**limits)
    one.took("accounts", 10)
    assert one.room("accounts") == room


def test_the_larger_floor_holds() -> None:
    assert floor_of(STANDARD, 0) == STANDARD.limits.free_space_floor
    huge = 1 << 50
    assert floor_of(STANDARD, huge) == int(huge * STANDARD.limits.free_space_floor_share)


def test_the_space_is_looked_at_after_a_mebibyte_however_fast_it_came() -> None:
    left = [1 << 40]
    one = Guard(profile=STANDARD, floor=1 << 20, free_bytes=lambda: left[0])
    assert not one.stopped()
    left[0] = 0
    one.took("linux_logs", 1000)
    one._looked += 3600  # as if no time had passed
    assert not one.stopped()
    one.took("linux_logs", 1 << 20)
    assert one.stopped()


def test_the_space_is_looked_at_between_all_pieces_of_a_long_item() -> None:
    left = [1 << 40]
    one = Guard(profile=STANDARD, floor=1 << 20, free_bytes=lambda: left[0])
    assert not one.stopped_within()
    left[0] = 0
    assert one.stopped_within()
