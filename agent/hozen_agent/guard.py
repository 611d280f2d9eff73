"""What a capture may cost the host and the medium, and when it must stop (design §5, law M04)."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hozen_agent.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hozen_agent.autogroup import Autogroup
    from hozen_config.profile import Profile

_LOOK_EVERY = 0.05  # seconds: a million small files must not cost a million system calls
_LOOK_AFTER = 1 << 20  # bytes: a fast reader fills more than a floor in that time
_IOPRIO_WHO_PROCESS = 1
_IOPRIO = {"idle": 3 << 13, "best-effort": (2 << 13) | 7}
_SYS_IOPRIO = {"x86_64": (251, 252), "aarch64": (30, 31)}  # set, get


@dataclass(slots=True, kw_only=True)
class Guard:
    """Says whether the capture goes on, and how much the next item may take.

    Attributes:
        profile: its limits are enforced.
        floor: bytes that stay free on the destination.
        stop_reason: journal word (`interrupted`, `deadline`, `full`), empty while the capture goes on.
        detail: one sentence that says why it stopped.
        obtained: what the system granted of the priorities and ceilings, for the bundle.
        autogroup: the scheduler's group of our session, where there is one.
    """

    profile: Profile
    floor: int
    free_bytes: Callable[[], int]
    began: float = field(default_factory=time.monotonic)
    stop_reason: str = ""
    detail: str = ""
    obtained: dict[str, object] = field(default_factory=dict)
    autogroup: Autogroup | None = None
    _until: tuple[float, float] = (0.0, 0.0)
    _stage_until: float = 0.0
    _pace: Pace | None = None
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

    def stage(self, seconds: float) -> None:
        """The volatile part ends `seconds` after the capture began, whatever it reads then."""
        self._stage_until = self.began + seconds

    def stage_over(self) -> bool:
        """Return whether the time of the volatile part is over."""
        return bool(self._stage_until) and time.monotonic() > self._stage_until

    def end_stage(self) -> None:
        """What is read from now on is bound by the artifact's own time only."""
        self._stage_until = 0.0

    def late(self) -> str:
        """Return why the artifact at hand must end though the capture goes on, or an empty string."""
        if self.stage_over():
            return f"the {self._stage_until - self.began:g} s of the volatile part were over"
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
        total = self.profile.limits.total
        if self.profile.yields(artifact):
            total -= int(total * self.profile.limits.reserved_share)
        return max(0, min(item, family - self._family.get(artifact, 0), total - self._taken))

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

    def hold_memory(self) -> list[str]:
        """Bound the private memory of this process and of those that it forks; return what could not be done."""
        return hold_memory(self.profile, self.obtained)

    def step_back(self, pids: Sequence[int] = ()) -> list[str]:
        """Lower the priority of this process and of its readers before the bulk; return what could not be done."""
        limits, everybody = self.profile.limits, (0, *pids)
        problems: list[str] = []
        try:
            for pid in everybody:
                os.setpriority(os.PRIO_PROCESS, pid, max(limits.nice, _nice_of(pid)))
        except OSError as error:
            problems.append(f"the CPU priority could not be lowered: {error.strerror}")
        problems += self._lower_group()
        if limits.io_class in _IOPRIO:
            done = [_set_io_class(pid, _IOPRIO[limits.io_class]) for pid in everybody]
            if not all(done):
                problems.append("the I/O priority could not be lowered")
        self.obtained["nice"] = [_nice_of(pid) for pid in everybody]
        self.obtained["io_class"] = [_io_class_of(pid) for pid in everybody]
        self._pace = Pace(limits.cpu_share)
        return problems

    def _lower_group(self) -> list[str]:
        """Our session yields to others while files are read, where the kernel weighs sessions first."""
        if self.autogroup is None:
            return []
        try:
            lowered = self.autogroup.lower(self.profile.limits.nice)
        except OSError as error:
            return [f"the priority of our session could not be lowered: {error.strerror}"]
        self.obtained["autogroup_nice"] = {"before": self.autogroup.before, "lowered": lowered}
        return []

    def leave(self) -> None:
        """What was changed of the host's own scheduling is as it was; also on the way out of an abort."""
        if self.autogroup is not None:
            self.autogroup.restore()
            self.autogroup = None

    def keep_pace(self, pids: Callable[[], Sequence[int]], tick: Callable[[], None]) -> None:
        """Sleep when more than the share of the processors was used; call it between two pieces of work."""
        if self._pace is not None:
            slept = self._pace.keep(pids, tick, stopped=self.stopped)
            if slept:
                so_far = self.obtained.get("slept_for_cpu_share_ms", 0)
                self.obtained["slept_for_cpu_share_ms"] = round(slept * 1000) + (
                    so_far if isinstance(so_far, int) else 0
                )


def floor_of(profile: Profile, size: int) -> int:
    """Return the bytes that must stay free on a destination of `size` bytes: the larger of both floors."""
    return max(profile.limits.free_space_floor, int(profile.limits.free_space_floor_share * size))


def hold_memory(profile: Profile, obtained: dict[str, object]) -> list[str]:
    """Set RLIMIT_DATA: a runaway allocation fails here, recorded, and never drives the host into its swap.

    A cgroup of our own would bound the page cache too, but making one changes the examined host.
    """
    ceiling = profile.limits.memory
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard != resource.RLIM_INFINITY:
            ceiling = min(ceiling, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))
    except (OSError, ValueError) as error:
        return [f"the memory ceiling could not be set: {error}"]
    obtained["memory_bytes"] = str(ceiling)
    return []


def _nice_of(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def _set_io_class(pid: int, value: int) -> bool:
    number = _SYS_IOPRIO.get(os.uname().machine)
    return number is not None and _libc().syscall(number[0], _IOPRIO_WHO_PROCESS, pid, value) == 0


def _io_class_of(pid: int) -> str | None:
    """Return the I/O class as ioprio_get(2) has it, None where it cannot be asked."""
    number = _SYS_IOPRIO.get(os.uname().machine)
    value = -1 if number is None else _libc().syscall(number[1], _IOPRIO_WHO_PROCESS, pid)
    return {0: "none", 1: "realtime", 2: "best-effort", 3: "idle"}.get(value >> 13)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
