"""Limits of a capture: time, space, item, family, total."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from hozen_agent.guard import Guard, floor_of
from hozen_agent.pace import Pace, cpu_of
from hozen_config.profile import ProfileArtifact, load_profile

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


def test_bulk_leaves_the_reserved_part_of_the_total_to_the_others() -> None:
    one = guard(total=1000, reserved_share=0.1)
    one.took("linux_logs", 880)
    assert one.room("linux_logs") == 20  # it yields
    assert one.room("accounts") == 120
    one.took("linux_logs", 20)
    assert one.room("linux_logs") == 0
    assert one.room("accounts") == 100


def test_the_volatile_part_ends_at_its_time_and_what_follows_is_free_again() -> None:
    one = guard(deadline=600.0)
    one.stage(60)
    one.begin("processes")
    assert one.late() == ""
    one.began -= 61
    one.stage(60)
    assert one.stage_over()
    assert "60 s of the volatile part were over" in one.late()
    one.end_stage()
    assert one.late() == ""


_HELD = """
import resource, sys
from hozen_agent.guard import hold_memory
from hozen_config.profile import load_profile
obtained = {}
print(hold_memory(load_profile("standard")[0], obtained), obtained, resource.getrlimit(resource.RLIMIT_DATA)[0])
try:
    bytearray(700 << 20)
except MemoryError:
    print("refused")
print(len(bytearray(100 << 20)))
"""


def test_memory_beyond_the_ceiling_is_refused_and_the_program_goes_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HELD], capture_output=True, text=True, check=True, timeout=60
    )
    first, *rest = done.stdout.splitlines()
    assert first == f"[] {{'memory_bytes': '{512 << 20}'}} {512 << 20}"
    assert rest == ["refused", str(100 << 20)]


def test_stepping_back_lowers_ourselves_and_the_readers_and_says_what_was_obtained() -> None:
    program = (
        "import os, subprocess, sys; from hozen_agent.guard import Guard; "
        "from hozen_config.profile import load_profile; child = subprocess.Popen(['sleep', '60']); "
        "one = Guard(profile=load_profile('standard')[0], floor=0, free_bytes=lambda: 1 << 60); "
        "print(one.step_back([child.pid]), one.obtained, os.getpriority(os.PRIO_PROCESS, child.pid)); child.kill()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[] {'nice': [19, 19], 'io_class': ['idle', 'idle']} 19"


def test_the_share_of_the_processors_is_kept_by_sleeping() -> None:
    allowed = 0.3
    pace = Pace(allowed / (os.cpu_count() or 1))
    assert pace.allowed == pytest.approx(allowed)
    began, used, ticks = time.monotonic(), time.process_time(), []
    while time.monotonic() - began < 1.5:
        sum(range(10_000))
        pace.keep(tuple, lambda: ticks.append(1), stopped=lambda: False)
    share = (time.process_time() - used) / (time.monotonic() - began)
    assert share < allowed + 0.12, "without the guard this loop takes a whole processor"
    assert ticks, "epochs may close while it sleeps"


def test_the_readers_time_counts_too() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        pace = Pace(0.2 / (os.cpu_count() or 1))
        slept, began = 0.0, time.monotonic()
        while time.monotonic() - began < 1.2:
            time.sleep(0.02)
            slept += pace.keep(lambda: [busy.pid], lambda: None, stopped=lambda: False)
        assert cpu_of(busy.pid) > 0.2
        assert slept > 0.3
    finally:
        busy.kill()
        busy.wait()
    assert cpu_of(busy.pid) == 0.0


def test_an_artifact_of_the_packaged_profile_that_is_bulk_yields() -> None:
    assert STANDARD.yields("linux_logs")
    assert not STANDARD.yields("accounts")
    assert not ProfileArtifact(name="x").yields
