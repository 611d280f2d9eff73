"""Appends to a file past the page cache (O_DIRECT), in whole blocks from one aligned buffer.

For kernels without RWF_DONTCACHE (6.14): pages that we fill push out pages of the host, and change free memory that a
memory image is about to be made of. What is less than a block goes the usual way when it must be durable, is dropped
from the cache, and is written again with its block later.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from typing import Final

BLOCK: Final = 4096  # the largest logical block of mediums in use
SIZE: Final = 1 << 20
_NOT_DIRECT: Final = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}


class DirectFile:
    """The end of one file that is only appended to.

    Attributes:
        direct: whether the file system still takes whole blocks past the cache.
    """

    def __init__(self, fd: int) -> None:
        """Follow `fd`, an empty file open for writing."""
        self._fd = fd
        self._buffer = mmap.mmap(-1, SIZE)  # page aligned; ours, not evidence
        self._held = 0
        self._offset = 0
        self.direct = self._switch(on=True)

    def write(self, view: memoryview) -> int:
        """Return how many bytes were taken; they are in the file after `flush`.

        Raises:
            OSError: the medium refuses.
        """
        count = min(len(view), SIZE - self._held)
        self._buffer[self._held : self._held + count] = bytes(view[:count])
        self._held += count
        if self._held == SIZE:
            self._whole_blocks()
        return count

    def flush(self) -> None:
        """Everything is handed to the file; fdatasync(2) makes it durable.

        Raises:
            OSError: the medium refuses.
        """
        self._whole_blocks()
        if self._held:
            self._switch(on=False)
            self._put(self._held)
            self._switch(on=self.direct)

    def let_go(self) -> None:
        """Drop what was written the usual way; call this after fdatasync(2)."""
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Give the buffer back; the file stays open."""
        self._buffer.close()

    def _whole_blocks(self) -> None:
        whole = self._held - self._held % BLOCK
        if not whole:
            return
        self._put(whole)
        self._held -= whole
        if self._held:
            self._buffer.move(0, whole, self._held)
        self._offset += whole

    def _put(self, count: int) -> None:
        """Write the first `count` bytes of the buffer at its place in the file."""
        done = 0
        with memoryview(self._buffer) as view:
            while done < count:
                try:
                    done += os.pwritev(self._fd, [view[done:count]], self._offset + done)
                except OSError as error:
                    if not self.direct or error.errno not in _NOT_DIRECT:
                        raise
                    self.direct = self._switch(on=False)
                    continue
                if (
                    self.direct and done < count and done % BLOCK
                ):  # a short write: the rest does not begin at a block
                    self.direct = self._switch(on=False)

    def _switch(self, *, on: bool) -> bool:
        """Return whether the file is now written past the cache."""
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        try:
            fcntl.fcntl(
                self._fd, fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT
            )
        except OSError:  # the file system has no such way
            return False
        return on
