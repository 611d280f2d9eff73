"""The list of files that a limit left out: one record in place of an item for each, in memory only as packed lines."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from hozen_agent.items import AttemptFailed, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_KEPT: Final = 4 << 20  # packed bytes of lines that wait in memory
MOST_LISTED: Final = 32 << 20  # bytes of lines in the record
_PIECE: Final = 1 << 18


class LeftOut:
    """Lines of JSON that wait until the record is written.

    Attributes:
        any: whether lines wait.
        files, size: of everything that was left out, listed or not; sizes are those of stat.
        unlisted: lines that a bound left no room for.
    """

    __slots__ = ("_kept", "_packed", "_packer", "any", "files", "size", "unlisted")

    def __init__(self) -> None:
        self._packer = zlib.compressobj(1)
        self._packed: list[bytes] = []
        self.any = False
        self._kept = self.files = self.size = self.unlisted = 0

    def count(self, files: int, size: int) -> None:
        """Count files of which the lines come or came."""
        self.files += files
        self.size += size

    def sentence(self, why: str) -> str:
        """Return how much was left out and why."""
        return f"{self.files} files of {self.size} bytes were left out: {why}; the list has their names"

    def keep(self, lines: bytes) -> None:
        """Whole lines wait, packed; beyond MOST_KEPT they are only counted."""
        self.any = True
        if self._kept > MOST_KEPT:
            self.unlisted += lines.count(b"\n")
            return
        packed = self._packer.compress(lines)
        if packed:
            self._packed.append(packed)
            self._kept += len(packed)

    def lines(self, first: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines of `first`, then those that wait; each piece ends with a whole line but for those packed.

        Raises:
            AttemptFailed: at the end, when some have no line.
        """
        written = 0
        for piece in first:
            written += len(piece)
            if written > MOST_LISTED:
                self.unlisted += piece.count(b"\n")
            else:
                yield piece
        for piece in self._unpacked():
            written += len(piece)
            if written > MOST_LISTED:
                self.unlisted += piece.count(b"\n")
            else:
                yield piece
        if self.unlisted:
            why = f"{self.unlisted} of {self.files} files that were left out have no line: the list is bounded"
            raise AttemptFailed(Outcome.TRUNCATED, why)

    def _unpacked(self) -> Iterator[bytes]:
        """Yield what waits, in whole lines."""
        self._packed.append(self._packer.flush())
        plain, rest = zlib.decompressobj(), b""
        for packed in self._packed:
            piece = packed
            while piece:
                text = rest + plain.decompress(piece, _PIECE)
                piece = plain.unconsumed_tail
                whole, end, rest = text.rpartition(b"\n")
                yield whole + end
        yield rest + plain.flush()
