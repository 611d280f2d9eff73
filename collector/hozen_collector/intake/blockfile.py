"""Writes a growing file past the page cache (O_DIRECT): a large ingest neither stalls in fsync nor evicts others.

Falls back to buffered writes with sync_file_range where the file system refuses O_DIRECT (collector research §0).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_hashes.buffers import Buffer

BLOCK: Final = 4096
BUFFER: Final = 1 << 20
_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE
_RANGE_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def reserve(descriptor: int, length: int) -> None:
    """Set room for `length` bytes aside without changing the file's size.

    Raises:
        OSError: ENOSPC and the like; a file system that cannot reserve is passed over.
    """
    if _libc.fallocate(descriptor, _KEEP_SIZE, 0, length) != 0:
        number = ctypes.get_errno()
        if number not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise OSError(number, os.strerror(number))


class BlockFile:
    """An open file that takes bytes from `offset` on. Methods block; OSError comes through as it is."""

    def __init__(self, path: Path, offset: int) -> None:
        self._direct = True
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._direct = False
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._memory = mmap.mmap(-1, BUFFER)
        self._buffer = memoryview(self._memory)
        self._position = offset - offset % BLOCK  # where the buffer's first byte belongs
        self._fill = offset % BLOCK
        try:
            self._load_head(path)
        except OSError:
            self.close()
            raise

    @property
    def written(self) -> int:
        """End of what was handed to the kernel; `flush` makes it durable."""
        return self._position

    @property
    def end(self) -> int:
        """End of what was taken, the part in the buffer included."""
        return self._position + self._fill

    def write(self, data: Buffer) -> None:
        """Take `data`; whole blocks go out as the buffer fills."""
        view = memoryview(data)
        while view:
            part = view[: BUFFER - self._fill]
            self._buffer[self._fill : self._fill + len(part)] = part
            self._fill += len(part)
            view = view[len(part) :]
            if self._fill == BUFFER:
                self._write_blocks()

    def flush(self) -> int:
        """Make everything but an unfinished last block durable; return the end of what is."""
        self._write_blocks()
        os.fdatasync(self._fd)
        return self._position

    def finish(self) -> int:
        """Make everything that was taken durable; return the end of it. Nothing may be written afterwards."""
        self._write_blocks()
        if self._fill:
            if self._direct:
                flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
                fcntl.fcntl(self._fd, fcntl.F_SETFL, flags & ~os.O_DIRECT)
            self._write_out(self._fill)
        os.fdatasync(self._fd)
        return self.end

    def close(self) -> None:
        """Give descriptor and memory back; what was not flushed is not durable. May be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._buffer.release()
            self._memory.close()

    def _load_head(self, path: Path) -> None:
        """Fill the buffer with the bytes of the block in which we go on: O_DIRECT writes whole blocks."""
        if not self._fill:
            return
        with path.open("rb", buffering=0) as file:
            file.seek(self._position)
            have = file.readinto(self._buffer[: self._fill])
        if have != self._fill:
            raise OSError(errno.EIO, "an acknowledged part of the file is not there")

    def _write_blocks(self) -> None:
        whole = self._fill - self._fill % BLOCK
        if not whole:
            return
        self._write_out(whole)
        if not self._direct:
            _libc.sync_file_range(self._fd, self._position, whole, _RANGE_WRITE)
        rest = self._fill - whole
        self._buffer[:rest] = bytes(self._buffer[whole : self._fill])
        self._position += whole
        self._fill = rest

    def _write_out(self, count: int) -> None:
        done = 0
        while done < count:
            done += os.pwrite(self._fd, self._buffer[done:count], self._position + done)
            if self._direct and done % BLOCK and done < count:
                done -= done % BLOCK  # a short write ended within a block: write that block again
