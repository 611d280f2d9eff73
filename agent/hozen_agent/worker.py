"""Reads files in a process that may hang, and puts what it reads into the ring.

Nothing here knows artifacts, keys or the output. A request is a path; what comes back is a run of records, the last of
which ends the item.
"""

from __future__ import annotations

import errno
import os
import stat as modes
import struct
from enum import Enum
from typing import TYPE_CHECKING, Final

from hozen_agent import safeopen, sparse, syscalls, withheld
from hozen_agent.ring import FIRST, HEAD, SLOT, STAT, Code, Flag, Kind, Producer

if TYPE_CHECKING:
    from hozen_agent.safeopen import Opener

SMALL: Final = 64 << 10  # read in one piece, stored in one record
PSEUDO_MAX: Final = 16 << 20  # of a file the kernel makes as it is read
FIELDS_MAX: Final = 16 << 20
_DROP_EVERY: Final = 32 << 20
_LEAST_ROOM: Final = 64 << 10
_HEAD_LINES: Final = 64 << 10  # looked at for a private key
_STAT: Final = struct.Struct("<28xHxx QQQ")  # mode, inode, size, blocks in struct statx
_MTIME_AT: Final = 112
_QUICK: Final = struct.Struct("<28xH10xQ88xQQ")  # mode, size, device (two numbers in one), mount id
_WHOLE_ROOM: Final = HEAD.size + STAT + SMALL + STAT
_STATX_FLAGS: Final = (
    syscalls.AT_EMPTY_PATH | syscalls.AT_NO_AUTOMOUNT | syscalls.AT_STATX_DONT_SYNC
)
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})

# Plain numbers: an enumeration's attribute costs more than the read of a small file leaves.
_WHOLE, _OK, _TRUNCATED = int(Kind.WHOLE), int(Code.OK), int(Code.TRUNCATED)
_CHANGED, _ATIME = int(Flag.CHANGED), int(Flag.ATIME)


class Fields(Enum):
    """When the second field of each line is left out."""

    ALWAYS = "always"
    IF_HASHED = "if hashed"


class FileWorker:
    """Answers file requests, one item after another.

    Attributes:
        opener: the way to each file.
        out: the ring.
    """

    __slots__ = ("_dontcache", "_memory", "_view", "opener", "out")

    def __init__(self, opener: Opener, out: Producer) -> None:
        self.opener = opener
        self.out = out
        self._memory = out.shared.memory
        self._view = out.shared.view
        self._dontcache: dict[int, int] = {}

    def items(  # noqa: PLR0915 - one loop without calls: this is where a million files cost their time
        self, paths: list[bytes], *, max_bytes: int, newest: bool
    ) -> None:
        """Requests for content are answered; the common small file here in one go, all others by `item`."""
        opener, out, memory, view = self.opener, self.out, self._memory, self._view
        number, statx = syscalls.raw_statx()
        base, self_fd = out.shared.address, opener.self_fd
        flags = safeopen.CONTENT | opener.noatime
        largest = min(SMALL, max_bytes) if opener.statx else -1
        here, directory, mount = b"\0", -1, -1
        pseudo = False
        for path in paths:
            cut = path.rfind(b"/")
            if path[:cut] != here or cut + 1 == len(path):
                try:
                    directory = opener.enter(path[:cut])
                except (OSError, safeopen.RefusedError):
                    self.item(path, max_bytes=max_bytes, newest=newest)
                    continue
                here, mount = path[:cut], opener.here_mount
                pseudo = mount in opener.table.pseudo_ids
            try:
                pinned = os.open(path[cut + 1 :] or b".", safeopen.PIN, dir_fd=directory)
            except OSError as error:
                self._end_by(error, "open")
                continue
            if out.position + _WHOLE_ROOM > out.limit:
                out.roll()
            at = out.position + HEAD.size
            fd = -1
            try:
                if statx(number, pinned, b"", _STATX_FLAGS, syscalls.STATX_ALL, base + at) < 0:
                    self._pinned(pinned, path, max_bytes, newest=newest, metadata=False)
                    continue
                mode, size, device, mount_id = _QUICK.unpack_from(memory, at)
                if (
                    mode & 0o170000 != modes.S_IFREG
                    or size > largest
                    or mount_id != mount
                    or pseudo
                ):
                    self._pinned(pinned, path, max_bytes, newest=newest, metadata=False)
                    continue
                data = at + STAT
                try:
                    fd = os.open(b"%d" % pinned, flags, dir_fd=self_fd)
                    uncached = self._dontcache.get(device, syscalls.RWF_DONTCACHE)
                    got = os.preadv(fd, [view[data : data + size]], 0, uncached) if size else 0
                except OSError:
                    self._pinned(pinned, path, max_bytes, newest=newest, metadata=False)
                    continue
                if got and memory[data] in withheld.SUSPECT and self._is_key(at, data, got):
                    continue
                later = data + got
                if (
                    got != size
                    or statx(number, fd, b"", _STATX_FLAGS, syscalls.STATX_ALL, base + later) < 0
                    or memory[at + 32 : at + 128] != memory[later + 32 : later + 128]
                ):
                    self._whole(fd, at, size, 0)
                    continue
                out.commit(_WHOLE, _OK, 0, STAT + got)
            finally:
                os.close(pinned)
                if fd >= 0:
                    os.close(fd)

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
        mode, _, size, blocks = _STAT.unpack_from(self._memory, at)
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

    def _fields(self, pinned: int, fields: Fields) -> None:
        """A passwd or shadow file gives its lines with a word in place of each hash; the hashes stay here."""
        at = self.out.reserve(STAT)
        try:
            self.opener.stat_into(pinned, self.out.shared.address + at)
            stat = bytes(self._view[at : at + STAT])
            mode, *_ = _STAT.unpack_from(stat)
            if not modes.S_ISREG(mode):
                self._without_content(pinned, at, mode, metadata=False)
                return
            fd, _ = self.opener.content(pinned)
            with open(fd, "rb", buffering=0) as file:
                text = file.read(FIELDS_MAX) or b""
        except OSError as error:
            self._end_by(error, "open")
            return
        hashed = fields is Fields.ALWAYS or withheld.holds_hash(text)
        self.out.put(Kind.BEGIN, Code.OK, Flag.DERIVED if hashed else 0, stat)
        self._bytes(withheld.without_hashes(text) if hashed else text)
        self.out.put(Kind.END, Code.OK, 0, b"")

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
        if got and self._memory[data] in withheld.SUSPECT and self._is_key(at, data, got):
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
        head = bytes(self._view[data : data + min(got, _HEAD_LINES)])
        why = withheld.by_content(head)
        if not why:
            return False
        self._view[data : data + got] = bytes(got)
        self._end(Code.WITHHELD, why, stat=at)
        return True

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
            head = os.pread(fd, 4096, 0)
        except OSError:
            return False  # the read proper will say why
        why = withheld.by_content(head) if head and head[0] in withheld.SUSPECT else ""
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
        mode, *_ = _STAT.unpack_from(stat)
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

    def _bytes(self, data: bytes) -> None:
        for start in range(0, len(data), SLOT // 2):
            self.out.put(Kind.DATA, Code.OK, 0, data[start : start + SLOT // 2])

    def _finish(self, fd: int, stat: bytes, code: Code, reason: str) -> None:
        """The item ends, with the second stat if it differs in size, inode, mtime or ctime."""
        at = self.out.reserve(STAT + 4096)
        try:
            self.opener.stat_into(fd, self.out.shared.address + at)
        except OSError:
            self._end(code, reason)
            return
        later = bytes(self._view[at : at + STAT])
        same = stat[32:48] == later[32:48] and stat[96:128] == later[96:128]
        flags = 0 if same else Flag.CHANGED
        self.out.put(Kind.END, code, flags, (b"" if same else later) + reason.encode()[:4096])

    def _without_content(self, pinned: int, at: int, mode: int, *, metadata: bool) -> None:
        """A link gives its target, a directory its names; a fifo, device or socket only its existence."""
        stat = bytes(self._view[at : at + STAT])
        if metadata:
            self.out.put(Kind.END, Code.METADATA, Flag.STAT, stat)
        elif modes.S_ISLNK(mode):
            self._link(pinned, stat)
        elif modes.S_ISDIR(mode):
            self._directory(pinned, stat)
        else:
            kind = _SPECIAL.get(modes.S_IFMT(mode), "unknown kind")
            self.out.put(
                Kind.END, Code.SPECIAL, Flag.STAT, stat + f"not a regular file: {kind}".encode()
            )

    def _link(self, pinned: int, stat: bytes) -> None:
        try:
            target = os.readlink(b"", dir_fd=pinned)
        except OSError as error:
            self._end_by(error, "readlink")
            return
        self.out.put(Kind.BEGIN, Code.OK, Flag.LINK, stat)
        self.out.put(Kind.DATA, Code.OK, 0, target)
        self.out.put(Kind.END, Code.OK, 0, b"")

    def _directory(self, pinned: int, stat: bytes) -> None:
        """A directory that was asked for gives its names, each ended by NUL."""
        try:
            fd, _ = self.opener.content(pinned)
        except OSError as error:
            self._end_raw(error, "open directory", stat)
            return
        try:
            names = os.listdir(fd)
        except OSError as error:
            self._end_raw(error, "list directory", stat)
            return
        finally:
            os.close(fd)
        self.out.put(Kind.BEGIN, Code.OK, Flag.DIRECTORY, stat)
        self._bytes(b"".join(os.fsencode(name) + b"\0" for name in sorted(names)))
        self.out.put(Kind.END, Code.OK, 0, b"")

    def _end(self, code: Code, reason: str, *, stat: int = -1) -> None:
        known = bytes(self._view[stat : stat + STAT]) if stat >= 0 else b""
        flags = Flag.STAT if known else 0
        self.out.put(Kind.END, code, flags, known + reason.encode()[:4096])

    def _end_by(self, error: OSError, step: str, *, stat: int = -1) -> None:
        self._end_raw(error, step, bytes(self._view[stat : stat + STAT]) if stat >= 0 else b"")

    def _end_raw(self, error: OSError, step: str, stat: bytes) -> None:
        number = error.errno or 0
        code = (
            Code.MISSING if number in _GONE else Code.DENIED if number in _REFUSED else Code.FAILED
        )
        reason = f"{step}: {os.strerror(number)}"
        self.out.put(Kind.END, code, Flag.STAT if stat else 0, stat + reason.encode())


_SPECIAL: Final = {
    modes.S_IFIFO: "fifo",
    modes.S_IFCHR: "character device",
    modes.S_IFBLK: "block device",
    modes.S_IFSOCK: "socket",
}
