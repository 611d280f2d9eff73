"""One process by number and start time: the directory of exactly this process, or nothing.

A number alone may belong to another process by the time it is used; number and start time may not (agent-floor §2).
"""

from __future__ import annotations

import os
from errno import ESRCH
from typing import TYPE_CHECKING, Final

from hozen_agent import syscalls
from hozen_agent.attempts import read_stat
from hozen_agent.proc import procparse
from hozen_agent.proc.sweep import read_small

if TYPE_CHECKING:
    from hozen_agent.items import FileStat

PIN: Final = os.O_PATH | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOUNT_AT: Final = 144  # stx_mnt_id in struct statx


def open_process(proc: int, pid: int, start_ticks: int) -> int:
    """Return a descriptor of the process's directory in procfs; it never becomes another process's.

    Raises:
        OSError: ESRCH when it ended, also when its number belongs to another process by now.
    """
    at = os.open(b"%d" % pid, _DIRECTORY, dir_fd=proc)
    stat = procparse.parse_stat(read_small(b"stat", at=at))
    if stat is None or stat.start_ticks != start_ticks:
        os.close(at)
        raise OSError(ESRCH, "the process ended; its number may be another's by now")
    return at


def look(pinned: int) -> tuple[FileStat, int]:
    """Return what is known of a pinned file and its mount, without a word to any server.

    Raises:
        OSError: as statx(2); ENOSYS before Linux 4.11.
    """
    memory = bytearray(syscalls.STATX_SIZE)
    fill(pinned, memory)
    view = memoryview(memory)
    return read_stat(view, 0), int.from_bytes(view[_MOUNT_AT : _MOUNT_AT + 8], "little")


def fill(pinned: int, memory: bytearray) -> None:
    """Put struct statx of the pinned file into `memory`."""
    import ctypes

    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    syscalls.statx_into(pinned, b"", address, flags=syscalls.AT_EMPTY_PATH)


def memory_device() -> int:
    """Return the device number of files that exist in memory only (memfd_create(2)); -1 where there are none."""
    try:
        fd = os.memfd_create("hozen")
    except OSError:
        return -1
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)
