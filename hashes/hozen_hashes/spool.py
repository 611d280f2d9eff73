"""Bytes that grow without growing memory: kept here up to 1 MiB, then in a temporary file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes.errors import CannotWriteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from hozen_hashes.buffers import Buffer

IN_MEMORY = 1 << 20
_CHUNK = 1 << 20


class Spool:
    """Appends bytes and gives them back in order, as often as asked.

    Attributes:
        size: bytes appended so far.
    """

    __slots__ = ("_file", "_open", "_tail", "size")

    def __init__(self, spill: Callable[[], BinaryIO] | None = None) -> None:
        self._open = spill
        self._file: BinaryIO | None = None
        self._tail = bytearray()
        self.size = 0

    def append(self, data: Buffer) -> None:
        """Take the next bytes.

        Raises:
            CannotWriteError: the temporary file refuses them.
        """
        self._tail += data
        self.size += len(data)
        if len(self._tail) > IN_MEMORY and self._open is not None:
            self._spill(self._open)

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in order; nothing may be appended meanwhile.

        Raises:
            CannotWriteError: the temporary file cannot be read back.
        """
        if self._file is not None:
            self._seek(self._file, 0)
            while chunk := self._read(self._file):
                yield chunk
        for start in range(0, len(self._tail), _CHUNK):
            yield bytes(self._tail[start : start + _CHUNK])

    def close(self) -> None:
        """Give the temporary file back; nothing may be appended or read afterwards."""
        if self._file is not None:
            self._file.close()

    def _spill(self, make: Callable[[], BinaryIO]) -> None:
        try:
            if self._file is None:
                self._file = make()
            self._file.seek(0, 2)
            self._file.write(self._tail)
        except OSError as error:
            raise CannotWriteError(f"the temporary file refuses a write: {error}") from error
        self._tail.clear()

    @staticmethod
    def _seek(file: BinaryIO, offset: int) -> None:
        try:
            file.flush()
            file.seek(offset)
        except OSError as error:
            raise CannotWriteError(f"the temporary file is gone: {error}") from error

    @staticmethod
    def _read(file: BinaryIO) -> bytes:
        try:
            return file.read(_CHUNK)
        except OSError as error:
            raise CannotWriteError(f"the temporary file cannot be read: {error}") from error
