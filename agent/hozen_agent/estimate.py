"""How much a capture would read and how long it would take: an estimate, with its basis (law B12).

Sizes come from stat, the speed from hashing and packing a few mebibytes of our own, and the state of the kernel from
the number of processes. None of it reads what would be captured.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent import dryrun
from hozen_agent.artifacts.registry import FILES_FROM_RANK
from hozen_hashes.deflate import deflater
from hozen_hashes.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.planning import Plan
    from hozen_config.profile import Profile

SECONDS: Final = 60.0  # for all artifacts together
A_PROCESS: Final = 64 << 10  # bytes of a process's kernel files, most of it maps and environment
_A_FILE: Final = 0.0002  # seconds: open, stat, read and record
_A_PROCESS_SECONDS: Final = 0.004
_SAMPLE: Final = 4 << 20
BASIS_EN: Final = (
    "estimate: sizes by stat now, no content read; 64 KiB and 4 ms a process, 0.2 ms a file, and the speed with which "
    "this computer hashes and packs 4 MiB of text of our own; what its disks and the destination need comes on top"
)
BASIS_JA: Final = (
    "概算: 現在のstatのサイズ(内容は読まない)、1プロセス64KiB・4ms、1ファイル0.2ms、この機器で4MiBの試験データを"
    "ハッシュ・圧縮した速度による。ディスク及び保存先の所要時間は含まない"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is expected.

    Attributes:
        looks: by artifact, those that consist of files.
        processes: entries of the process list; None where it cannot be counted.
        bytes, seconds: of the whole capture, within its limits.
    """

    looks: Mapping[str, dryrun.Look]
    processes: int | None
    bytes: int
    seconds: float
    speed: float

    def as_json(self) -> dict[str, object]:
        """Return the `estimate` value of `hozen plan --json`; sizes as decimal strings."""
        return {
            "bytes": str(self.bytes),
            "seconds": round(self.seconds, 1),
            "processes": self.processes,
            "bytes_a_second": str(int(self.speed)),
            "basis": BASIS_EN,
            "artifacts": {
                name: {
                    "files": look.files,
                    "bytes": str(look.bytes),
                    "outside_window": look.outside,
                    "whole": look.whole,
                }
                for name, look in self.looks.items()
            },
        }


def estimate(plan: Plan, profile: Profile, *, names: bool) -> Estimate:
    """Return what a capture by this plan would read now; with `names` the looks hold the paths too."""
    until = time.monotonic() + SECONDS
    looks = {}
    for step in plan.steps:
        if step.rank < FILES_FROM_RANK:
            continue
        looks[step.name] = dryrun.look_up(
            step,
            names=names,
            sizes=True,
            window=plan.window,
            item=profile.limits_of(step.name).item or profile.limits.item,
            seconds=max(0.5, min(dryrun.SECONDS, until - time.monotonic())),
        )
        family = profile.limits_of(step.name).family or profile.limits.family
        looks[step.name].bytes = min(looks[step.name].bytes, family)
    processes = _processes()
    size = sum(look.bytes for look in looks.values()) + (processes or 0) * A_PROCESS
    size, speed = min(size, profile.limits.total), _speed()
    files = sum(look.files for look in looks.values())
    seconds = size / speed + files * _A_FILE + (processes or 0) * _A_PROCESS_SECONDS
    return Estimate(
        looks=looks,
        processes=processes,
        bytes=size,
        seconds=min(seconds, profile.limits.deadline),
        speed=speed,
    )


def _processes() -> int | None:
    try:
        return sum(name.isdecimal() for name in os.listdir("/proc"))
    except OSError:
        return None


def _speed() -> float:
    """Return the bytes a second of hashing and packing, measured on text of our own."""
    line = (
        b"Nov 23 05:00:00 host program[1234]: a line of a log as programs write it, number %08d\n"
    )
    text = b"".join(line % number for number in range(_SAMPLE // len(line)))
    began = time.perf_counter()
    digest, packer = Digest(), deflater()
    digest.update(text)
    packer.compress(text)
    packer.finish()
    return len(text) / max(time.perf_counter() - began, 1e-6)
