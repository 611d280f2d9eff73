"""Where an export goes: a new file that gets its name when it is whole, a new directory, or standard output."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import CannotWriteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

PART: Final = ".part"
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file of an export; `path` is relative to what was asked for."""

    path: str
    size: int
    sha256: str

    def as_json(self) -> dict[str, str]:
        """Return the line of a manifest."""
        return {"path": self.path, "size": str(self.size), "sha256": self.sha256}


class Stream:
    """Bytes on their way out, counted and hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write all of the bytes; CannotWriteError when the other side refuses."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError as error:
            raise _refused("the export", error) from error
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Pass on what is buffered."""
        with suppress(ValueError):
            self._file.flush()

    def written(self, path: str) -> Written:
        """Return size and hash of everything so far."""
        return Written(path, self.size, self._digest.hexdigest())


@contextmanager
def new_file(path: Path) -> Iterator[Stream]:
    """Give a stream into a file that is called `path` after the block, and is not there after an error.

    Raises:
        UsageError: the name is taken.
        CannotWriteError: the operating system refused.
    """
    with new_path(path) as part:
        try:
            with part.open("wb", buffering=0) as file:
                yield Stream(file)
                os.fsync(file.fileno())
        except OSError as error:
            raise _refused(path, error) from error


@contextmanager
def new_path(path: Path) -> Iterator[Path]:
    """Give the path of an empty file that is called `path` after the block; errors as `new_file`."""
    part = path.with_name(path.name + PART)
    _refuse_taken(path)
    try:
        os.close(os.open(part, _NEW, 0o600))
    except FileExistsError as error:
        raise UsageError(
            f"{part} is already there", hint="Another export may be running."
        ) from error
    except OSError as error:
        raise _refused(path, error) from error
    try:
        yield part
        _refuse_taken(path)
        try:
            part.rename(path)
        except OSError as error:
            raise _refused(path, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give the path of an empty directory that is called `path` after the block; errors as `new_file`."""
    part = path.with_name(path.name + PART)
    _refuse_taken(path)
    try:
        part.mkdir(mode=0o700)
    except FileExistsError as error:
        raise UsageError(
            f"{part} is already there", hint="Another export may be running."
        ) from error
    except OSError as error:
        raise _refused(path, error) from error
    try:
        yield part
        _refuse_taken(path)
        try:
            part.rename(path)
        except OSError as error:
            raise _refused(path, error) from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def hashed(path: Path, name: str) -> Written:
    """Return size and hash of a file that lies there."""
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            digest = file_digest(file, "sha256").hexdigest()
            return Written(name, path.stat().st_size, digest)
    except OSError as error:
        raise _refused(path, error) from error


def _refuse_taken(path: Path) -> None:
    if os.path.lexists(path):
        raise UsageError(
            f"{path} is already there", hint="It is never overwritten; give another name."
        )


def _refused(what: object, error: OSError) -> CannotWriteError:
    return CannotWriteError(
        f"cannot write {what}: {error.strerror or error}",
        hint="Look at the directory, its mode and its free space.",
    )
