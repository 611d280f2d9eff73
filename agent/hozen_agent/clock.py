"""Wall clock and monotonic clock, read together (law M09)."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_MONOTONIC = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> tuple[int, int]:
    """Return (wall clock, time since boot) in nanoseconds; the second also counts suspended time where it can."""
    return time.time_ns(), time.clock_gettime_ns(_MONOTONIC)


def utc_now() -> datetime:
    """Return the wall clock as an aware time in UTC, to the second (signing times carry no fraction)."""
    return datetime.now(UTC).replace(microsecond=0)
