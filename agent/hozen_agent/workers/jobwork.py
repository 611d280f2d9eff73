"""The worker's side of a job: work on a whole tree or list, done where it may hang, answered in streams of bytes."""

from __future__ import annotations

import importlib
import json
import time
from typing import TYPE_CHECKING, Final

from hozen_agent.workers.ring import SLOT, Kind

if TYPE_CHECKING:
    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.ring import Producer

# A job's module has `run(opener, out, path, asked)`, which returns its summary.
MODULES: Final = (
    "filetree.bodyjob",
    "filetree.programjob",
    "filetree.usagejob",
    "pkg.packagejob",
    "crossview.directories",
    "reading.newestjob",
)
BODY_FILE, PROGRAMS, USAGE, PACKAGES, DIRECTORIES, NEWEST = range(len(MODULES))
_PIECE: Final = SLOT // 2
_DUE: Final = 0.2
_SHOWN: Final = 0.5


class JobOut:
    """Puts blocks of a job's streams into the ring, and signs of life between them."""

    __slots__ = ("_out", "_rolled", "_told")

    def __init__(self, out: Producer) -> None:
        self._out = out
        self._told = self._rolled = time.monotonic()

    def due(self) -> bool:
        """Return whether what is ready should go into the ring now: a hang must not take it along."""
        return time.monotonic() - self._told > _DUE

    def block(self, stream: int, data: bytes) -> None:
        """`data`, or a sign of life when it is empty, lies in the ring; now and then the slot is sent."""
        for start in range(0, len(data), _PIECE):
            self._out.put(Kind.DATA, stream, 0, data[start : start + _PIECE])
        now = time.monotonic()
        if not data and now - self._told > _DUE:
            self._out.put(Kind.ALIVE, 0, 0, b"")
        self._told = now
        if now - self._rolled > _SHOWN:
            self._out.roll()
            self._rolled = now


def work(opener: Opener, out: Producer, number: int, names: list[bytes]) -> None:
    """Job `number` was done; its last record is END with the summary as JSON."""
    module = importlib.import_module(f"hozen_agent.{MODULES[number]}")
    summary = module.run(opener, JobOut(out), names[1], json.loads(names[0]))
    out.put(Kind.END, 0, 0, json.dumps(summary).encode())
    out.roll()
