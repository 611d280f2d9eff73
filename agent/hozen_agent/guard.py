"""What a capture may cost the host and the medium, and when it must stop (design §5, law M04)."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_config.profile import Profile

_LOOK_EVERY = 0.05  # seconds: a million small files must not cost a million system calls
_LOOK_AFTER = 1 << 20  # bytes: a fast reader fills more than a floor in that time
_IOPRIO_WHO_PROCESS = 1
_IOPRIO = {"idle": 3 << 13, "best-effort": (2 << 13) | 7}
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}


@dataclass(slots=True, kw_only=True)
class Guard:
    """Says whether the capture goes on, and how much the next item may take.

    Attributes:
        profile: its limits are enforced.
        floor: bytes that stay free on the destination.
        stop_reason: journal word (`interrupted`, `deadline`, `full`), empty while the capture goes on.
        detail: one sentence that says why it stopped.
    """

    profile: Profile
    floor: int
    free_bytes: Callable[[], int]
    began: float = field(default_factory=time.monotonic)
    stop_reason: str = ""
    detail: str = ""
    _until: tuple[float, float] = (0.0, 0.0)
    _taken: int = 0
    _family: dict[str, int] = field(default_factory=dict)
    _limits: dict[str, tuple[int, int]] = field(default_factory=dict)
    _looked: float = 0.0
    _unlooked: int = 0

    def interrupt(self, detail: str) -> None:
        """Ask the capture to seal what there is."""
        if not self.stop_reason:
            self.stop_reason, self.detail = "interrupted", detail

    def ending(self) -> tuple[str, str]:
        """Return the journal's reason and detail as they are now; a signal may change them at any moment."""
        reason = self.stop_reason
        return (reason, self.detail) if reason else ("complete", "")

    def stopped(self) -> bool:
        """Return whether the capture must end now; looks at time and space, but not at every call."""
        if not self.stop_reason:
            moment = time.monotonic()
            if self._unlooked >= _LOOK_AFTER or moment - self._looked >= _LOOK_EVERY:
                self._looked, self._unlooked = moment, 0
                self._look(moment)
        return bool(self.stop_reason)

    def stopped_within(self) -> bool:
        """Return the same between two pieces of a long item, about 1 MiB each; looks every time."""
        self._unlooked = _LOOK_AFTER
        return self.stopped()

    def begin(self, artifact: str) -> None:
        """The time that the profile gives `artifact` begins now."""
        own = self.profile.limits_of(artifact).deadline or self.profile.limits.deadline
        self._until = (time.monotonic() + own, own)

    def late(self) -> str:
        """Return why the artifact at hand must end though the capture goes on, or an empty string."""
        until, seconds = self._until
        if not until or time.monotonic() <= until:
            return ""
        return f"the time limit of {seconds:g} s for this kind of evidence was reached"

    def room(self, artifact: str) -> int:
        """Return how many bytes the next item of `artifact` may take."""
        limits = self._limits.get(artifact)
        if limits is None:
            own, whole = self.profile.limits_of(artifact), self.profile.limits
            limits = self._limits[artifact] = (own.item or whole.item, own.family or whole.family)
        item, family = limits
        return max(
            0,
            min(
                item,
                family - self._family.get(artifact, 0),
                self.profile.limits.total - self._taken,
            ),
        )

    def _look(self, moment: float) -> None:
        deadline = self.profile.limits.deadline
        if moment - self.began > deadline:
            self.stop_reason = "deadline"
            self.detail = f"the time limit of {deadline:g} s was reached"
        elif self.free_bytes() < self.floor:
            self.stop_reason = "full"
            self.detail = f"less than {self.floor >> 20} MiB are free on the destination"

    def took(self, artifact: str, size: int) -> None:
        """Count bytes against the limits."""
        self._taken += size
        self._unlooked += size
        self._family[artifact] = self._family.get(artifact, 0) + size

    def step_back(self) -> list[str]:
        """Lower our priority before the bulk of the reading; return what could not be done."""
        problems: list[str] = []
        limits = self.profile.limits
        try:
            os.nice(max(0, limits.nice - os.nice(0)))
        except OSError as error:
            problems.append(f"the CPU priority could not be lowered: {error.strerror}")
        if limits.io_class in _IOPRIO and not _set_io_class(_IOPRIO[limits.io_class]):
            problems.append("the I/O priority could not be lowered")
        return problems


def floor_of(profile: Profile, size: int) -> int:
    """Return the bytes that must stay free on a destination of `size` bytes: the larger of both floors."""
    return max(profile.limits.free_space_floor, int(profile.limits.free_space_floor_share * size))


def _set_io_class(value: int) -> bool:
    number = _SYS_IOPRIO_SET.get(os.uname().machine)
    if number is None:
        return False
    return bool(ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, value) == 0)
