"""Reads what processes hold, in the worker that may hang: the file behind a link of procfs, or only its hash.

A request names the process by number and start time and the file by device and inode, so that neither a number given
to another process nor a descriptor opened again can be taken for what was meant. Only regular files are opened.
"""

from __future__ import annotations

import os
import stat as modes
import time
from typing import TYPE_CHECKING, Final

from hozen_agent.proc import procdir
from hozen_agent.proc.sweep import read_some
from hozen_agent.reading.endings import STATX, Fields
from hozen_agent.redaction import withheld
from hozen_agent.workers.ring import STAT, Code, Flag, Kind
from hozen_agent.workers.worker import SMALL, FileWorker
from hozen_hashes.digest import Digest

if TYPE_CHECKING:
    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.ring import Producer

_PIECE: Final = 1 << 20
_GONE: Final = b" (deleted)"
_PARTS: Final = 5


class ProcessWorker(FileWorker):
    """Answers requests about links of procfs, one item after another.

    Attributes:
        proc: descriptor of the procfs directory.
    """

    __slots__ = ("proc",)

    def __init__(self, opener: Opener, out: Producer, proc: int) -> None:
        super().__init__(opener, out)
        self.proc = proc

    def held(self, name: bytes, *, max_bytes: int, newest: bool) -> None:
        """The content of the file behind a link is answered."""
        pinned, at = self._pin(name)
        if pinned < 0:
            return
        try:
            target = self._target(name)
            self._keys = withheld.key_place(target.rpartition(b"/")[0])
            if withheld.may_hold_hashes(target):
                self._fields(pinned, Fields.IF_HASHED)
                return
            _, _, size, blocks = STATX.unpack_from(self._memory, at)
            self._regular(pinned, at, size, blocks, max_bytes, newest=newest, pseudo=False)
        finally:
            os.close(pinned)

    def hashed(self, name: bytes, *, max_bytes: int) -> None:
        """The SHA-256 of the file behind a link is answered, as 64 letters in place of its content."""
        pinned, at = self._pin(name)
        if pinned < 0:
            return
        try:
            stat = bytes(self._view[at : at + STAT])
            until = time.monotonic() + int(name.split(b" ", _PARTS - 1)[3]) / 1000
            fd, kept = self.opener.content(pinned)
            try:
                digest, reason = self._digest(fd, stat, max_bytes, until)
            finally:
                os.close(fd)
        except OSError as error:
            self._end_by(error, "open")
            return
        finally:
            os.close(pinned)
        if reason:
            self._end(Code.FAILED, reason)
        else:
            self.out.put(Kind.WHOLE, Code.OK, 0 if kept else Flag.ATIME, stat + digest.encode())

    def text(self, name: bytes, *, max_bytes: int) -> None:
        """A text that the kernel makes is answered; reading it may wait for a lock of its process."""
        start, _, _, _, path = name.split(b" ", _PARTS - 1)
        pid, _, rest = path.removeprefix(b"/proc/").partition(b"/")
        try:
            process = procdir.open_process(self.proc, int(pid), int(start))
            try:
                fd = os.open(rest, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=process)
            finally:
                os.close(process)
        except ProcessLookupError as error:
            self._end(Code.MISSING, error.strerror or "the process ended")
            return
        except OSError as error:
            self._end_by(error, "open")
            return
        try:
            data, number = read_some(fd, max_bytes)
            self.begin(fd)
        finally:
            os.close(fd)
        self._bytes(data)
        code = Code.OK if not number else Code.TRUNCATED if data else Code.FAILED
        self._end(code, os.strerror(number) if number else "")

    def _digest(self, fd: int, stat: bytes, most: int, until: float) -> tuple[str, str]:
        """Return the hash, or why there is none."""
        digest, piece = Digest(), memoryview(bytearray(_PIECE))
        drop = self._must_drop(fd)
        while got := self._read_piece(fd, piece, digest.size, stat):
            digest.update(piece[:got])
            self.out.put(Kind.ALIVE, Code.OK, 0, b"")
            if digest.size > most:
                return "", f"larger than {most} bytes"
            if time.monotonic() > until:
                return "", "the time for hashing programs was used up"
        if drop:
            os.posix_fadvise(fd, 0, digest.size, os.POSIX_FADV_DONTNEED)
        return digest.hexdigest(), ""

    def _pin(self, name: bytes) -> tuple[int, int]:
        """Return the pinned file, a regular one, and where its stat lies; (-1, -1) when the request is answered."""
        start, device, inode, _, path = name.split(b" ", _PARTS - 1)
        pid, _, rest = path.removeprefix(b"/proc/").partition(b"/")
        try:
            process = procdir.open_process(self.proc, int(pid), int(start))
            try:
                pinned = os.open(rest, procdir.PIN, dir_fd=process)
            finally:
                os.close(process)
        except ProcessLookupError as error:
            self._end(Code.MISSING, error.strerror or "the process ended")
            return -1, -1
        except OSError as error:
            self._end_by(error, "open")
            return -1, -1
        at = self.out.reserve(STAT + SMALL + STAT)
        try:
            self.opener.stat_into(pinned, self.out.shared.address + at)
        except OSError as error:
            os.close(pinned)
            self._end_by(error, "stat")
            return -1, -1
        mode, found, _, _ = STATX.unpack_from(self._memory, at)
        where = (
            int.from_bytes(self._view[at + 136 : at + 140], "little"),
            int.from_bytes(self._view[at + 140 : at + 144], "little"),
        )
        if not modes.S_ISREG(mode) or (os.makedev(*where), found) != (int(device), int(inode)):
            os.close(pinned)
            self._end(Code.MISSING, "the link leads to another file by now")
            return -1, -1
        return pinned, at

    def _target(self, name: bytes) -> bytes:
        """Return what the link says, without its ending; the rules of names are asked about it."""
        try:
            target = os.readlink(
                name.split(b" ", _PARTS - 1)[4].removeprefix(b"/proc/"), dir_fd=self.proc
            )
        except OSError:
            return b""
        return target.removesuffix(_GONE)

    def begin(self, fd: int) -> None:
        """Content follows that is made here, of the open file `fd`."""
        at = self.out.reserve(STAT)
        self.opener.stat_into(fd, self.out.shared.address + at)
        self.out.commit(Kind.BEGIN, Code.OK, 0, STAT)

    def ended(self, code: Code, reason: str) -> None:
        """The item ends."""
        self._end(code, reason)

    def failed(self, error: OSError, step: str) -> None:
        """The item ends with what the system said."""
        self._end_by(error, step)
