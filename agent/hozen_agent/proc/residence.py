"""Which pages of another process's memory are there: only those are read, so that nothing is loaded for our sake.

A page that is not there would be fetched by the read: from a file, perhaps of a dead server, or by another program
(userfaultfd(2)). PAGEMAP_SCAN (Linux 6.7) tells whole ranges; before, /proc/PID/pagemap has eight bytes a page.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = 4096
MOST_PAGES: Final = 16 << 20  # of 4 KiB, looked at one by one
_SCAN: Final = 0xC060_6610  # _IOWR('f', 16, struct pm_scan_arg)
_ARGUMENT: Final = struct.Struct("<12Q")
_THERE: Final = (1 << 3) | (1 << 4)  # present, swapped
_REGIONS: Final = 512
_AT_ONCE: Final = 8192
_PRESENT, _SWAPPED = 1 << 63, 1 << 62


class TooLargeError(Exception):
    """The range has more pages than are looked at one by one."""


class Residence:
    """Answers for one process through its open pagemap."""

    __slots__ = ("_fd", "_left", "_scan")

    def __init__(self, fd: int, *, scan: bool = True) -> None:
        self._fd = fd
        self._scan = scan
        self._left = MOST_PAGES

    def of(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the stretches that are in memory or swapped out, in order.

        Raises:
            TooLargeError: nobody can say in time.
            OSError: the process ended, or its page map may not be read.
        """
        if self._scan:
            try:
                yield from self._scanned(start, end)
            except OSError as error:
                if error.errno not in _UNKNOWN:
                    raise
                self._scan = False
            else:
                return
        yield from self._read(start, end)

    def _scanned(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        regions = (ctypes.c_uint64 * (3 * _REGIONS))()
        while start < end:
            argument = bytearray(
                _ARGUMENT.pack(
                    _ARGUMENT.size, 0, start, end, 0, ctypes.addressof(regions), _REGIONS, 0, 0, 0, _THERE, _THERE
                )
            )  # fmt: skip
            count = fcntl.ioctl(self._fd, _SCAN, argument, True)
            for place in range(count):
                yield regions[3 * place], regions[3 * place + 1]
            reached = _ARGUMENT.unpack(argument)[4]
            if count < _REGIONS or reached <= start:
                return
            start = reached

    def _read(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        self._left -= (end - start) // PAGE
        if self._left < 0:
            raise TooLargeError
        begun = -1
        while start < end:
            data = os.pread(self._fd, min(_AT_ONCE, (end - start) // PAGE) * 8, start // PAGE * 8)
            entries = array("Q", data[: len(data) // 8 * 8])
            if not entries:
                break
            for entry in entries:
                there = entry & (_PRESENT | _SWAPPED)
                if there and begun < 0:
                    begun = start
                elif not there and begun >= 0:
                    yield begun, start
                    begun = -1
                start += PAGE
        if begun >= 0:
            yield begun, start


_UNKNOWN: Final = frozenset({22, 25, 95})  # EINVAL, ENOTTY, EOPNOTSUPP: a kernel before 6.7
