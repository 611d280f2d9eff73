"""Goes through one directory tree on one mount, and gives each directory to a visitor; runs where it may hang.

No link is followed and no mount is crossed: a mount below is a tree of its own, so that a dead one costs only itself.
"""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from hozen_agent import syscalls
from hozen_agent.filetree import listing
from hozen_agent.filetree.bodyfile import escaped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hozen_agent.reading.safeopen import Opener

MAX_DEPTH: Final = 256
MAX_WAITING: Final = 200_000  # subdirectories of one directory that wait their turn
MAX_TOLD: Final = 200
AT_ONCE: Final = 2048
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_INSIDE: Final = (
    syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
)
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Visitor(Protocol):
    """What is done with the names of a directory."""

    def names(self, fd: int, path: bytes, shown: bytes, names: list[bytes]) -> list[bytes]:
        """Take at most AT_ONCE names of the open directory; return those that are directories to go into.

        `path` and `shown` (as the bodyfile spells it) are those of the directory, both ending in `/`.
        """

    def breathe(self) -> None:
        """What is ready may go to the supervisor; called between any two steps that take time."""


@dataclass(slots=True, kw_only=True)
class Walked:
    """What became of a tree.

    Attributes:
        left_out: what was not gone into and why, the first MAX_TOLD.
        refused: directories that could not be listed.
        stopped: why the walk ended before its end, or an empty string.
    """

    entries: int = 0
    directories: int = 0
    refused: int = 0
    left_out: list[tuple[bytes, str]] = field(default_factory=list)
    stopped: str = ""


class _EnoughError(Exception):
    """A bound was reached."""


class TreeWalk:
    """One pass over a tree."""

    __slots__ = ("_beyond", "_deadline", "_depth", "_most", "_opener", "_visitor", "walked")

    def __init__(
        self,
        opener: Opener,
        visitor: Visitor,
        *,
        most: int,
        seconds: float,
        depth: int = MAX_DEPTH,
        beyond: Collection[bytes] = (),
    ) -> None:
        """Prepare a walk of at most `most` entries, `seconds` and `depth` levels that stays out of `beyond`."""
        self._opener = opener
        self._visitor = visitor
        self._most = most
        self._deadline = time.monotonic() + seconds
        self._depth = min(depth, MAX_DEPTH)
        self._beyond = frozenset(beyond)
        self.walked = Walked()

    def run(self, tree: bytes) -> Walked:
        """The tree was walked, or the result says what was left out.

        Raises:
            OSError: the tree itself cannot be opened; ENOSYS before Linux 4.11.
            RefusedError: it lies on a mount to stay out of.
        """
        if not self._opener.statx:
            raise OSError(errno.ENOSYS, "statx: not known to this kernel")
        pinned = self._opener.enter(tree.rstrip(b"/"))
        fd = self._listable(pinned, b".")
        path = tree if tree.endswith(b"/") else tree + b"/"
        try:
            self._directory(fd, path, escaped(path), 1)
        except _EnoughError as bound:
            self.walked.stopped = str(bound)
        finally:
            os.close(fd)
        return self.walked

    def _directory(self, fd: int, path: bytes, shown: bytes, depth: int) -> None:
        self.walked.directories += 1
        waiting: list[bytes] = []
        try:
            for names in self._listed(fd):
                self._count(len(names), path)
                waiting += self._visitor.names(fd, path, shown, names)
                if len(waiting) > MAX_WAITING:
                    self._leave_out(path, f"more than {MAX_WAITING} directories in one")
                    del waiting[MAX_WAITING:]
        except OSError as error:
            self.walked.refused += 1
            self._leave_out(path, f"not listed to its end: {os.strerror(error.errno or 0)}")
        if depth >= self._depth:
            if waiting and self._depth == MAX_DEPTH:
                self._leave_out(path, f"deeper than {MAX_DEPTH} directories")
            return
        for name in waiting:
            self._enter(fd, path + name, shown, name, depth)

    @staticmethod
    def _listed(fd: int) -> Iterator[list[bytes]]:
        """Yield the names in pieces, so that a directory of millions needs no more memory than another."""
        yield from listing.pieces(fd)

    def _count(self, new: int, path: bytes) -> None:
        self._visitor.breathe()
        self.walked.entries += new
        if self.walked.entries > self._most:
            raise _EnoughError(f"more than {self._most} entries, at {_text(path)}")
        if time.monotonic() > self._deadline:
            raise _EnoughError(f"its time was over, at {_text(path)}")

    def _enter(self, fd: int, path: bytes, shown: bytes, name: bytes, depth: int) -> None:
        if path in self._beyond:
            return  # a tree of its own, or one that the supervisor left out
        try:
            opened = self._listable(fd, name)
        except OSError as error:
            if error.errno == errno.EXDEV:
                self._leave_out(path, "mounted since the table of mounts was read")
            elif error.errno not in _GONE:
                self.walked.refused += 1
                self._leave_out(path, os.strerror(error.errno or 0))
            return
        try:
            self._directory(opened, path + b"/", shown + escaped(name) + b"/", depth + 1)
        finally:
            os.close(opened)

    def _listable(self, fd: int, name: bytes) -> int:
        try:
            return self._open(fd, name, _LIST | self._opener.noatime)
        except PermissionError as error:
            if error.errno != errno.EPERM or not self._opener.noatime:
                raise
        return self._open(fd, name, _LIST)

    def _open(self, fd: int, name: bytes, flags: int) -> int:
        if self._opener.openat2:
            return syscalls.openat2(fd, name, flags, resolve=_INSIDE)
        return os.open(name, flags, dir_fd=fd)  # before Linux 5.6: `beyond` names every known mount

    def _leave_out(self, path: bytes, why: str) -> None:
        if len(self.walked.left_out) < MAX_TOLD:
            self.walked.left_out.append((path.rstrip(b"/") or b"/", why))


def _text(path: bytes) -> str:
    return ascii(os.fsdecode(path))[1:-1]
