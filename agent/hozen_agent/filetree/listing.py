"""The names in a directory as the kernel gives them, past the C library's readdir(3) (agent-floor §5).

A library in /etc/ld.so.preload usually replaces readdir(3) to hide names; Python's own listings go through it.
`syscall(2)` is one function below; what hooks that one as well, or sits in the kernel, is out of reach from here.
Imports little, because the first sweep uses it.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = {"x86_64": 217, "aarch64": 61, "riscv64": 61, "s390x": 220, "ppc64le": 202}.get(
    os.uname().machine, -1
)
_NAME_AT = 19  # after inode (8), offset (8), length of the record (2) and type (1)
_AT_ONCE = 2048
_BUFFER = 24 * _AT_ONCE  # 24 bytes are the shortest record

_getdents64 = ctypes.CDLL(None, use_errno=True)["syscall"]
_getdents64.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
_getdents64.restype = ctypes.c_long


def pieces(fd: int) -> Iterator[list[bytes]]:
    """Yield the names from where the open directory stands, without `.` and `..`, at most 2048 at a time.

    On a machine whose call number is not known here the C library is asked.

    Raises:
        OSError: it cannot be listed.
    """
    if _NUMBER < 0:
        known = [os.fsencode(name) for name in os.listdir(fd)]
        yield from (known[start : start + _AT_ONCE] for start in range(0, len(known), _AT_ONCE))
        return
    buffer = ctypes.create_string_buffer(_BUFFER)
    address = ctypes.addressof(buffer)
    while size := _getdents64(_NUMBER, fd, address, _BUFFER):
        if size < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "getdents64")
        if found := _names(ctypes.string_at(address, size)):
            yield found


def names(fd: int, *, most: int = 1 << 20) -> list[bytes]:
    """Return the names of the open directory from its beginning; ends soon after `most` of them.

    Raises:
        OSError: it cannot be listed.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    found: list[bytes] = []
    for piece in pieces(fd):
        found += piece
        if len(found) > most:
            break
    os.lseek(fd, 0, os.SEEK_SET)  # others list through the same descriptor
    return found


def _names(data: bytes) -> list[bytes]:
    """Return the names of struct linux_dirent64 records (getdents64(2)); each begins at a multiple of 8."""
    found, at, size, index = [], 0, len(data), data.index
    halves = memoryview(data).cast("H")
    while at < size:
        name = data[at + _NAME_AT : index(0, at + _NAME_AT)]
        at += halves[(at >> 1) + 8]
        if name not in (b".", b".."):
            found.append(name)
    return found
