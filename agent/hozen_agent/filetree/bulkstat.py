"""statx(2) of many names of one directory in one stroke of the interpreter."""

from __future__ import annotations

import ctypes
import struct
from functools import partial
from itertools import count, repeat
from typing import TYPE_CHECKING, Final

from hozen_agent import syscalls
from hozen_agent.filetree.treewalk import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# mask, attributes, links, uid, gid, mode, inode, size, then access, birth, attribute change, content change as (s, ns)
Row = tuple[int, ...]

REGULAR, DIRECTORY, LINK = 0o10, 0o4, 0o12  # st_mode without its lower 12 bits
DEVICES: Final = struct.Struct("<IIII")
DEVICES_AT: Final = 128
_ROW: Final = struct.Struct("<I4xQIIIH2xQQ16x" + "qI4x" * 4 + "128x")
_FLAGS: Final = (
    syscalls.AT_SYMLINK_NOFOLLOW | syscalls.AT_NO_AUTOMOUNT | syscalls.AT_STATX_DONT_SYNC
)


class BulkStat:
    """Asks for at most AT_ONCE names at a time.

    Attributes:
        buffer: the answers of the last call, one struct statx after another.
        vanished: names that were gone or refused, so far.
    """

    __slots__ = ("_places", "_statx", "buffer", "vanished")

    def __init__(self) -> None:
        self.buffer = bytearray(syscalls.STATX_SIZE * AT_ONCE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.buffer))
        places = range(base, base + len(self.buffer), syscalls.STATX_SIZE)
        self._places = [ctypes.c_void_p(place) for place in places]
        self._statx = syscalls.quick_statx() or _by_number()
        self.vanished = 0

    def of(self, fd: int, names: list[bytes]) -> Iterable[tuple[int, bytes, Row]]:
        """Return (place in the buffer, name, what statx says) of each name that is still there."""
        results = list(
            map(self._statx, repeat(fd), names, repeat(_FLAGS), repeat(syscalls.STATX_ALL), self._places)
        )  # fmt: skip
        used = memoryview(self.buffer)[: syscalls.STATX_SIZE * len(names)]
        rows = zip(count(0, syscalls.STATX_SIZE), names, _ROW.iter_unpack(used), strict=False)
        if not any(results):
            return rows
        self.vanished += sum(map(bool, results))
        return [row for row, failed in zip(rows, results, strict=False) if not failed]


def _by_number() -> Callable[..., int]:
    """Return the same call for a C library that has no wrapper."""
    number, statx = syscalls.raw_statx()
    return partial(statx, number)
