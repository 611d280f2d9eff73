"""Keeps what we write out of the host's page cache where the kernel cannot do it itself (before RWF_DONTCACHE, 6.14).

Pages of ours would push out pages of the host, and with them evidence in its memory. Works on every file system, without
the alignment that O_DIRECT asks for: a window is sent to the medium, the one before it is waited for and dropped.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 4 << 20
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
_PAGE: Final = 4096
_call = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
if _call is not None:
    _call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


@dataclass(slots=True)
class WriteBehind:
    """Follows the appending to one file.

    Attributes:
        dropped: everything before this offset was let go.
        sent: everything before this offset is on its way.
    """

    dropped: int = 0
    sent: int = 0

    def appended(self, fd: int, end: int) -> None:
        """The file now ends at `end`; let go what is a window behind."""
        if end - self.sent < WINDOW:
            return
        _range(fd, self.sent, end, _WRITE)
        if self.sent > self.dropped:
            _range(fd, self.dropped, self.sent, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
            self._drop(fd, self.sent)
        self.sent = end

    def synced(self, fd: int, end: int) -> None:
        """Everything up to `end` is durable: let it go."""
        self._drop(fd, end)
        self.sent = max(self.sent, self.dropped)

    def _drop(self, fd: int, end: int) -> None:
        end -= end % _PAGE  # a page that is still appended to stays
        if end > self.dropped:
            with suppress(OSError):
                os.posix_fadvise(fd, self.dropped, end - self.dropped, os.POSIX_FADV_DONTNEED)
            self.dropped = end


def _range(fd: int, start: int, end: int, flags: int) -> None:
    """Ask the kernel; where it cannot, the next sync does the work, and reports what failed."""
    if _call is not None:
        _call(fd, start, end - start, flags)
