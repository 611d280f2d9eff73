"""Main memory as a LiME file: a head before each range, then its bytes (LiME format, version 1).

Every tool for memory images reads it, Volatility among them.
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_agent.kernel.ramlayout import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.kernel.ramlayout import Piece

_HEAD: Final = struct.Struct("<IIQQQ")  # magic, version, first and last address, zero
_MAGIC, _VERSION = 0x4C694D45, 1
_CHUNK: Final = 1 << 20
_MOST_LISTED: Final = 1000


def head(start: int, end: int) -> bytes:
    """Return the head of the range from `start` to before `end`."""
    return _HEAD.pack(_MAGIC, _VERSION, start, end - 1, 0)


@dataclass(slots=True)
class Image:
    """Reads pieces of memory into a LiME stream.

    Attributes:
        taken: bytes of memory so far, unreadable pages among them.
        unreadable: bytes that the kernel did not give; they are zeros in the image.
        holes: where, as (start, end), the first thousand.
    """

    kcore: int
    taken: int = 0
    unreadable: int = 0
    holes: list[tuple[int, int]] = field(default_factory=list)

    def stream(self, pieces: Iterable[Piece]) -> Iterator[bytes | memoryview]:
        """Yield the file; each piece of memory is valid until the next one is asked for.

        Raises:
            OSError: the kernel gives no memory at all.
        """
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        for piece in pieces:
            yield head(piece.start, piece.end)
            at = piece.start
            while at < piece.end:
                part = view[: min(_CHUNK, piece.end - at)]
                self._read(part, piece.offset + at - piece.start, at)
                self.taken += len(part)
                yield part
                at += len(part)

    def _read(self, into: memoryview, offset: int, address: int) -> None:
        """Fill `into`; what cannot be read becomes zeros, page by page."""
        done = 0
        while done < len(into):
            try:
                got = os.preadv(self.kcore, [into[done:]], offset + done)
            except OSError as error:
                if error.errno in {errno.EPERM, errno.EACCES}:
                    raise
                got = 0
            if not got:
                got = min(PAGE - (address + done) % PAGE, len(into) - done)
                into[done : done + got] = bytes(got)
                self._hole(address + done, address + done + got)
            done += got

    def _hole(self, start: int, end: int) -> None:
        self.unreadable += end - start
        if self.holes and self.holes[-1][1] == start:
            self.holes[-1] = (self.holes[-1][0], end)
        elif len(self.holes) < _MOST_LISTED:
            self.holes.append((start, end))
