"""Looks for deleted files by itself, for a capture that takes them without the processes' deep pass."""

from __future__ import annotations

import os
from errno import ENOENT, ESRCH
from typing import TYPE_CHECKING, Final

from hozen_agent.filetree import listing
from hozen_agent.proc import procparse
from hozen_agent.proc.deep import MAX_FDS, pids_now
from hozen_agent.proc.leads import Holder, Leads
from hozen_agent.proc.sweep import read_small

if TYPE_CHECKING:
    from collections.abc import Callable

_MAPS: Final = 4 << 20
_ENDED: Final = (ENOENT, ESRCH)
_GONE: Final = b" (deleted)"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def scan(proc: int, leads: Leads, *, tick: Callable[[], None]) -> None:
    """`leads` has what the processes of this moment hold; one that ended meanwhile holds nothing."""
    for pid in pids_now(proc):
        try:
            at = os.open(b"%d" % pid, _DIRECTORY, dir_fd=proc)
        except OSError as error:
            _missed(leads, "their directory", pid, error)
            continue
        try:
            _process(at, pid, leads)
        except OSError as error:
            _missed(leads, "their mounts or open files", pid, error)
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
    _program(at, Holder(pid, stat.start_ticks, b"exe"), leads)
    directory = os.open(b"fd", _DIRECTORY, dir_fd=at)
    try:
        numbers = listing.names(directory, most=MAX_FDS)
    finally:
        os.close(directory)
    if len(numbers) > MAX_FDS:
        leads.missed(f"open files beyond the first {MAX_FDS}", pid)
    for number in numbers[:MAX_FDS]:
        _descriptor(at, Holder(pid, stat.start_ticks, b"fd/" + number), leads)
    # The map takes a lock that a process which sleeps uninterruptibly may keep (deep.py).
    if stat.state == "D":
        leads.missed("the memory map, while the process slept uninterruptibly", pid)
        return
    maps = read_small(b"maps", at=at, cap=_MAPS)
    if len(maps) >= _MAPS:
        leads.missed(f"the memory map beyond {_MAPS >> 20} MiB", pid)
    leads.mapped(pid, stat.start_ticks, maps)


def _program(at: int, holder: Holder, leads: Leads) -> None:
    """Enter the program; one that cannot be read costs no open file."""
    try:
        target = os.readlink(b"exe", dir_fd=at)
    except OSError as error:
        _missed(leads, "their program", holder.pid, error)
        return
    if target.endswith(_GONE):
        leads.program(holder, target, None)


def _missed(leads: Leads, what: str, pid: int, error: OSError) -> None:
    """Enter what could not be read, unless the process ended: then it holds nothing."""
    if error.errno not in _ENDED:
        leads.missed(f"{what} ({error.strerror or 'not readable'})", pid)


def _descriptor(at: int, holder: Holder, leads: Leads) -> None:
    try:
        target = os.readlink(holder.name, dir_fd=at)
    except OSError:
        return  # closed meanwhile
    if target.endswith(_GONE):
        leads.descriptor(holder, target, read_small(b"fdinfo/" + holder.name[3:], at=at))
