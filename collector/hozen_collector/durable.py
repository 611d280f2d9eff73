"""The only writer of what must outlive a power cut: files, names and directories.

System calls of the happy path of `write_file`, in order:
    openat(dir, ".tmp-…", O_CREAT|O_EXCL) · write · fsync(file) · close · rename(tmp, name) · fsync(dir)
of `publish_link`:
    fchmod(0440) · fsync(file) · link(source, name) · fsync(dir)
A failed fsync is never tried again: the kernel may have dropped the pages (the caller writes anew from its source).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

from hozen_hashes.errors import CannotWriteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FullError(CannotWriteError):
    """There is no room; nothing that was acknowledged before is lost."""


def cannot_write(what: str, error: OSError) -> CannotWriteError:
    """Give the error that a failed write of `what` stands for, with what to do."""
    if error.errno in _FULL:
        return FullError(
            f"no space left for {what}", hint="Free space on the collector's disk, then try again."
        )
    return CannotWriteError(
        f"cannot write {what}: {error.strerror or error}",
        hint="Look at the collector's disk; nothing was acknowledged.",
    )


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn every OSError of the block into CannotWriteError (FullError when there is no room)."""
    try:
        yield
    except OSError as error:
        raise cannot_write(what, error) from error


def sync_directory(path: Path) -> None:
    """Make the names in `path` durable.

    Raises:
        CannotWriteError: the directory cannot be synced.
    """
    with writing(str(path.name)):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_directory(path: Path, *, mode: int = 0o700) -> None:
    """Make `path` and its missing parents exist durably.

    Raises:
        CannotWriteError: a directory cannot be made.
    """
    if path.is_dir():
        return
    make_directory(path.parent, mode=mode)
    with writing(str(path.name)), contextlib.suppress(FileExistsError):
        path.mkdir(mode=mode)
    sync_directory(path.parent)


def write_file(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Make `path` hold exactly `data`, durably; readers see the old bytes or the new, never a part.

    Raises:
        CannotWriteError: the file could not be made durable; the old one is still there.
    """
    temporary = path.parent / f".tmp-{secrets.token_hex(8)}"
    with writing(path.name):
        try:
            _write_synced(temporary, data, mode)
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    sync_directory(path.parent)


def create_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Make a new file `path` with `data`, durably; an existing file is never touched.

    Raises:
        CannotWriteError: the file exists, or could not be made durable.
    """
    with writing(path.name):
        _write_synced(path, data, mode)
    sync_directory(path.parent)


def publish_link(source: Path, target: Path) -> bool:
    """Make `target` the same file as `source`, read-only and durable; False if `target` was there already.

    Both lie in one file system. An existing target is never replaced.

    Raises:
        CannotWriteError: the link or one of the syncs failed.
    """
    with writing(target.name):
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, stat.S_IRUSR | stat.S_IRGRP)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(source, target)
            made = True
        except FileExistsError:
            made = False
    sync_directory(target.parent)
    return made


def remove(path: Path) -> None:
    """Make `path` absent, durably; an absent one is fine.

    Raises:
        CannotWriteError: the name cannot be removed.
    """
    with writing(path.name):
        path.unlink(missing_ok=True)
    sync_directory(path.parent)


def sweep_temporary(directory: Path) -> None:
    """Remove what interrupted `write_file` calls left below `directory`."""
    with writing(directory.name):
        for leftover in directory.rglob(".tmp-*"):
            leftover.unlink(missing_ok=True)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
