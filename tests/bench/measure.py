"""What a command cost, as the operating system counted it: CPU seconds, wall seconds, peak memory of the whole tree."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """One or the median of several runs.

    Attributes:
        cpu: user and system seconds of the command and its ended children.
        rss: KiB, the largest single process.
    """

    cpu: float
    wall: float
    rss: int


def cost(command: list[str], *, runs: int = 3, stdout: Path | None = None) -> Cost:
    """Return the median cost of `command`; a run that fails is an error, not a figure."""
    return middle([_once(command, stdout) for _ in range(runs)])


def middle(costs: list[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(
        cpu=statistics.median(c.cpu for c in costs),
        wall=statistics.median(c.wall for c in costs),
        rss=int(statistics.median(c.rss for c in costs)),
    )


def _once(command: list[str], stdout: Path | None) -> Cost:
    began = time.monotonic()
    with open(stdout or os.devnull, "wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.PIPE)
        assert process.stderr is not None
        talk = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {talk[-2000:]!r}")
    return Cost(
        cpu=used.ru_utime + used.ru_stime, wall=time.monotonic() - began, rss=used.ru_maxrss
    )


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure against its gate.

    Attributes:
        least: the figure must not be smaller than the gate; otherwise it must not be larger.
        why_not: the gate does not apply here, for this reason.
    """

    name: str
    figure: float
    gate: float
    unit: str = "ratio"
    least: bool = False
    why_not: str = ""
    detail: str = ""

    @property
    def held(self) -> bool:
        """Whether the figure is within its gate, or the gate does not apply."""
        if self.why_not:
            return True
        return self.figure >= self.gate if self.least else self.figure <= self.gate

    def line(self) -> str:
        """Return the row of the report."""
        sign = "≥" if self.least else "≤"
        state = (
            f"not applicable: {self.why_not}"
            if self.why_not
            else ("held" if self.held else "MISSED")
        )
        return f"{self.name:<58} {self.figure:9.3f} {sign} {self.gate:<8g} {self.unit:<6} {state}  {self.detail}"


def cpu_features() -> list[str]:
    """Return the processor's features that decide hashing and compression speed."""
    flags = set()
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines():
        if line.startswith("flags"):
            flags.update(line.split(":", 1)[1].split())
            break
    return sorted(flags & {"sha_ni", "avx2", "avx512f", "vaes", "pclmulqdq", "bmi2"})
