"""Bytes out of a container: a source that can be asked for exact pieces, and a member's content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes import deflate
from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.zipformat import STORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 256 << 10
"""No piece of inflated content is longer."""

# Inflating goes fastest where input and output stay in the processor's cache together.
_INPUT = 16 << 10
_OUTPUT = 64 << 10


class Feed:
    """A forward source with a place to put back what was read too far.

    Attributes:
        position: bytes given so far.
    """

    __slots__ = ("_at", "_buffer", "_read", "position")

    def __init__(self, read: Callable[[int], bytes], *, position: int = 0) -> None:
        """Begin to read.

        Args:
            read: gives at most so many bytes, none only at the end.
            position: what the first byte counts as.
        """
        self._read = read
        self._buffer = b""
        self._at = 0
        self.position = position

    def some(self, limit: int) -> bytes:
        """Return between 1 and `limit` bytes; none at the end."""
        if self._at == len(self._buffer):
            self._buffer = self._read(CHUNK)
            self._at = 0
        piece = self._buffer[self._at : self._at + limit]
        self._at += len(piece)
        self.position += len(piece)
        return piece

    def take(self, size: int) -> bytes:
        """Return exactly `size` bytes.

        Raises:
            FormatError: the container ends before.
        """
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        self.position += len(piece)
        if len(piece) == size:
            return piece
        pieces = [piece]
        missing = size - len(piece)
        while missing:
            piece = self.some(missing)
            if not piece:
                raise FormatError("the container ends in the middle of a record")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def unread(self, data: bytes) -> None:
        """Put back the bytes that were given last."""
        self._buffer = data + self._buffer[self._at :]
        self._at = 0
        self.position -= len(data)


class Content:
    """The content of one member, checked as it comes out.

    Attributes:
        crc: CRC-32 of what came out so far.
        size: bytes that came out so far.
        compressed: bytes that went in so far.
        rest: bytes read behind a stream whose length was not known.
    """

    __slots__ = (
        "_bound",
        "_exact",
        "_length",
        "_method",
        "_name",
        "_read",
        "compressed",
        "crc",
        "rest",
        "size",
    )

    def __init__(
        self,
        read: Callable[[int], bytes],
        *,
        name: str,
        method: int,
        length: int | None,
        bound: int,
        exact: bool = False,
    ) -> None:
        """Begin at the first compressed byte.

        Args:
            read: gives at most so many bytes, none only at the end.
            name: for messages.
            method: 0 or 8.
            length: compressed bytes; None: the deflate stream says where it ends.
            bound: the inflated size; with an unknown length, the most that is allowed.
            exact: give every byte that can be known before a tear.
        """
        self._read = read
        self._name = name
        self._method = method
        self._length = length
        self._bound = bound
        self._exact = exact
        self.crc = 0
        self.size = 0
        self.compressed = 0
        self.rest = b""

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most 256 KiB.

        Raises:
            FormatError: the container ends before the content does, it is no deflate stream, or the
                stream has another length than the headers say.
            LimitError: content of unknown length is longer than allowed.
        """
        for piece in self._stored() if self._method == STORED else self._inflated():
            self.size += len(piece)
            if self.size > self._bound:
                kind = LimitError if self._length is None else FormatError
                raise kind(f"more than {self._bound} bytes come out of {self._name}")
            self.crc = deflate.crc32(piece, self.crc)
            yield piece

    def _input(self, most: int) -> bytes:
        """Return the next compressed bytes; none only at the end of a known length."""
        wanted = most if self._length is None else min(most, self._length - self.compressed)
        if not wanted:
            return b""
        piece = self._read(wanted)
        if not piece:
            raise FormatError(f"the container ends inside {self._name}")
        self.compressed += len(piece)
        return piece

    def _stored(self) -> Iterator[bytes]:
        while piece := self._input(CHUNK):
            yield piece

    def _inflated(self) -> Iterator[bytes]:
        stream = deflate.Inflater()
        more = False  # a full piece may leave output behind even when all input is used
        while not stream.eof:
            data = stream.pending or (b"" if more else self._input(_INPUT))
            if not data and not more:
                raise FormatError(f"the deflate stream does not end: {self._name}")
            twin = stream.copy() if self._exact else None
            wanted = min(_OUTPUT, self._bound - self.size + 1)
            try:
                piece = stream.inflate(data, wanted)
            except FormatError:
                if twin is not None:
                    yield from _before_damage(twin, data)
                raise
            more = len(piece) == wanted
            if piece:
                yield piece
        self.rest = stream.pending
        self.compressed -= len(self.rest)
        if self._length is not None and self.compressed != self._length:
            raise FormatError(f"bytes after the deflate stream: {self._name}")


def _before_damage(stream: deflate.Inflater, data: bytes) -> Iterator[bytes]:
    """Yield what the bytes before the damaged one inflate to."""
    for at in range(len(data)):
        piece = data[at : at + 1]
        while True:
            try:
                out = stream.inflate(piece, CHUNK)
            except FormatError:
                return
            if out:
                yield out
            piece = stream.pending
            if not piece:
                break
