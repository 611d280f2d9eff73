"""Small helpers of a worker's job: a regular file opened as safely as any evidence, read whole or hashed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat as modes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent import syscalls
from hozen_agent.filetree import listing
from hozen_agent.reading import safeopen

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_agent.reading.safeopen import Opener

_PIECE: Final = 1 << 20
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC


def open_regular(opener: Opener, path: bytes) -> int:
    """Return a descriptor to read a regular file; no link is followed, nothing else is opened.

    Raises:
        OSError: as open(2); EINVAL when it is no regular file.
        RefusedError: it lies on a mount to stay out of.
    """
    parent, _, name = path.rpartition(b"/")
    pinned = os.open(name, safeopen.PIN, dir_fd=opener.enter(parent))
    try:
        mount = opener.mount_of(pinned)
        if mount != opener.here_mount:
            opener.crossed(mount)
        if not modes.S_ISREG(os.fstat(pinned).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return opener.content(pinned)[0]
    finally:
        os.close(pinned)


def read(opener: Opener, path: bytes, *, most: int) -> bytes:
    """Return a file's bytes, at most `most`.

    Raises:
        OSError, RefusedError: as open_regular; EFBIG when there are more.
    """
    with open(open_regular(opener, path), "rb", buffering=0) as file:
        parts, left = [], most + 1
        while left > 0 and (part := file.read(min(left, _PIECE))):
            parts.append(part)
            left -= len(part)
    if left <= 0:
        raise OSError(errno.EFBIG, f"larger than {most} bytes")
    return b"".join(parts)


def names(opener: Opener, directory: bytes) -> list[bytes]:
    """Return the sorted names in a directory.

    Raises:
        OSError, RefusedError: as Opener.enter.
    """
    pinned = opener.enter(directory)
    try:
        fd = os.open(b".", _LIST | opener.noatime, dir_fd=pinned)
    except PermissionError:
        fd = os.open(b".", _LIST, dir_fd=pinned)
    try:
        return sorted(listing.names(fd))
    finally:
        os.close(fd)


@dataclass(slots=True)
class Hashed:
    """What reading a file gave.

    Attributes:
        other: by the algorithm that was asked for beside SHA-256, or an empty string.
        changed: size, mtime or ctime differ after the last byte.
    """

    sha256: str
    other: str
    size: int
    changed: bool


class Hasher:
    """Reads files for their hashes, leaving the page cache as it was where the kernel can."""

    def __init__(self, opener: Opener, breathe: Callable[[], None]) -> None:
        self._opener = opener
        self._breathe = breathe
        self._buffer = memoryview(bytearray(_PIECE))
        self._flags: dict[int, int] = {}

    def of(self, path: bytes, other: str = "") -> Hashed:
        """Return SHA-256 and, of the same bytes in the same read, the hash by the algorithm `other`.

        Raises:
            OSError, RefusedError: as open_regular.
        """
        fd = open_regular(self._opener, path)
        try:
            before = os.fstat(fd)
            ours = hashlib.sha256()
            theirs = hashlib.new(other, usedforsecurity=False) if other and other != "sha256" else None  # fmt: skip
            done = 0
            drop = self._flags.get(before.st_dev, 1) == 0 and _uncached(fd)
            while done < before.st_size and (got := self._piece(fd, done, before.st_dev)):
                ours.update(self._buffer[:got])
                if theirs is not None:
                    theirs.update(self._buffer[:got])
                done += got
                self._breathe()
            if drop:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        mine = ours.hexdigest()
        changed = any(
            getattr(before, key) != getattr(after, key)
            for key in ("st_size", "st_mtime_ns", "st_ctime_ns")
        )
        beside = theirs.hexdigest() if theirs is not None else mine if other else ""
        return Hashed(mine, beside, done, changed)

    def _piece(self, fd: int, offset: int, device: int) -> int:
        flags = self._flags.get(device, syscalls.RWF_DONTCACHE)
        try:
            return os.preadv(fd, [self._buffer], offset, flags)
        except OSError as error:
            if not flags or error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
        self._flags[device] = 0
        return os.preadv(fd, [self._buffer], offset)


def _uncached(fd: int) -> bool:
    try:
        return syscalls.cached_pages(fd) == 0
    except OSError:
        return False  # unknown: what the host keeps in memory is not thrown out
