"""The container on the responder's medium: appended, cut into volumes where it must be, durable when asked.

The only module of the agent that writes evidence to a medium. All names are relative to one directory descriptor that
is opened before the examined file systems become read-only for us.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hozen_agent.kernel.directfile import DirectFile
from hozen_hashes.errors import CannotWriteError
from hozen_hashes.volumes import MAX_VOLUMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_hashes.journal import Segment

    Buffer = bytes | bytearray | memoryview

_DONTCACHE = 0x80  # RWF_DONTCACHE, Linux 6.14: our output must not push the host's memory out of its page cache
_BATCH = 1 << 20
_MOST_VOLUMES = 999  # 'cat X.zip.*' joins in the right order only up to here
_HINTS = {
    errno.ENOSPC: "free space on the medium, or take a larger one; what is there can be proved with 'hozen salvage'",
    errno.EFBIG: "the file system limits file sizes; use --volume-size",
    errno.EROFS: "the medium is write-protected",
}


def cannot_write(what: str, error: OSError) -> CannotWriteError:
    """Return the error for a failed write, with what to do about it."""
    hint = _HINTS.get(
        error.errno or 0, "check the medium; what is on it can be proved with 'hozen salvage'"
    )
    return CannotWriteError(f"cannot write {what}: {error.strerror or error}", hint=hint)


def write_new(directory: int, name: str, data: bytes, *, mode: int = 0o600) -> None:
    """Make the file `name` with `data`, durable when this returns; never replaces one.

    Raises:
        CannotWriteError: the name exists or the medium refuses.
    """
    try:
        fd = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=directory
        )
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fdatasync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise cannot_write(name, error) from error


class ContainerFile:
    """Appends the container to `<name>.partial`, or to volumes of it, and knows its running SHA-256.

    Attributes:
        size: bytes appended.
        volumes: names of the files written so far, in order.
    """

    def __init__(self, directory: int, name: str, *, volume_size: int | None = None) -> None:
        """Create the first file; CannotWriteError when it exists or cannot be made."""
        self._directory = directory
        self._name = name
        self._volume_size = volume_size
        self._pending = bytearray()
        self._digest = hashlib.sha256()
        self._flags = _DONTCACHE
        self._direct: DirectFile | None = None
        self._in_volume = 0
        self.size = 0
        self.volumes: list[str] = []
        self._fd = self._next_file()

    @property
    def sha256(self) -> str:
        """SHA-256 of everything appended, hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: Buffer) -> None:
        """Append `data`; small pieces are gathered.

        Raises:
            CannotWriteError: the medium is full, gone, or refuses.
        """
        self._digest.update(data)
        self.size += len(data)
        if len(self._pending) + len(data) < _BATCH:
            self._pending += data
            return
        self._flush_pending()
        if len(data) < _BATCH:
            self._pending += data
        else:
            self._append(memoryview(data))

    def sync(self) -> None:
        """Return when everything appended is durable; CannotWriteError otherwise."""
        self._flush_pending()
        try:
            self._sync()
        except OSError as error:
            raise cannot_write(self.volumes[-1], error) from error

    def free_bytes(self) -> int:
        """Return what the medium still takes, for this user; CannotWriteError when it is gone."""
        try:
            state = os.fstatvfs(self._directory)
        except OSError as error:
            raise cannot_write(self.volumes[-1], error) from error
        return state.f_bavail * state.f_frsize

    def close(self) -> None:
        """Close the file; what was not synced may be lost."""
        self._leave()

    def withdraw(self) -> None:
        """The files are gone as far as the medium allows; only for a capture that read nothing."""
        with suppress(OSError):
            os.close(self._fd)
        for name in self.volumes:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._directory)

    def publish(self) -> list[str]:
        """Give the finished files their final names, durably; return the names.

        The first volume, by which readers know the container, is named last: until then nothing looks finished.
        """
        final = [name.replace(".partial", "", 1) for name in self.volumes]
        try:
            for new in final:
                _must_be_free(self._directory, new)
            for old, new in reversed(list(zip(self.volumes, final, strict=True))):
                os.rename(old, new, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            os.fsync(self._directory)
        except OSError as error:
            raise cannot_write(final[0], error) from error
        self.volumes = final
        return final

    def read_back(self) -> str:
        """Return the SHA-256 of what the medium gives back, past the page cache where it allows."""
        digest = hashlib.sha256()
        for name in self.volumes:
            _read_uncached(self._directory, name, digest.update)
        return digest.hexdigest()

    def _next_file(self) -> int:
        name = f"{self._name}.partial"
        if len(self.volumes) == MAX_VOLUMES:
            raise CannotWriteError(
                f"cannot write {name}: {MAX_VOLUMES} volumes are full, and readers take no more",
                hint="capture again with a larger --volume-size; what is there can be proved with 'hozen salvage'",
            )
        if self._volume_size is not None:
            if len(self.volumes) == _MOST_VOLUMES:
                raise CannotWriteError(
                    f"the bundle needs more than {_MOST_VOLUMES} volumes",
                    hint="use a larger --volume-size",
                )
            name += f".{len(self.volumes) + 1:03d}"
        try:
            fd = os.open(
                name,
                os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                0o600,
                dir_fd=self._directory,
            )
            os.fsync(self._directory)
        except OSError as error:
            raise cannot_write(name, error) from error
        self.volumes.append(name)
        self._in_volume = 0
        if not self._flags:
            self._direct = DirectFile(fd)
        return fd

    def _flush_pending(self) -> None:
        if self._pending:
            data, self._pending = self._pending, bytearray()
            self._append(memoryview(data))

    def _append(self, view: memoryview) -> None:
        try:
            while view:
                view = view[self._write_some(self._fit(view)) :]
        except OSError as error:
            raise cannot_write(self.volumes[-1], error) from error

    def _fit(self, view: memoryview) -> memoryview:
        """Return the part that fits the volume; begins the next one when this one is full."""
        if self._volume_size is None:
            return view
        if self._in_volume >= self._volume_size:
            self._sync()
            self._leave()
            self._fd = self._next_file()
        return view[: self._volume_size - self._in_volume]

    def _sync(self) -> None:
        if self._direct is not None:
            self._direct.flush()
        os.fdatasync(self._fd)
        if self._direct is not None:
            self._direct.let_go()

    def _leave(self) -> None:
        if self._direct is not None:
            self._direct.close()
        os.close(self._fd)

    def _write_some(self, view: memoryview) -> int:
        if self._direct is not None:
            count = self._direct.write(view)
            self._in_volume += count
            return count
        try:
            count = os.pwritev(self._fd, [view], self._in_volume, self._flags)
        except OSError as error:
            if not self._flags or error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
                raise
            self._flags = 0
            if not self._in_volume:
                self._direct = DirectFile(self._fd)
            return self._write_some(view)
        self._in_volume += count
        return count


def _must_be_free(directory: int, name: str) -> None:
    """Nothing has this name: rename(2) would replace it, and a bundle is never replaced.

    Raises:
        FileExistsError: something has it.
    """
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=directory, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


class JournalDirectory:
    """Keeps the running journal in `<id>.journal/`, each segment durable before the next record is taken.

    Attributes:
        written: bytes of all files so far.
    """

    def __init__(self, directory: int, bundle_id: str) -> None:
        """Create the directory; CannotWriteError when it exists or cannot be made."""
        self._parent = directory
        self.name = f"{bundle_id}.journal"
        self.written = 0
        try:
            os.mkdir(self.name, 0o700, dir_fd=directory)
            self._fd = os.open(
                self.name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory
            )
            os.fsync(directory)
        except OSError as error:
            raise cannot_write(self.name, error) from error

    def put(self, segment: Segment, files: bytes) -> None:
        """Make one segment durable: lists first, the signed text last, then the directory."""
        pairs = [(f"{segment.stem}.files.jsonl", files)] if files else []
        pairs += [
            (f"{segment.stem}.pub", segment.public),
            (f"{segment.stem}.sig", segment.signature),
            (f"{segment.stem}.jsonl", segment.text),
        ]
        self.put_files(pairs)

    def put_files(self, pairs: list[tuple[str, bytes]]) -> None:
        """Make the named files durable, and their names, before the last one: the text that speaks of the others."""
        *others, last = pairs
        for group in (others, [last]):
            for name, data in group:
                write_new(self._fd, name, data)
                self.written += len(data)
            if group:
                self._sync()

    def put_start(self, segment: Segment, start_p7s: bytes) -> None:
        """Make segment 0 durable with the identity's signature over it."""
        self.put_files([("start.p7s", start_p7s)])
        self.put(segment, b"")

    def remove(self) -> None:
        """Remove the directory after the container was sealed and read back; it says the same."""
        try:
            for name in sorted(os.listdir(self._fd), reverse=True):  # what remains is a beginning
                os.unlink(name, dir_fd=self._fd)
            os.close(self._fd)
            os.rmdir(self.name, dir_fd=self._parent)
            os.fsync(self._parent)
        except OSError as error:
            raise cannot_write(self.name, error) from error

    def _sync(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise cannot_write(self.name, error) from error


def _read_uncached(directory: int, name: str, take: Callable[[Buffer], None]) -> None:
    """Hand the file's bytes to `take`, read past the page cache where the file system can.

    Raises:
        CannotWriteError: the medium does not give the file back.
    """
    buffer = mmap.mmap(-1, _BATCH)  # page aligned, as O_DIRECT wants; ours, not evidence
    try:
        offset = 0
        for flag in (getattr(os, "O_DIRECT", 0), 0):
            offset = _read_on(directory, name, take, buffer=buffer, offset=offset, flag=flag)
    except OSError as error:
        raise cannot_write(f"(read back) {name}", error) from error
    finally:
        buffer.close()


def _read_on(
    directory: int,
    name: str,
    take: Callable[[Buffer], None],
    *,
    buffer: mmap.mmap,
    offset: int,
    flag: int,
) -> int:
    """Hand the bytes from `offset` on to `take`; return where it ended, early where O_DIRECT is refused with EINVAL."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | flag, dir_fd=directory)
    except OSError as error:
        return _unless_direct(error, flag, offset)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        with memoryview(buffer) as view:
            while count := os.preadv(fd, [buffer], offset):
                take(view[:count])
                offset += count
    except OSError as error:
        return _unless_direct(error, flag, offset)
    finally:
        os.close(fd)
    return offset


def _unless_direct(error: OSError, flag: int, offset: int) -> int:
    # Also the end of the file is such a case: O_DIRECT refuses to read on from an offset that is no whole block.
    if not flag or error.errno != errno.EINVAL:
        raise error
    return offset
