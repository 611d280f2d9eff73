"""How a worker answers a request in records: how an item ends, and all items that are no plain content."""

from __future__ import annotations

import errno
import os
import stat as modes
import struct
from enum import Enum
from typing import TYPE_CHECKING, Final

from hozen_agent.reading.safeopen import RefusedError
from hozen_agent.redaction import withheld
from hozen_agent.workers.ring import SLOT, STAT, Code, Flag, Kind

if TYPE_CHECKING:
    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.ring import Producer

FIELDS_MAX: Final = 4 << 20
FIELDS_HEAD: Final = 64 << 10  # looked at for a key
STATX: Final = struct.Struct("<28xHxx QQQ")  # mode, inode, size, blocks in struct statx
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})
_SPECIAL: Final = {
    modes.S_IFIFO: "fifo",
    modes.S_IFCHR: "character device",
    modes.S_IFBLK: "block device",
    modes.S_IFSOCK: "socket",
}


class Fields(Enum):
    """When the second field of each line is left out."""

    ALWAYS = "always"
    IF_HASHED = "if hashed"


class Answers:
    """Puts answers into the ring.

    Attributes:
        opener: the way to each file.
        out: the ring.
    """

    __slots__ = ("_dontcache", "_keys", "_memory", "_view", "opener", "out")

    def __init__(self, opener: Opener, out: Producer) -> None:
        self.opener = opener
        self.out = out
        self._memory = out.shared.memory
        self._view = out.shared.view
        self._dontcache: dict[int, int] = {}
        self._keys = False  # whether the directory at hand is one where keys are kept

    def _fields(self, pinned: int, fields: Fields) -> None:
        """A passwd or shadow file gives its lines with a word in place of each hash; the hashes stay here."""
        at = self.out.reserve(STAT)
        try:
            self.opener.stat_into(pinned, self.out.shared.address + at)
            stat = bytes(self._view[at : at + STAT])
            mode, *_ = STATX.unpack_from(stat)
            if not modes.S_ISREG(mode):
                self._without_content(pinned, at, mode, metadata=False)
                return
            mount_id = int.from_bytes(stat[144:152], "little")
            if mount_id != self.opener.here_mount and self.opener.statx:
                self.opener.crossed(mount_id)
            fd, _ = self.opener.content(pinned)
            with open(fd, "rb") as file:
                text = file.read(FIELDS_MAX + 1)
        except OSError as error:
            self._end_by(error, "open")
            return
        except RefusedError as refusal:
            self._end(Code.FAILED, str(refusal))
            return
        why = withheld.by_content(text[:FIELDS_HEAD])
        if why:
            self.out.put(Kind.END, Code.WITHHELD, Flag.STAT, stat + why.encode())
            return
        reason = f"bytes beyond {FIELDS_MAX} are left out" if len(text) > FIELDS_MAX else ""
        text = text[:FIELDS_MAX]
        hashed = fields is Fields.ALWAYS or withheld.holds_hash(text)
        self.out.put(Kind.BEGIN, Code.OK, Flag.DERIVED if hashed else 0, stat)
        self._bytes(withheld.without_hashes(text) if hashed else text)
        self.out.put(Kind.END, Code.TRUNCATED if reason else Code.OK, 0, reason.encode())

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
