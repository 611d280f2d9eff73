"""The scheduler's group of a session, lowered and put back by a real process in a session of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ENABLED = Path("/proc/sys/kernel/sched_autogroup_enabled")
_PROGRAM = """
from hozen_agent import autogroup
def nice():
    with open("/proc/self/autogroup") as file:
        return int(file.read().split()[-1])
group = autogroup.own()
print(nice(), group.before, group.lower(19), nice())
group.restore()
print(nice())
"""
_GUARD = """
import os
from hozen_agent import autogroup
from hozen_agent.guard import Guard
from hozen_config.profile import load_profile
guard = Guard(profile=load_profile("standard")[0], floor=0, free_bytes=lambda: 1 << 60)
guard.autogroup = autogroup.own()
print(guard.step_back(), guard.obtained["autogroup_nice"])
"""


def _in_own_session(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, check=True, timeout=60, start_new_session=True,
    )  # fmt: skip
    return done.stdout


_ABORTED = """
import subprocess, sys
child = subprocess.run([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
with open("/proc/self/autogroup") as file:
    print(child.stdout.strip(), child.returncode, file.read().split()[-1])
"""
_TWICE = """
import os, signal
from hozen_agent import autogroup, capturing
from hozen_agent.guard import Guard
from hozen_config.profile import load_profile
class Talk:
    def interrupted(self): pass
guard = Guard(profile=load_profile("standard")[0], floor=0, free_bytes=lambda: 1 << 60)
guard.autogroup = autogroup.own()
guard.step_back()
with open("/proc/self/autogroup") as file:
    print(file.read().split()[-1], flush=True)
capturing._install_signals(guard, Talk())
os.kill(os.getpid(), signal.SIGINT)
os.kill(os.getpid(), signal.SIGINT)
"""


needs_autogroups = pytest.mark.skipif(
    not ENABLED.exists() or ENABLED.read_text(encoding="ascii").strip() != "1",
    reason="this kernel does not group processes by session",
)


@needs_autogroups
def test_our_session_yields_while_files_are_read_and_is_put_back() -> None:
    before = _in_own_session("print(open('/proc/self/autogroup').read().split()[-1])").strip()
    assert _in_own_session(_PROGRAM).split() == [before, before, "19", "19", before]


@needs_autogroups
def test_what_was_lowered_is_in_the_bundle() -> None:
    assert _in_own_session(_GUARD).strip() == "[] {'before': 0, 'lowered': 19}"


def test_a_group_that_cannot_be_written_is_a_problem_that_is_told() -> None:
    program = _GUARD.replace(
        "autogroup.own()", "autogroup.Autogroup(os.open('/dev/null', os.O_RDONLY), 0)"
    ).replace('guard.obtained["autogroup_nice"]', "'autogroup_nice' in guard.obtained")
    assert "could not be lowered" in _in_own_session(program)
    assert _in_own_session(program).strip().endswith("False")


@needs_autogroups
def test_an_abort_by_the_second_signal_puts_the_session_back_too() -> None:
    assert _in_own_session(_ABORTED, _TWICE).split() == ["19", "130", "0"]
