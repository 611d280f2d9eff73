"""Reads files in a process that may hang, and puts what it reads into the ring.

Nothing here knows artifacts, keys or the output. A request is a path; what comes back is a run of records, the last of
which ends the item.
"""

from __future__ import annotations

import errno
import os
import stat as modes
import struct
from typing import TYPE_CHECKING, Final

from hozen_agent import syscalls
from hozen_agent.reading import safeopen, sparse
from hozen_agent.reading.content import Content
from hozen_agent.reading.endings import STATX
from hozen_agent.redaction import withheld
from hozen_agent.workers.ring import HEAD, STAT, Code, Flag, Kind

if TYPE_CHECKING:
    from hozen_agent.reading.endings import Fields

SMALL: Final = 64 << 10  # read in one piece, stored in one record
PSEUDO_MAX: Final = 16 << 20  # of a file the kernel makes as it is read
_QUICK: Final = struct.Struct("<28xH10xQ88xQQ")  # mode, size, device (two numbers in one), mount id
_WHOLE_ROOM: Final = HEAD.size + STAT + SMALL + STAT
_STATX_FLAGS: Final = (
    syscalls.AT_EMPTY_PATH | syscalls.AT_NO_AUTOMOUNT | syscalls.AT_STATX_DONT_SYNC
)
# Plain numbers: an enumeration's attribute costs more than the read of a small file leaves.
_WHOLE, _OK, _TRUNCATED = int(Kind.WHOLE), int(Code.OK), int(Code.TRUNCATED)
_CHANGED, _ATIME = int(Flag.CHANGED), int(Flag.ATIME)
_STATX_NUMBER, _STATX = syscalls.raw_statx()


class FileWorker(Content):
    """Answers file requests, one item after another."""

    __slots__ = ()

    def items(self, paths: list[bytes], *, max_bytes: int, newest: bool) -> None:
        """Requests for content are answered; the common small file here in one go, all others by `item`."""
        opener, out = self.opener, self.out
        largest = min(SMALL, max_bytes) if opener.statx else -1
        here, directory, mount = b"\0", -1, -1
        for path in paths:
            cut = path.rfind(b"/")
            if path[:cut] != here or cut + 1 == len(path):
                try:
                    directory = opener.enter(path[:cut])
                except (OSError, safeopen.RefusedError):
                    self.item(path, max_bytes=max_bytes, newest=newest)
                    continue
                here = path[:cut]
                self._keys = withheld.key_place(here)
                mount = -1 if opener.here_mount in opener.table.pseudo_ids else opener.here_mount
            try:
                pinned = os.open(path[cut + 1 :] or b".", safeopen.PIN, dir_fd=directory)
            except OSError as error:
                self._end_by(error, "open")
                continue
            if out.position + _WHOLE_ROOM > out.limit:
                out.roll()
            try:
                if not self._small(pinned, out.position + HEAD.size, largest, mount):
                    self._pinned(pinned, path, max_bytes, newest=newest, metadata=False)
            finally:
                os.close(pinned)

    def _small(self, pinned: int, at: int, largest: int, mount: int) -> bool:
        """Return True when the pinned file was a small regular one on `mount` and is answered."""
        memory, base, statx = self._memory, self.out.shared.address, _STATX
        if statx(_STATX_NUMBER, pinned, b"", _STATX_FLAGS, syscalls.STATX_ALL, base + at) < 0:
            return False
        mode, size, device, mount_id = _QUICK.unpack_from(memory, at)
        if mode & 0o170000 != modes.S_IFREG or size > largest or mount_id != mount:
            return False
        data = at + STAT
        fd = -1
        try:
            try:
                fd = os.open(
                    b"%d" % pinned,
                    safeopen.CONTENT | self.opener.noatime,
                    dir_fd=self.opener.self_fd,
                )
                uncached = self._dontcache.get(device, syscalls.RWF_DONTCACHE)
                got = os.preadv(fd, [self._view[data : data + size]], 0, uncached) if size else 0
            except OSError:
                return False  # the careful way finds out why
            suspect = got and (memory[data] in withheld.SUSPECT or self._keys)
            if suspect and self._is_key(at, data, got):
                return True
            later = data + got
            if (
                got != size
                or statx(_STATX_NUMBER, fd, b"", _STATX_FLAGS, syscalls.STATX_ALL, base + later) < 0
                or memory[at + 32 : at + 128] != memory[later + 32 : later + 128]
            ):
                self._whole(fd, at, size, 0)
            else:
                self.out.commit(_WHOLE, _OK, 0, STAT + got)
        finally:
            if fd >= 0:
                os.close(fd)
        return True

    def item(
        self,
        path: bytes,
        *,
        max_bytes: int,
        newest: bool,
        metadata: bool = False,
        fields: Fields | None = None,
    ) -> None:
        """One request is answered by records, the last of them WHOLE or END."""
        parent, _, name = path.rpartition(b"/")
        self._keys = withheld.key_place(parent)
        try:
            directory = self.opener.enter(parent)
            pinned = os.open(name or b".", safeopen.PIN, dir_fd=directory)
        except OSError as error:
            self._end_by(error, "open")
            return
        except safeopen.RefusedError as refusal:
            self._end(Code.FAILED, str(refusal))
            return
        try:
            if fields is not None:
                self._fields(pinned, fields)
            else:
                self._pinned(pinned, path, max_bytes, newest=newest, metadata=metadata)
        finally:
            os.close(pinned)

    def _pinned(
        self, pinned: int, path: bytes, max_bytes: int, *, newest: bool, metadata: bool
    ) -> None:
        """Decide by the kind of the pinned inode; the record's stat is already in place."""
        at = self.out.reserve(STAT + SMALL + STAT)
        try:
            self.opener.stat_into(pinned, self.out.shared.address + at)
        except OSError as error:
            self._end_by(error, "stat")
            return
        mode, _, size, blocks = STATX.unpack_from(self._memory, at)
        mount_id = int.from_bytes(self._view[at + 144 : at + 152], "little")
        if mount_id != self.opener.here_mount and self.opener.statx:
            try:
                self.opener.crossed(mount_id)
            except safeopen.RefusedError as refusal:
                self._end(Code.FAILED, str(refusal))
                return
        if mode & 0o170000 != modes.S_IFREG or metadata:
            self._without_content(pinned, at, mode, metadata=metadata)
            return
        pseudo = mount_id in self.opener.table.pseudo_ids
        if pseudo and not withheld.pseudo_allowed(path):
            self._end(Code.FAILED, "a file of the kernel that is not read by name", stat=at)
            return
        self._regular(pinned, at, size, blocks, max_bytes, newest=newest, pseudo=pseudo)

    def _regular(
        self, pinned: int, at: int, size: int, blocks: int, max_bytes: int, *, newest: bool, pseudo: bool
    ) -> None:  # fmt: skip
        try:
            fd, kept = self.opener.content(pinned)
        except OSError as error:
            self._end_by(error, "open", stat=at)
            return
        flags = 0 if kept else _ATIME
        try:
            if pseudo:
                self._stream(fd, at, PSEUDO_MAX, PSEUDO_MAX, flags, newest=False, pseudo=True)
            elif size <= SMALL and size <= max_bytes:
                self._whole(fd, at, size, flags)
            elif sparse.is_sparse(size, blocks):
                self._sparse(fd, at, size, max_bytes, flags)
            else:
                self._stream(fd, at, size, max_bytes, flags, newest=newest, pseudo=False)
        finally:
            os.close(fd)

    def _whole(self, fd: int, at: int, size: int, flags: int) -> None:
        """A small file goes into one record: stat, at most `size` bytes, the second stat if it differs."""
        view, data = self._view, at + STAT
        if size:
            try:
                got = self._read(fd, view[data : data + size], 0, at)
            except OSError as error:
                self._end_by(error, "read", stat=at)
                return
        else:
            got = 0
        if (
            got
            and (self._memory[data] in withheld.SUSPECT or self._keys)
            and self._is_key(at, data, got)
        ):
            return
        later = data + got
        self.opener.stat_into(fd, self.out.shared.address + later)
        code = _OK
        if (
            view[at + 32 : at + 48] != view[later + 32 : later + 48]
            or view[at + 96 : at + 128] != view[later + 96 : later + 128]
        ):
            flags |= _CHANGED
            if got < size:
                code = _TRUNCATED
        length = STAT + got + (STAT if flags & _CHANGED else 0)
        self.out.commit(_WHOLE, code, flags, length)

    def _read(self, fd: int, into: memoryview, offset: int, at: int) -> int:
        """Return how many bytes were read, leaving nothing in the page cache where the kernel can.

        A short read is gone on with, so that fewer bytes mean that the file is shorter.
        """
        device = int.from_bytes(self._view[at + 136 : at + 144], "little")
        flags = self._dontcache.get(device, syscalls.RWF_DONTCACHE)
        done = 0
        while done < len(into):
            try:
                got = os.preadv(fd, [into[done:] if done else into], offset + done, flags)
            except OSError as error:
                if not flags or error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                    raise
                self._dontcache[device] = flags = 0
                continue
            if not got:
                break
            done += got
        return done

    def _is_key(self, at: int, data: int, got: int) -> bool:
        """Return True when the content turned out to be a secret; then it is wiped and not stored."""
        head = bytes(self._view[data : data + min(got, SMALL)])
        why = withheld.by_content(head, anywhere=self._keys)
        if not why:
            return False
        self._view[data : data + got] = bytes(got)
        self._end(Code.WITHHELD, why, stat=at)
        return True
