"""Looks for deleted files by itself, for a capture that takes them without the processes' deep pass."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from hozen_agent import listing, procparse
from hozen_agent.deep import MAX_FDS, pids_now
from hozen_agent.leads import Holder, Leads
from hozen_agent.sweep import read_small

if TYPE_CHECKING:
    from collections.abc import Callable

_MAPS: Final = 4 << 20
_GONE: Final = b" (deleted)"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def scan(proc: int, leads: Leads, *, tick: Callable[[], None]) -> None:
    """`leads` has what the processes of this moment hold; one that ended meanwhile holds nothing."""
    for pid in pids_now(proc):
        try:
            at = os.open(b"%d" % pid, _DIRECTORY, dir_fd=proc)
        except OSError:
            continue
        try:
            _process(at, pid, leads)
        except OSError:
            continue
        finally:
            os.close(at)
            tick()
    leads.scanned = True


def _process(at: int, pid: int, leads: Leads) -> None:
    stat = procparse.parse_stat(read_small(b"stat", at=at))
    if stat is None or stat.kernel_thread:
        return
    space = os.readlink(b"ns/mnt", dir_fd=at)
    if not leads.local.knows(space):
        leads.local.learn(space, read_small(b"mountinfo", at=at, cap=16 << 20))
    target = os.readlink(b"exe", dir_fd=at)
    if target.endswith(_GONE):
        leads.program(Holder(pid, stat.start_ticks, b"exe"), target, None)
    directory = os.open(b"fd", _DIRECTORY, dir_fd=at)
    try:
        numbers = listing.names(directory, most=MAX_FDS)[:MAX_FDS]
    finally:
        os.close(directory)
    for number in numbers:
        _descriptor(at, Holder(pid, stat.start_ticks, b"fd/" + number), leads)
    # The map takes a lock that a process which sleeps uninterruptibly may keep (deep.py).
    if stat.state != "D":
        leads.mapped(pid, stat.start_ticks, read_small(b"maps", at=at, cap=_MAPS))


def _descriptor(at: int, holder: Holder, leads: Leads) -> None:
    try:
        target = os.readlink(holder.name, dir_fd=at)
    except OSError:
        return  # closed meanwhile
    if target.endswith(_GONE):
        leads.descriptor(holder, target, read_small(b"fdinfo/" + holder.name[3:], at=at))
