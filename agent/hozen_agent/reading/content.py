"""The content of files that do not fit into one record, piece by piece: long ones, sparse ones, those of the kernel."""

from __future__ import annotations

import errno
import os
from typing import Final

from hozen_agent import syscalls
from hozen_agent.reading import sparse
from hozen_agent.reading.endings import STATX, Answers
from hozen_agent.redaction import withheld
from hozen_agent.workers.ring import FIRST, HEAD, SLOT, STAT, Code, Flag, Kind

_DROP_EVERY: Final = 32 << 20
_LEAST_ROOM: Final = 64 << 10
_HEAD: Final = 4096  # looked at for a secret
_LOOKED: Final = 64 << 10  # the same where keys are kept
_MTIME_AT: Final = 112


class Content(Answers):
    """Reads what is long."""

    __slots__ = ()

    def _stream(
        self, fd: int, at: int, size: int, max_bytes: int, flags: int, *, newest: bool, pseudo: bool
    ) -> None:  # fmt: skip
        """A file beyond SMALL goes through the ring piece by piece, up to the size it had when it was opened."""
        stat = bytes(self._view[at : at + STAT])
        if self._secret_head(fd, at):
            return
        wanted = min(size, max_bytes)
        start = size - wanted if newest else 0
        self.out.put(Kind.BEGIN, Code.OK, flags, stat)
        drop = not pseudo and self._must_drop(fd)
        done, reason = self._copy(fd, start, wanted, stat, drop=drop)
        code = Code.OK
        if reason:
            code = Code.TRUNCATED if done else Code.FAILED
        elif done < wanted and not pseudo:
            code, reason = (
                Code.TRUNCATED,
                f"the file ended at byte {start + done} of {size} while it was read",
            )
        elif pseudo and done == size:
            code, reason = Code.TRUNCATED, f"bytes from {done} on are left out by the limit"
        elif wanted < size:
            gone = (0, start) if newest else (wanted, size)
            code, reason = (
                Code.TRUNCATED,
                f"bytes {gone[0]} to {gone[1]} of {size} are left out by the limit",
            )
        self._finish(fd, stat, code, reason)

    def _secret_head(self, fd: int, at: int) -> bool:
        """Return True when the first bytes are those of a secret, whatever part was asked for."""
        try:
            head = os.pread(fd, _LOOKED if self._keys else _HEAD, 0)
        except OSError:
            return False  # the read proper will say why
        suspect = head and (head[0] in withheld.SUSPECT or self._keys)
        why = withheld.by_content(head, anywhere=self._keys) if suspect else ""
        if why:
            self._end(Code.WITHHELD, why, stat=at)
        return bool(why)

    def _copy(
        self, fd: int, start: int, wanted: int, stat: bytes, *, drop: bool
    ) -> tuple[int, str]:
        """Return how many bytes went into the ring and, after an error, the reason."""
        out, done, dropped = self.out, 0, 0
        while done < wanted:
            room = out.limit - out.position - HEAD.size
            if room < min(_LEAST_ROOM, wanted - done):
                out.roll()
                room = SLOT - FIRST - HEAD.size
            at = out.position + HEAD.size
            size = min(room & ~7, wanted - done)
            try:
                got = self._read_piece(fd, self._view[at : at + size], start + done, stat)
            except OSError as error:
                return done, f"read: {os.strerror(error.errno or 0)} at byte {start + done}"
            if not got:
                break
            out.commit(Kind.DATA, Code.OK, 0, got)
            done += got
            if drop and done - dropped >= _DROP_EVERY:
                os.posix_fadvise(fd, start, done, os.POSIX_FADV_DONTNEED)
                dropped = done
        if drop:
            os.posix_fadvise(fd, start, done, os.POSIX_FADV_DONTNEED)
        return done, ""

    def _read_piece(self, fd: int, into: memoryview, offset: int, stat: bytes) -> int:
        device = int.from_bytes(stat[136:144], "little")
        flags = self._dontcache.get(device, syscalls.RWF_DONTCACHE)
        try:
            return os.preadv(fd, [into], offset, flags)
        except OSError as error:
            if error.errno in {errno.ESPIPE, errno.EOPNOTSUPP, errno.EINVAL} and flags:
                self._dontcache[device] = 0
                return os.preadv(fd, [into], offset)
            raise

    def _must_drop(self, fd: int) -> bool:
        """Return whether pages are to be dropped by hand: no uncached reads here, and the host had none cached."""
        st = os.fstat(fd)
        device = os.major(st.st_dev) | os.minor(st.st_dev) << 32
        if self._dontcache.get(device, 1):
            return False
        try:
            return syscalls.cached_pages(fd) == 0
        except OSError:
            return False  # unknown: what the host keeps in memory is not thrown out

    def _sparse(self, fd: int, at: int, size: int, max_bytes: int, flags: int) -> None:
        """The extents of a sparse file go through the ring as a tar."""
        stat = bytes(self._view[at : at + STAT])
        if self._secret_head(fd, at):
            return
        try:
            found, more = sparse.extents(fd, size)
        except OSError:
            self._stream(fd, at, size, max_bytes, flags, newest=False, pseudo=False)
            return
        kept = sparse.within(found, max_bytes)
        held = sum(length for _, length in kept)
        table = sparse.stored_map(kept, size)
        mode, *_ = STATX.unpack_from(stat)
        mtime = int.from_bytes(stat[_MTIME_AT : _MTIME_AT + 8], "little", signed=True)
        head = sparse.header("content", size=size, stored=len(table) + held, mode=mode, mtime=mtime)
        self.out.put(Kind.BEGIN, Code.OK, flags | Flag.SPARSE, stat)
        self._bytes(head + table)
        for start, length in kept:
            done, reason = self._copy(fd, start, length, stat, drop=False)
            if done < length:
                self._finish(
                    fd,
                    stat,
                    Code.TRUNCATED,
                    reason or f"the file became shorter at byte {start + done}",
                )
                return
        self._bytes(sparse.padding(held) + sparse.end())
        reason = ""
        if more or held < sum(length for _, length in found):
            beyond = sum(kept[-1]) if kept else 0
            reason = f"data beyond byte {beyond} of {size} is left out by the limit"
        self._finish(fd, stat, Code.TRUNCATED if reason else Code.OK, reason)
