"""Opens evidence so that the host notices nothing: no link followed, no mount crossed, only regular files opened.

A path goes through four gates (agent-floor §2): its text against the mount table; its directory by openat2 without
links and without crossing; its last component as O_PATH, which has no effect on fifos and devices; only then, for a
regular file, a second open of the same inode.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from hozen_agent import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_agent.reading import mounts

PIN: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
CONTENT: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
MAX_LINKS: Final = 40  # the kernel's own bound
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_INSIDE: Final = (
    syscalls.RESOLVE_NO_XDEV
    | syscalls.RESOLVE_NO_SYMLINKS
    | syscalls.RESOLVE_NO_MAGICLINKS
    | syscalls.RESOLVE_BENEATH
)
_MOUNT_ID: Final = struct.Struct("<Q")
MOUNT_ID_AT: Final = 144  # stx_mnt_id in struct statx
_OLD_STAT: Final = struct.Struct("<IIQIIIH2xQQQQ" + "qI4x" * 4 + "IIIIQ")


class RefusedError(Exception):
    """The path is not opened, by rule; the message is the reason for the record."""


class Opener:
    """Directories and files of one root, opened one after another; the last directory stays open.

    Attributes:
        table: the mounts, read again when an unknown one turns up.
        self_fd: our own descriptors' directory in procfs, by which a pinned inode is opened again.
    """

    __slots__ = (
        "_buffer",
        "_here",
        "_here_fd",
        "_links",
        "_points",
        "_read_table",
        "here_mount",
        "noatime",
        "openat2",
        "root",
        "self_fd",
        "stat_address",
        "statx",
        "table",
    )  # fmt: skip

    def __init__(self, root: int, proc: int, read_table: Callable[[], mounts.MountTable]) -> None:
        self.root = root
        self.self_fd = os.open("self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
        self._read_table = read_table
        self.table = read_table()
        self._points: dict[bytes, int] = {b"/": root}
        self._links: dict[bytes, bytes] = {}
        self._here = b""
        self._here_fd = -1
        self.here_mount = -1
        self._buffer = ctypes.create_string_buffer(syscalls.STATX_SIZE)
        self.stat_address = ctypes.addressof(self._buffer)
        known = syscalls.probe()
        self.openat2 = known.openat2
        self.statx = known.statx
        self.noatime = os.O_NOATIME

    def enter(self, directory: bytes) -> int:
        """Return an O_PATH descriptor of the directory (`` for `/`), valid until the next call.

        Raises:
            RefusedError: it lies on a mount to stay out of.
            OSError: as open(2).
        """
        if directory == self._here and self._here_fd >= 0:
            return self._here_fd
        fd = self._open_directory(self._links.get(directory, directory), known=False)
        if self._here_fd >= 0:
            os.close(self._here_fd)
        self._here, self._here_fd = directory, fd
        self.here_mount = self.mount_of(fd)
        return fd

    def _open_directory(self, directory: bytes, *, known: bool) -> int:
        path = directory or b"/"
        self.refuse_skipped(path)
        point = self.table.point_of(path)
        try:
            start = self._mount_point(point)
            return self._descend(start, path[len(point.rstrip(b"/")) + 1 :] or b".")
        except OSError as error:
            if error.errno == errno.EXDEV and not known:
                self.refresh()
                return self._open_directory(directory, known=True)
            if error.errno in {errno.ELOOP, errno.ENOTDIR} and not known:
                real = self.resolve(path)
                if real != path:
                    self._remember(directory, real)
                    return self._open_directory(real, known=True)
            raise

    def _remember(self, directory: bytes, real: bytes) -> None:
        if len(self._links) > 1000:  # noqa: PLR2004 - a cache, nothing is lost with it
            self._links.clear()
        self._links[directory] = real

    def refuse_skipped(self, path: bytes) -> None:
        """Return when `path` may be touched.

        Raises:
            RefusedError: by its text it lies on a mount to stay out of.
        """
        skipped = self.table.skips(path)
        if skipped is not None:
            point, kind = (os.fsdecode(part) for part in skipped)
            raise RefusedError(f"on a {kind} mount that was not named: {ascii(point)[1:-1]}")

    def refresh(self) -> None:
        """The mount table is read again; descriptors of mount points are forgotten."""
        for point, fd in self._points.items():
            if point != b"/":
                os.close(fd)
        self._points = {b"/": self.root}
        self.table = self._read_table()

    def _mount_point(self, point: bytes) -> int:
        fd = self._points.get(point)
        if fd is None:
            resolve = syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
            fd = self._open(self.root, point[1:], resolve)
            self._points[point] = fd
        return fd

    def _descend(self, start: int, path: bytes) -> int:
        return self._open(start, path, _INSIDE)

    def _open(self, start: int, path: bytes, resolve: int) -> int:
        if self.openat2:
            return syscalls.openat2(start, path, _DIRECTORY, resolve=resolve)
        fd = os.dup(start)  # before Linux 5.6: one component after another, links refused
        for part in path.split(b"/"):
            try:
                deeper = os.open(part or b".", _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            finally:
                os.close(fd)
            fd = deeper
        return fd

    def resolve(self, path: bytes) -> bytes:
        """Return `path` with every symbolic link replaced by what it points to, in our root.

        Raises:
            RefusedError: the way leads over a mount to stay out of.
            OSError: a component does not exist or cannot be read; ELOOP beyond 40 links.
        """
        todo, done, links = path.split(b"/")[::-1], list[bytes](), 0
        while todo:
            part = todo.pop()
            if part in {b"", b"."}:
                continue
            if part == b"..":
                del done[-1:]
                continue
            target = self._link_at(done, part)
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.startswith(b"/"):
                done.clear()
            todo.extend(target.split(b"/")[::-1])
        return b"/" + b"/".join(done)

    def _link_at(self, done: list[bytes], part: bytes) -> bytes | None:
        """Return the target of the link `part` in the directory `done`, None when it is no link."""
        self.refuse_skipped(b"/" + b"/".join([*done, part]))
        fd = self._open_directory(b"".join(b"/" + name for name in done), known=True)
        try:
            return os.readlink(part, dir_fd=fd)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise
        finally:
            os.close(fd)

    def mount_of(self, fd: int) -> int:
        """Return the mount id of an open descriptor, -1 where the kernel does not say."""
        if not self.statx:
            return -1
        syscalls.statx_into(fd, b"", self.stat_address, flags=syscalls.AT_EMPTY_PATH)
        number: int = _MOUNT_ID.unpack_from(self._buffer, MOUNT_ID_AT)[0]
        return number

    def crossed(self, mount_id: int) -> None:
        """Return when the last component, a mount point of its own, may be read.

        Raises:
            RefusedError: it is a mount to stay out of.
        """
        if mount_id not in {m.mount_id for m in self.table.points.values()}:
            self.refresh()
        if mount_id in self.table.skipped_ids:
            raise RefusedError("on a remote mount that was not named")

    def content(self, pinned: int) -> tuple[int, bool]:
        """Return a descriptor to read the pinned regular file and whether its access time is safe.

        Raises:
            OSError: as open(2).
        """
        name = b"%d" % pinned
        try:
            return os.open(name, CONTENT | self.noatime, dir_fd=self.self_fd), True
        except PermissionError:
            if not self.noatime:
                raise
        return os.open(name, CONTENT, dir_fd=self.self_fd), False  # a foreign file, unprivileged

    def stat_into(self, fd: int, address: int) -> None:
        """Fill STATX_SIZE bytes with what is known of an open descriptor.

        Raises:
            OSError: as statx(2).
        """
        if self.statx:
            syscalls.statx_into(fd, b"", address, flags=syscalls.AT_EMPTY_PATH)
            return
        packed = _as_statx(os.fstat(fd))
        ctypes.memmove(address, packed, len(packed))


def _as_statx(st: os.stat_result) -> bytes:
    """Return struct statx without birth time and mount id (kernels before 4.11)."""
    second = 10**9
    times = [
        part
        for ns in (st.st_atime_ns, 0, st.st_ctime_ns, st.st_mtime_ns)
        for part in divmod(ns, second)
    ]
    return _OLD_STAT.pack(
        0x7FF, st.st_blksize, 0, st.st_nlink, st.st_uid, st.st_gid, st.st_mode, st.st_ino, st.st_size, st.st_blocks,
        0, *times, os.major(st.st_rdev), os.minor(st.st_rdev), os.major(st.st_dev), os.minor(st.st_dev), 0,
    )  # fmt: skip
