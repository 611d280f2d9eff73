"""The SHA-256 of running programs, read through /proc/PID/exe: the file that runs, also when it was deleted.

Each inode is read once, by a worker that may hang in our place. Nothing is opened that lies on a mount which may wait
for another machine (agent-floor §2); here a program is only pinned, which has no effect on it.
"""

from __future__ import annotations

import os
import stat as modes
import time
from dataclasses import dataclass
from errno import EINVAL, EREMOTE
from typing import TYPE_CHECKING

from hozen_agent.context import FileRequest, Through
from hozen_agent.proc import procdir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_agent.items import Attempt, FileStat
    from hozen_agent.proc.leads import Holder, LocalMounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Exe:
    """A program file.

    Attributes:
        sha256: None when it was not read; `reason` says why.
        links: names that still lead to it; 0 means deleted, whatever its path looks like.
    """

    device: int
    inode: int
    size: int
    links: int
    sha256: str | None
    reason: str = ""


class ExeHashes:
    """Hashes program files within a size and a time.

    Attributes:
        max_bytes: a larger file is not read.
        seconds: what all hashing together may take.
    """

    def __init__(
        self,
        read: Callable[[Iterable[FileRequest]], Iterator[Attempt]],
        *,
        max_bytes: int = 1 << 30,
        seconds: float = 60.0,
    ) -> None:
        """Hash through `read`, the capture's reader of files."""
        self.max_bytes = max_bytes
        self.seconds = seconds
        self._read = read
        self._spent = 0.0
        self._known: dict[tuple[int, int, int, int], tuple[str | None, str]] = {}
        self._memory = procdir.memory_device()

    def of(self, at: int, holder: Holder, local: LocalMounts) -> Exe:
        """Return what runs in the process whose directory is `at`.

        Raises:
            OSError: it cannot be pinned, is no regular file, or lies on a mount that is not read (EREMOTE).
        """
        pinned = os.open(holder.name, procdir.PIN, dir_fd=at)
        try:
            found, mount = procdir.look(pinned)
        finally:
            os.close(pinned)
        # A memory file has no mount of its own in any table.
        if mount not in local.ids and found.dev != self._memory:
            raise OSError(EREMOTE, "on a mount that may wait for another machine, or is unknown")
        if not modes.S_ISREG(found.mode):
            raise OSError(EINVAL, "not a regular file")
        digest, reason = self._digest(holder, found)
        return Exe(
            device=found.dev,
            inode=found.ino,
            size=found.size,
            links=found.nlink,
            sha256=digest,
            reason=reason,
        )

    def _digest(self, holder: Holder, found: FileStat) -> tuple[str | None, str]:
        key = (found.dev, found.ino, found.size, found.mtime)
        if key in self._known:
            return self._known[key]
        if found.size > self.max_bytes:
            return None, f"larger than {self.max_bytes} bytes"
        if self._spent >= self.seconds:
            return None, "the time for hashing programs was used up"
        begun = time.monotonic()
        answer = self._ask(holder, found)
        self._spent += time.monotonic() - begun
        if answer[0] is not None or found.dev != self._memory:
            self._known[key] = answer  # also a failure: a file that hangs is asked for once
        return answer

    def _ask(self, holder: Holder, found: FileStat) -> tuple[str | None, str]:
        through = Through(
            pid=holder.pid,
            start_ticks=holder.start_ticks,
            inode=(found.dev, found.ino),
            hashed=True,
            seconds=self.seconds - self._spent,
        )
        path = b"/proc/%d/%b" % (holder.pid, holder.name)
        request = FileRequest(
            artifact="processes", path=path, max_bytes=self.max_bytes, through=through
        )
        for attempt in self._read([request]):
            for data in attempt.data or ():
                return bytes(data).decode("ascii"), ""
            return None, attempt.reason or "not readable"
        return None, "no reader answers"
