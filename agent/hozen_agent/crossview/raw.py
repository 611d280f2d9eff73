"""System calls made past the C library's own functions, which a preloaded library may have replaced (agent-floor §5).

A library in /etc/ld.so.preload usually replaces readdir(3), open(3), stat(3) and kill(3). `syscall(2)` is one function
below them; what hooks that one as well, or sits in the kernel, is out of reach from here.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from errno import EPERM
from typing import TYPE_CHECKING, Final

from hozen_agent import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIRENT: Final = struct.Struct("=QqHB")
_BUFFER: Final = 1 << 18
_NUMBERS: Final = {
    "x86_64": {"kill": 62, "sched_getscheduler": 145, "openat": 257, "read": 0},
    "aarch64": {"kill": 129, "sched_getscheduler": 120, "openat": 56, "read": 63},
    "riscv64": {"kill": 129, "sched_getscheduler": 120, "openat": 56, "read": 63},
    "s390x": {"kill": 37, "sched_getscheduler": 157, "openat": 288, "read": 3},
    "ppc64le": {"kill": 37, "sched_getscheduler": 157, "openat": 286, "read": 3},
}.get(platform.machine(), {})
KNOWN: Final = bool(_NUMBERS) and "getdents64" in syscalls.NUMBERS
PROBES: Final = ("kill", "sched_getscheduler")

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc["syscall"]
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long] * 3
_with_text = _libc["syscall"]
_with_text.restype = ctypes.c_long
_with_text.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_long, ctypes.c_long]
_with_memory = _libc["syscall"]
_with_memory.restype = ctypes.c_long
_with_memory.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t]


def answering(numbers: Iterable[int], *, probe: str = "kill") -> set[int]:
    """Return which of these process and thread numbers exist, by kill(2) with signal 0 or sched_getscheduler(2).

    Neither has an effect on the process. An answer "not permitted" is an answer: there is somebody.
    """
    number, call, error = _NUMBERS[probe], _syscall, ctypes.get_errno
    return {n for n in numbers if call(number, n, 0) >= 0 or error() == EPERM}


def listing(fd: int, *, most: int = 1 << 20) -> list[tuple[bytes, int, int]]:
    """Return (name, inode number, type) of each entry from the directory's beginning, by getdents64(2).

    Without `.` and `..`; ends after `most` entries.

    Raises:
        OSError: it cannot be listed.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    buffer = ctypes.create_string_buffer(_BUFFER)
    found: list[tuple[bytes, int, int]] = []
    while size := syscalls.getdents64(fd, ctypes.addressof(buffer), _BUFFER):
        data, at = buffer.raw[:size], 0
        while at < size:
            inode, _, length, kind = _DIRENT.unpack_from(data, at)
            name = data[at + _DIRENT.size : data.index(b"\0", at + _DIRENT.size)]
            at += length
            if name not in {b".", b".."}:
                found.append((name, inode, kind))
        if len(found) >= most:
            break
    os.lseek(fd, 0, os.SEEK_SET)  # others list through the same descriptor
    return found


def open_at(directory: int, path: bytes, flags: int) -> int:
    """Return a close-on-exec descriptor, by openat(2).

    Raises:
        OSError: as open(2).
    """
    fd: int = _with_text(_NUMBERS["openat"], directory, path, flags | os.O_CLOEXEC, 0)
    if fd < 0:
        raise _failed("openat")
    return fd


def read_all(directory: int, path: bytes, *, most: int, flags: int = 0) -> bytes:
    """Return the content of a small file, at most `most` bytes, by openat(2) and read(2).

    Raises:
        OSError: as open(2) and read(2).
    """
    fd = open_at(directory, path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    buffer = ctypes.create_string_buffer(65536)
    parts: list[bytes] = []
    total = 0
    try:
        while total < most:
            got = _with_memory(
                _NUMBERS["read"], fd, ctypes.addressof(buffer), min(len(buffer), most - total)
            )
            if got < 0:
                raise _failed("read")
            if not got:
                break
            parts.append(buffer.raw[:got])
            total += got
    finally:
        os.close(fd)
    return b"".join(parts)


def _failed(name: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)
