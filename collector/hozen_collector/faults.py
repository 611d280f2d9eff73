"""Named points between durable steps where a test can stop the collector; disarmed as shipped.

A point does nothing unless `arm` was called, which only `hozen collector serve` does, and only when HOZEN_FAULT is set:
`HOZEN_FAULT=<point>` or `<point>:<nth time>` kills the process there with SIGKILL, as a power cut would.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

from hozen_hashes.errors import UsageError

POINTS: Final = (
    "upload-created",
    "upload-written",
    "upload-synced",
    "offset-committed",
    "job-claimed",
    "verified",
    "archived",
    "leaf-committed",
    "tiles-written",
    "high-water-written",
    "note-written",
    "checkpoint-written",
    "receipt-stored",
    "upload-released",
)
STAMP_POINTS: Final = ("stamp-received", "stamp-archived", "stamp-committed")
WITNESS_POINTS: Final = ("witness-asked", "cosignature-received", "cosignature-kept")
ENVELOPE_POINTS: Final = ("envelope-archived", "envelope-committed")
_EVERY: Final = (*POINTS, *STAMP_POINTS, *WITNESS_POINTS, *ENVELOPE_POINTS)

_lock = threading.Lock()
_armed: dict[str, int] = {}


def arm(words: str) -> None:
    """Make the process end by SIGKILL when the named point is reached for the nth time.

    Raises:
        UsageError: `words` does not name a point.
    """
    point, _, count = words.partition(":")
    if point not in _EVERY or not (count or "1").isdecimal():
        raise UsageError(
            f"HOZEN_FAULT names no point: {words}",
            hint=f"One of: {', '.join(_EVERY)}",
        )
    with _lock:
        _armed[point] = int(count or "1")


def reach(point: str) -> None:
    """Do nothing, unless `point` is armed."""
    if not _armed:
        return
    with _lock:
        left = _armed.get(point, 0)
        if left > 1:
            _armed[point] = left - 1
        elif left == 1:
            os.kill(os.getpid(), signal.SIGKILL)
