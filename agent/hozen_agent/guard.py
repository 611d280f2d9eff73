"""What a capture may cost the host and the medium, and when it must stop (design §5, law M04)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_IOPRIO_WHO_PROCESS = 1
_IOPRIO_IDLE = 3 << 13
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of one capture; None or 0 means no limit.

    Attributes:
        deadline: seconds from the start.
        total, family, item: bytes of evidence.
        floor: bytes that stay free on the destination.
        nice: niceness from the first file on; the volatile part runs at normal priority.
    """

    deadline: float = 0.0
    total: int = 0
    family: int = 0
    item: int = 0
    floor: int = 64 << 20
    nice: int = 10
    idle_io: bool = False


@dataclass(slots=True)
class Guard:
    """Says whether the capture goes on; the answer and its reason are recorded.

    Attributes:
        stop_reason: journal word (`interrupted`, `deadline`, `full`, …), empty while it goes on.
        detail: one sentence.
        lowered: what was lowered when the files began, for the journal.
    """

    bounds: Bounds
    free_bytes: Callable[[], int]
    began: float = field(default_factory=time.monotonic)
    stop_reason: str = ""
    detail: str = ""
    _taken: int = 0
    _family: dict[str, int] = field(default_factory=dict)

    def interrupt(self, detail: str) -> None:
        """Ask the capture to seal what there is."""
        if not self.stop_reason:
            self.stop_reason, self.detail = "interrupted", detail

    def stopped(self) -> bool:
        """Return whether the capture must end now; looks at time and space."""
        if self.stop_reason:
            return True
        b = self.bounds
        if b.deadline and time.monotonic() - self.began > b.deadline:
            self.stop_reason, self.detail = (
                "deadline",
                f"the time limit of {b.deadline:g} s was reached",
            )
        elif self.free_bytes() < b.floor:
            self.stop_reason = "full"
            self.detail = f"less than {b.floor >> 20} MiB are free on the destination"
        return bool(self.stop_reason)

    def room(self, artifact: str) -> int | None:
        """Return how many bytes the next item of `artifact` may take; None for no limit."""
        b = self.bounds
        limits = [b.item] if b.item else []
        if b.family:
            limits.append(max(0, b.family - self._family.get(artifact, 0)))
        if b.total:
            limits.append(max(0, b.total - self._taken))
        return min(limits) if limits else None

    def took(self, artifact: str, size: int) -> None:
        """Count bytes against the limits."""
        self._taken += size
        self._family[artifact] = self._family.get(artifact, 0) + size

    def step_back(self) -> list[str]:
        """Lower our priority before the bulk of the reading; return what could not be done."""
        problems: list[str] = []
        try:
            os.nice(max(0, self.bounds.nice - os.nice(0)))
        except OSError as error:
            problems.append(f"the CPU priority could not be lowered: {error.strerror}")
        if self.bounds.idle_io and not _idle_io():
            problems.append("the I/O priority could not be lowered")
        return problems


def _idle_io() -> bool:
    import ctypes

    number = _SYS_IOPRIO_SET.get(os.uname().machine)
    if number is None:
        return False
    return bool(ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE) == 0)
