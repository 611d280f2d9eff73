"""Keeps a capture below a share of the processors, its readers included (law M04)."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EVERY: Final = 0.1  # seconds between two looks
_SPAN: Final = 2.0  # what was left unused longer ago is not made up for
_SLICE: Final = 0.05
_LONGEST: Final = 1.0
_CPU_OF_PROCESS: Final = (
    2  # CPUCLOCK_SCHED of the process that the number names (clock_getcpuclockid(3))
)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process, user and system; 0 when it is gone or the system does not tell."""
    try:
        return time.clock_gettime((~pid << 3) | _CPU_OF_PROCESS)
    except (OSError, OverflowError):
        return 0.0


class Pace:
    """Compares CPU time with the time on the wall, and sleeps what is too much.

    Attributes:
        allowed: CPU seconds a second.
    """

    def __init__(self, share: float) -> None:
        """Begin to count; `share` is of all processors together."""
        self.allowed = share * (os.cpu_count() or 1)
        self._known: dict[int, float] = {}
        self._looked = self._since = time.monotonic()
        self._since_used = -1.0

    def keep(
        self,
        pids: Callable[[], Sequence[int]],
        tick: Callable[[], None],
        *,
        stopped: Callable[[], bool],
    ) -> float:
        """Return the seconds slept; most calls return at once."""
        moment = time.monotonic()
        if moment - self._looked < _EVERY:
            return 0.0
        self._looked = moment
        used = self._used(pids())
        if self._since_used < 0:
            self._since, self._since_used = moment, used
            return 0.0
        ahead = (used - self._since_used) / self.allowed - (moment - self._since)
        until = moment + min(ahead, _LONGEST)
        while time.monotonic() < until and not stopped():
            time.sleep(max(0.0, min(_SLICE, until - time.monotonic())))
            tick()
        if moment - self._since > _SPAN:
            self._since, self._since_used = time.monotonic(), self._used(pids())
        return max(0.0, time.monotonic() - moment) if ahead > 0 else 0.0

    def _used(self, pids: Sequence[int]) -> float:
        for pid in pids:
            self._known[pid] = max(self._known.get(pid, 0.0), cpu_of(pid))
        return time.process_time() + sum(self._known.values())
