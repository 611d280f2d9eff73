"""Finds the processes that an operator means by a number or a name pattern."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from hozen_agent.proc import procparse
from hozen_agent.proc.deep import pids_now
from hozen_agent.proc.sweep import read_small

OVERHEAD: Final = 8 << 20  # of headers and notes around the memory, at most
MOST_WANTED: Final = 64
_LONGEST: Final = 256
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Chosen:
    """One process that was meant."""

    pid: int
    start_ticks: int


def usable(wanted: str) -> bool:
    """Return whether the text can name a process: a number, or a pattern without a slash."""
    return 0 < len(wanted) <= _LONGEST and "/" not in wanted and "\0" not in wanted


def matching(proc: int, wanted: str) -> list[Chosen]:
    """Return the processes of that number, or whose name or program is called so (`*`, `?` and `[…]` as in a shell)."""
    pids = [int(wanted)] if wanted.isascii() and wanted.isdigit() else pids_now(proc)
    found = (_match(proc, pid, wanted) for pid in pids)
    return [one for one in found if one is not None]


def _match(proc: int, pid: int, wanted: str) -> Chosen | None:
    try:
        at = os.open(b"%d" % pid, _DIRECTORY, dir_fd=proc)
    except OSError:
        return None
    try:
        stat = procparse.parse_stat(read_small(b"stat", at=at))
        if stat is None or stat.kernel_thread:
            return None
        if wanted != str(pid) and not _called(at, stat.name, wanted):
            return None
        return Chosen(pid, stat.start_ticks)
    finally:
        os.close(at)


def _called(at: int, name: bytes, wanted: str) -> bool:
    if fnmatchcase(os.fsdecode(name), wanted):
        return True
    try:
        target = os.fsdecode(os.readlink(b"exe", dir_fd=at))
    except OSError:
        return False
    return fnmatchcase(os.path.basename(target.removesuffix(" (deleted)")), wanted)
