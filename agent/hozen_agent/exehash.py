"""The SHA-256 of running programs, read through /proc/PID/exe: the file that runs, also when it was deleted.

Each inode is read once. Nothing is opened that lies on a mount which may wait for another machine (agent-floor §2).
"""

from __future__ import annotations

import os
import stat as modes
import time
from dataclasses import dataclass
from errno import EFBIG, EINVAL, EREMOTE, ETIMEDOUT

from hozen_hashes.digest import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20


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
        tick: called between pieces, so that an epoch can close in time.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 1 << 30,
        seconds: float = 60.0,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.tick = tick
        self.max_bytes = max_bytes
        self.seconds = seconds
        self._spent = 0.0
        self._known: dict[tuple[int, int, int, int], str] = {}

    def of(self, at: int, target: bytes, local: frozenset[int]) -> Exe:
        """Return what runs in the process whose directory is `at`.

        Args:
            at: descriptor of /proc/PID.
            target: what its link `exe` says.
            local: identifiers of the mounts that may be read.

        Raises:
            OSError: it cannot be opened, or lies on a mount that is not read (EREMOTE).
        """
        pinned = os.open(b"exe", os.O_PATH | os.O_CLOEXEC, dir_fd=at)
        try:
            # A memory file has no mount of its own in any table.
            if _mount_id(pinned) not in local and not target.startswith(b"/memfd:"):
                raise OSError(
                    EREMOTE, "on a mount that may wait for another machine, or is unknown"
                )
            found = os.fstat(pinned)
        finally:
            os.close(pinned)
        if not modes.S_ISREG(found.st_mode):
            raise OSError(EINVAL, "not a regular file")
        digest, reason = self._digest(at, found)
        return Exe(
            device=found.st_dev,
            inode=found.st_ino,
            size=found.st_size,
            links=found.st_nlink,
            sha256=digest,
            reason=reason,
        )

    def _digest(self, at: int, found: os.stat_result) -> tuple[str | None, str]:
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if key in self._known:
            return self._known[key], ""
        if found.st_size > self.max_bytes:
            return None, f"larger than {self.max_bytes} bytes"
        begun = time.monotonic()
        try:
            digest = self._read(at, found, self.seconds - self._spent)
        except OSError as error:
            return None, error.strerror or "not readable"
        finally:
            self._spent += time.monotonic() - begun
        self._known[key] = digest
        return digest, ""

    def _read(self, at: int, found: os.stat_result, seconds: float) -> str:
        until = time.monotonic() + seconds
        fd = _open_exe(at)
        try:
            again = os.fstat(fd)
            if (again.st_dev, again.st_ino) != (found.st_dev, found.st_ino):
                raise OSError(EINVAL, "the process started another program meanwhile")
            digest = Digest()
            while data := os.read(fd, _CHUNK):
                digest.update(data)
                self.tick()
                if digest.size > found.st_size + _CHUNK:
                    raise OSError(EFBIG, "the file grew while it was read")
                if time.monotonic() > until:
                    raise OSError(ETIMEDOUT, "the time for hashing programs was used up")
            return digest.hexdigest()
        finally:
            os.close(fd)


def _open_exe(at: int) -> int:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        return os.open(b"exe", flags | os.O_NOATIME, dir_fd=at)
    except PermissionError:  # O_NOATIME is for the owner and root
        return os.open(b"exe", flags, dir_fd=at)


def _mount_id(fd: int) -> int:
    """Return the mount an open file lies on (proc_pid_fdinfo(5)), -1 when the kernel does not say."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        for line in file.read(4096).split(b"\n"):
            if line.startswith(b"mnt_id:"):
                return int(line[7:])
    return -1
