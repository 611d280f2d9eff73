"""Small files that hold keys are written: mode 0600, durable, never over another file, never half."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hozen_hashes.errors import CannotWriteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
_MODE = 0o600


def check_absent(path: Path) -> None:
    """Return when nothing has that name yet; asked before work that would be lost.

    Raises:
        UsageError: something has it, a dangling link too.
    """
    if os.path.lexists(path):
        raise UsageError(
            f"{path} is already there", hint="It is never overwritten; give another name."
        )


def write_new(path: Path, data: bytes) -> None:
    """Create the file with these bytes on the disk; after an error it is not there.

    Raises:
        UsageError: the name is taken.
        CannotWriteError: the operating system refused.
    """
    with _refusals(path):
        _create(path, data)
        _sync_directory(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Put these bytes in place of the file's in one step: at any moment it is the old or the new one.

    Raises:
        CannotWriteError: the operating system refused; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with _refusals(path):
        _create(temporary, data)
        try:
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)


def _create(path: Path, data: bytes) -> None:
    descriptor = os.open(path, _NEW, _MODE)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    # Not every file system lets a directory be synced; the file itself has been.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise UsageError(
            f"{path} is already there", hint="It is never overwritten; give another name."
        ) from None
    except OSError as error:
        raise CannotWriteError(
            f"cannot write {path}: {error.strerror}",
            hint="Look at the directory, its mode and its free space.",
        ) from None
