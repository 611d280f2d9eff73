"""A container in one file or cut into volumes, as one file that can be read and seeked (bundle-v1 §4)."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from hozen_hashes.errors import DeniedError, FormatError, HozenError, NotVerifiableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from typing_extensions import Buffer, override
else:

    def override(method: object) -> object:
        """Stand for `typing.override`, which Python 3.11 does not have yet."""
        return method


MAX_VOLUMES = 999
"""`.001` to `.999`: with a fourth digit the shell would no longer list them in order."""

_VOLUME = re.compile(r"(?P<name>.+)\.(?P<number>[0-9]{3})")
_BUFFER = 256 << 10


def open_container(path: str | os.PathLike[str]) -> BinaryIO:
    """Return the container as one file, open for reading, at its beginning.

    Args:
        path: `X.zip`; `X.zip.001`; or `X.zip` when only its volumes are there. A name that does not
            end in three digits and exists is opened as it is, whatever its name.

    Raises:
        UsageError: no such file, or no regular file.
        DeniedError: it may not be read.
        FormatError: a volume is missing, or is larger than the first.
        NotVerifiableError: the system cannot open it for another reason.
    """
    parts = _parts(Path(path))
    sizes = [_size(part) for part in parts]
    if any(size > sizes[0] for size in sizes) or (len(parts) > 1 and 0 in sizes):
        raise FormatError(f"{parts[0]}: a volume is empty, or larger than the first")
    try:
        if len(parts) == 1:
            return io.BufferedReader(io.FileIO(parts[0]), _BUFFER)
        return io.BufferedReader(_Volumes(parts, sizes), _BUFFER)
    except OSError as error:
        raise _refusal(parts[0], error) from error


opener_for_volumes = open_container


def _parts(path: Path) -> Sequence[Path]:
    """Return the files that make up the container, in order."""
    match = _VOLUME.fullmatch(path.name)
    base = path.with_name(match["name"]) if match else path
    exists = _exists(path)
    if match is None and exists:
        return [path]
    found = _numbers(base)
    if not found:
        if exists:
            return [path]
        raise UsageError(
            f"no such file: {path}", hint="Give the .zip, or its first volume, .zip.001."
        )
    if found != list(range(1, len(found) + 1)):
        missing = min(set(range(1, found[-1] + 1)) - set(found), default=0)
        raise FormatError(f"volume {base.name}.{missing:03d} is missing")
    return [base.with_name(f"{base.name}.{number:03d}") for number in found]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise _refusal(path, error) from error


def _numbers(base: Path) -> list[int]:
    prefix = base.name + "."
    try:
        names = os.listdir(base.parent)  # noqa: PTH208 - names are enough
    except OSError as error:
        raise _refusal(base.parent, error) from error
    tails = [name[len(prefix) :] for name in names if name.startswith(prefix)]
    return sorted(int(tail) for tail in tails if re.fullmatch(r"[0-9]{3}", tail))


def _size(path: Path) -> int:
    try:
        found = path.stat()
    except OSError as error:
        raise _refusal(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"not a regular file: {path}", hint="A pipe is read with `-`.")
    return found.st_size


def _refusal(path: Path, error: OSError) -> HozenError:
    kinds: dict[int | None, type[HozenError]] = {
        errno.ENOENT: UsageError,
        errno.EACCES: DeniedError,
        errno.EPERM: DeniedError,
    }
    kind = kinds.get(error.errno, NotVerifiableError)
    return kind(f"{path}: {error.strerror or error}")


class _Volumes(io.RawIOBase):
    """Several files one after another; at most one is open at a time."""

    def __init__(self, paths: Sequence[Path], sizes: Sequence[int]) -> None:
        self._paths = paths
        self._ends = list(accumulate(sizes))
        self._at = 0
        self._number = 0
        self._file: io.FileIO | None = io.FileIO(paths[0])

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._at

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._ends[-1]}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = base + offset
        return self._at

    @override
    def readinto(self, buffer: Buffer) -> int:
        number = bisect_right(self._ends, self._at)
        if number == len(self._ends):
            return 0
        file = self._volume(number)
        file.seek(self._at - (self._ends[number - 1] if number else 0))
        view = memoryview(buffer)[: self._ends[number] - self._at]
        count = file.readinto(view) or 0
        if not count and view.nbytes:
            raise OSError(errno.EIO, f"{self._paths[number].name} became shorter")
        self._at += count
        return count

    @override
    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

    def _volume(self, number: int) -> io.FileIO:
        if self._file is None:
            raise ValueError("the container is closed")
        if number != self._number:
            self._file.close()
            self._file = io.FileIO(self._paths[number])
            self._number = number
        return self._file
