"""Into another network namespace and back, in a process made for reading (setns(2)); never where a key is."""

from __future__ import annotations

import ctypes
import os
import stat
from typing import Final

_CLONE_NEWNET: Final = 0x4000_0000
_libc: Final = ctypes.CDLL(None, use_errno=True)


class OtherError(Exception):
    """What was found in place of the namespace that was asked for."""


class Place:
    """Where a network namespace can be entered.

    Attributes:
        inode: the namespace's number, as in `net:[4026531840]`.
        how: `process`, `descriptor` or `path`.
        pid: of the process, of the holder of the descriptor, or one that sees the path.
        rest: descriptor number or absolute path.
    """

    __slots__ = ("how", "inode", "pid", "rest")

    def __init__(self, inode: int, how: str, pid: int, rest: bytes = b"") -> None:
        self.inode = inode
        self.how = how
        self.pid = pid
        self.rest = rest

    def pack(self) -> bytes:
        """Return the form that travels to the reading process; holds no NUL."""
        return b"%d %b %d %b" % (self.inode, self.how.encode(), self.pid, self.rest)

    @classmethod
    def unpack(cls, packed: bytes) -> Place:
        """Return what `pack` made."""
        inode, how, pid, rest = packed.split(b" ", 3)
        return cls(int(inode), how.decode(), int(pid), rest)

    @property
    def name(self) -> bytes:
        """As below procfs."""
        below = {
            "process": b"ns/net",
            "descriptor": b"fd/" + self.rest,
            "path": b"root" + self.rest,
        }
        return b"%d/%b" % (self.pid, below[self.how])


def own(proc: int) -> tuple[int, int]:
    """Return a descriptor and the number of the network namespace of this process.

    Raises:
        OSError: procfs has no entry of it.
    """
    fd = os.open(b"self/ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    return fd, os.fstat(fd).st_ino


def enter(proc: int, place: Place) -> None:
    """The process is in the namespace.

    Raises:
        OSError: it is gone, or entering is not permitted.
        OtherError: something else lies there by now; it was not opened.
    """
    fd = _opened(proc, place)
    try:
        switch(fd)
    finally:
        os.close(fd)


def _opened(proc: int, place: Place) -> int:
    if place.how == "process":  # a magic link of the kernel leads to nothing but a namespace
        fd = os.open(place.name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        if os.fstat(fd).st_ino != place.inode:
            os.close(fd)
            raise OtherError("the process has changed its namespace")
        return fd
    follow = os.O_NOFOLLOW if place.how == "path" else 0
    pinned = os.open(place.name, os.O_PATH | os.O_CLOEXEC | follow, dir_fd=proc)
    try:
        found = os.fstat(pinned)
        if found.st_ino != place.inode or not stat.S_ISREG(found.st_mode):
            raise OtherError("something else lies there by now")
        return os.open(
            b"self/fd/%d" % pinned, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=proc
        )
    finally:
        os.close(pinned)


def switch(fd: int) -> None:
    """The process is in the network namespace that `fd` names.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN there and here, EINVAL for something else.
    """
    if _libc.setns(ctypes.c_int(fd), ctypes.c_int(_CLONE_NEWNET)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")
