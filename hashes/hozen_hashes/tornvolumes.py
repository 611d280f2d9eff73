"""What there is of an unfinished container's volumes, front to back up to the first gap (bundle-v1 §4, §6).

`volumes` refuses an incomplete set, as it must for a sealed bundle. Here a capture ended anywhere: before the first
byte of a new volume, or between the renames of a finished one, when `.zip.partial.001` stands beside `.zip.002`.
"""

from __future__ import annotations

import io
import re
from itertools import count
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import NotVerifiableError
from hozen_hashes.volumes import MAX_VOLUMES, open_container

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from typing_extensions import Buffer, override
else:

    def override(method: object) -> object:
        """Stand for `typing.override`, which Python 3.11 does not have yet."""
        return method


_NUMBERED: Final = re.compile(r"(?P<name>.+)\.[0-9]{3}")
_BUFFER: Final = 256 << 10


def first(path: Path) -> Path:
    """Return the first volume of the container `path`; a volume's own name may be given too."""
    match = _NUMBERED.fullmatch(path.name)
    return path.with_name((match["name"] if match else path.name) + ".001")


def open_torn(path: Path) -> BinaryIO:
    """Return what is there of a container in one file or in volumes, to be read forward.

    Raises:
        UsageError: there is nothing.
        DeniedError: it may not be read.
        NotVerifiableError: the system cannot open it.
    """
    start = first(path)
    single = path.is_file() and not _NUMBERED.fullmatch(path.name)
    if single or not start.is_file():
        return open_container(path)
    return io.BufferedReader(_Torn(list(_present(start))), _BUFFER)


def _present(start: Path) -> Iterator[Path]:
    """Yield the volumes without a gap; one that is shorter than the first ends the set."""
    stem = start.name.removesuffix(".001")
    full = start.stat().st_size
    for number in count(1):
        names = (stem, stem.removesuffix(".partial"))
        places = (start.with_name(f"{name}.{number:03d}") for name in names)
        found = next((place for place in places if place.is_file()), None)
        if found is None or number > MAX_VOLUMES:
            return
        yield found
        if found.stat().st_size < full:
            return


class _Torn(io.RawIOBase):
    """Files one after another, read forward only."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = iter(paths)
        self._file: io.FileIO | None = _opened(next(self._paths))

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        while self._file is not None:
            try:
                taken = self._file.readinto(buffer)
            except OSError as error:
                raise NotVerifiableError(f"{self._file.name}: {error.strerror}") from error
            if taken:
                return taken
            self._file.close()
            following = next(self._paths, None)
            self._file = None if following is None else _opened(following)
        return 0

    @override
    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()


def _opened(path: Path) -> io.FileIO:
    try:
        return io.FileIO(path)
    except OSError as error:
        raise NotVerifiableError(f"{path}: {error.strerror}") from error
