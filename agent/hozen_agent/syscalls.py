"""Linux calls that Python's os module lacks, each raising OSError like its neighbours there (man 2 pages).

Nothing here decides anything: callers choose the fallback when a call is absent (ENOSYS, or EPERM from a filter).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hozen_agent import traces

if TYPE_CHECKING:
    from collections.abc import Callable

# asm-generic numbers are the same on every architecture from 424 on; the older calls are not.
_OLD: Final = {
    "x86_64": {"statx": 332, "getdents64": 217, "bpf": 321},
    "aarch64": {"statx": 291, "getdents64": 61, "bpf": 280},
    "riscv64": {"statx": 291, "getdents64": 61, "bpf": 280},
    "s390x": {"statx": 379, "getdents64": 220, "bpf": 351},
    "ppc64le": {"statx": 383, "getdents64": 202, "bpf": 361},
}
_NEW: Final = {
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "openat2": 437,
    "mount_setattr": 442,
    "cachestat": 451,
}
NUMBERS: Final = _NEW | _OLD.get(platform.machine(), {})

AT_FDCWD: Final = -100
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_NO_AUTOMOUNT: Final = 0x800
AT_EMPTY_PATH: Final = 0x1000
AT_STATX_DONT_SYNC: Final = 0x4000  # a dead network file system answers from its cache
AT_RECURSIVE: Final = 0x8000
STATX_ALL: Final = 0x0FFF | 0x1000  # basic, birth time and mount id
STATX_SIZE: Final = 256

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08

CLONE_NEWNS: Final = 0x0002_0000
MS_REC: Final = 0x4000
MS_SLAVE: Final = 0x8_0000
MS_RDONLY: Final = 0x01
MS_NOATIME: Final = 0x400
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MOUNT_ATTR_RDONLY: Final = 0x01
MOUNT_ATTR_NOSUID: Final = 0x02
MOUNT_ATTR_NODEV: Final = 0x04
MOUNT_ATTR_NOEXEC: Final = 0x08
MOUNT_ATTR_NOATIME: Final = 0x10
_MOUNT_ATTR_ATIME: Final = 0x70  # the field that must be cleared before one of its values is set
_FSCONFIG_CMD_CREATE: Final = 6
_CLOEXEC: Final = 1  # FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC

RWF_DONTCACHE: Final = 0x80

_libc: Final = ctypes.CDLL(None, use_errno=True)
_long = ctypes.c_long
_int = ctypes.c_int
_pointer = ctypes.c_void_p
_text = ctypes.c_char_p
_unsigned = ctypes.c_uint
_size = ctypes.c_size_t


class _Call:
    """One system call with its argument types; ENOSYS where the machine's number is not known."""

    __slots__ = ("function", "name", "number")

    def __init__(self, name: str, *types: type[ctypes._SimpleCData[Any]]) -> None:
        self.name = name
        self.number = NUMBERS.get(name, -1)
        self.function = _libc["syscall"]  # item access: a fresh object, so argtypes are ours alone
        self.function.argtypes = [_long, *types]
        self.function.restype = _long

    def __call__(self, *args: object) -> int:
        result: int = self.function(self.number, *args)
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), self.name)
        return result


_statx = _Call("statx", _int, _text, _int, _unsigned, _pointer)
_getdents64 = _Call("getdents64", _int, _pointer, _size)
_openat2 = _Call("openat2", _int, _text, _pointer, _size)
_mount_setattr = _Call("mount_setattr", _int, _text, _unsigned, _pointer, _size)
_fsopen = _Call("fsopen", _text, _unsigned)
_fsconfig = _Call("fsconfig", _int, _unsigned, _text, _pointer, _int)
_fsmount = _Call("fsmount", _int, _unsigned, _unsigned)
_pidfd_open = _Call("pidfd_open", _int, _unsigned)
_cachestat = _Call("cachestat", _unsigned, _pointer, _pointer, _unsigned)
_bpf = _Call("bpf", _int, _pointer, _unsigned)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _Pages(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in ("cache", "dirty", "writeback", "evicted", "recently_evicted")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Which calls this kernel and this sandbox answer."""

    statx: bool
    openat2: bool
    mount_setattr: bool
    fsopen: bool
    pidfd_open: bool
    cachestat: bool


def raw_statx() -> tuple[int, Callable[..., int]]:
    """Return (number, function) for loops: `function(number, fd, name, flags, STATX_ALL, address)`, -1 for an error."""
    return _statx.number, _statx.function


def quick_statx() -> Callable[..., int] | None:
    """Return `function(fd, name, flags, STATX_ALL, c_void_p)` for loops of a process with one thread; None without it.

    The C library's wrapper without declared types costs half of what `raw_statx` does; it tells only 0 or -1.
    """
    function = getattr(ctypes.PyDLL(None), "statx", None)  # glibc 2.28, musl 1.1.24
    return function if _statx.number >= 0 else None


def statx_into(dir_fd: int, name: bytes, address: int, *, flags: int = 0) -> None:
    """Fill the STATX_SIZE bytes at `address` with struct statx of `name`, asking no server (statx(2)).

    Raises:
        OSError: as statx(2); ENOSYS where the kernel or the architecture's number is unknown.
    """
    _statx(dir_fd, name, flags | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_ALL, address)


def getdents64(fd: int, address: int, size: int) -> int:
    """Fill the buffer with struct linux_dirent64 records; returns how many bytes, 0 at the end.

    Raises:
        OSError: as getdents64(2).
    """
    return _getdents64(fd, address, size)


def openat2(dir_fd: int, path: bytes, flags: int, *, resolve: int) -> int:
    """Return a close-on-exec descriptor of `path`, resolved only as `resolve` allows (openat2(2), Linux 5.6).

    Raises:
        OSError: ELOOP for a symbolic link, EXDEV for another mount, ENOSYS on old kernels.
    """
    traces.opened()
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    return _openat2(dir_fd, path, ctypes.addressof(how), ctypes.sizeof(how))


def unshare(flags: int) -> None:
    """The calling process leaves the named namespaces for copies of its own (unshare(2)).

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN.
    """
    if _libc.unshare(_int(flags)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare")


def enter_mount_namespace(fd: int) -> None:
    """The calling process is back in the mount namespace that `fd` names (setns(2)).

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN, EINVAL in a process with several threads.
    """
    if _libc.setns(_int(fd), _int(CLONE_NEWNS)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int) -> None:
    """The mount table is changed; the flags are those of the manual page.

    Without data: only propagation and remounts are asked for.

    Raises:
        OSError: as mount(2).
    """
    if _libc.mount(_text(source), _text(target), _text(kind), ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "mount")


def mount_setattr(path: bytes, *, attributes: int) -> None:
    """Set `attributes` on the mount at `path` and on all below it, in one step (mount_setattr(2), Linux 5.12).

    Raises:
        OSError: ENOSYS on old kernels, EINVAL where `path` is no mount point (a chroot), EPERM.
    """
    cleared = _MOUNT_ATTR_ATIME if attributes & MOUNT_ATTR_NOATIME else 0
    change = _MountAttr(attributes, cleared, 0, 0)
    _mount_setattr(AT_FDCWD, path, AT_RECURSIVE, ctypes.addressof(change), ctypes.sizeof(change))


def detached_mount(kind: bytes, *, attributes: int) -> int:
    """Return the root directory of a new file system of `kind` that is attached nowhere (fsopen(2), Linux 5.2).

    Raises:
        OSError: ENOSYS on old kernels, EPERM without CAP_SYS_ADMIN.
    """
    context = _fsopen(kind, _CLOEXEC)
    try:
        _fsconfig(context, _FSCONFIG_CMD_CREATE, None, None, 0)
        root = _fsmount(context, _CLOEXEC, attributes)  # an O_PATH descriptor
    finally:
        os.close(context)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
    finally:
        os.close(root)


def pidfd_open(pid: int) -> int:
    """Return a descriptor of process `pid` that no later process can be mistaken for (Linux 5.3).

    Raises:
        OSError: ESRCH for no such process, ENOSYS on old kernels.
    """
    fd = _pidfd_open(pid, 0)
    os.set_inheritable(fd, False)
    return fd


def bpf(command: int, address: int, size: int) -> int:
    """Ask the kernel about eBPF objects: `address` is a union bpf_attr of `size` bytes (bpf(2)).

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN, ENOENT at the end of a list, ENOSYS where there is no eBPF.
    """
    return _bpf(command, address, size)


def cached_pages(fd: int) -> int:
    """Return how many pages of the file lie in the page cache, reading none (cachestat(2), Linux 6.5).

    Raises:
        OSError: ENOSYS on old kernels, EOPNOTSUPP for file systems without pages.
    """
    span = (ctypes.c_uint64 * 2)(0, 0)
    pages = _Pages()
    _cachestat(fd, ctypes.addressof(span), ctypes.addressof(pages), 0)
    return int(pages.cache)


def _answers(call: _Call, *args: object) -> bool:
    """Return whether the kernel knows the call; a wrong argument is refused in another way."""
    try:
        call(*args)
    except OSError as refusal:
        return refusal.errno not in {errno.ENOSYS, errno.EPERM}
    return True


def probe() -> Availability:
    """Return which calls exist, tried with arguments that can have no effect."""
    return Availability(
        statx=_answers(_statx, -1, b"", 0, 0, None),
        openat2=_answers(_openat2, -1, b"", None, 0),
        mount_setattr=_answers(_mount_setattr, -1, b"", 0, None, 0),
        fsopen=_answers(_fsopen, None, 0xFFFF_FFFF),
        pidfd_open=_answers(_pidfd_open, -1, 0),
        cachestat=_answers(_cachestat, 0xFFFF_FFFF, None, None, 0),
    )
