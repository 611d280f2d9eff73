"""Standard error that never makes the work wait: what a stopped terminal or a full pipe does not take is dropped.

A person who pressed Ctrl-S, or a pipe whose reader sleeps, would otherwise hold the capture at its next line.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PIECE = 256  # a terminal that answers POLLOUT takes as much


class Unblocked(io.RawIOBase):
    """Writes to the same place as descriptor 2, by an open of our own: the shell's descriptor keeps its mode.

    Attributes:
        patience: seconds that a line may wait; 0 while evidence is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patience = 0.0
        self._own = _opened()

    def writable(self) -> bool:
        """It takes what is written."""
        return True

    def isatty(self) -> bool:
        """Return whether a person may be looking."""
        return os.isatty(2)

    def fileno(self) -> int:
        """Return the number that stands for standard error."""
        return 2

    def write(self, data: Buffer, /) -> int:
        """Return the size of `data`, of which as much was written as the other side takes now."""
        view = memoryview(data).cast("B")
        size = len(view)
        while len(view):
            if not _ready(self._own, self.patience):
                return size  # dropped: talk is lost, evidence is not
            try:
                view = view[os.write(self._own, view[:_PIECE]) :]
            except BlockingIOError:
                return size
        return size


def unblock() -> Unblocked | None:
    """Standard error waits for nobody from now on; None when there is none."""
    if sys.stderr is None:
        return None
    raw = Unblocked()
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    sys.stderr = io.TextIOWrapper(
        raw,
        encoding=encoding,
        errors="backslashreplace",
        write_through=True,
    )
    return raw


def _opened() -> int:
    """Return a descriptor with O_NONBLOCK of its own; 2 itself where the system refuses one."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_APPEND
    try:
        return os.open("/proc/self/fd/2", flags)
    except OSError:
        return 2


def _ready(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(what & select.POLLOUT for _, what in poll.poll(seconds * 1000))
