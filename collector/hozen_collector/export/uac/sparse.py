"""A sparse file as it was on the host: its tar (one GNU.sparse.1.0 member, GNU tar manual, E.0.3), holes filled.

Not by tarfile: on a map that was cut it reads for ever.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EXPANDED: Final = 1 << 30
_BLOCK: Final = 512
_DIGITS: Final = 24
_MAX_NUMBERS: Final = 1 << 20
_ZEROS: Final = bytes(1 << 20)
_MAX_HEADER: Final = 1 << 21
_OCTAL: Final = re.compile(rb"[0-7]{1,11}")
_PAX: Final = b"x"
_PLAIN: Final = b"0"


class _Reader:
    """Chunks read in the sizes that are asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, b""
        self.at = 0

    def some(self, limit: int) -> bytes:
        """Return at most `limit` bytes; FormatError at the end."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise FormatError("a sparse file is not whole")
            self._left = chunk
        data, self._left = self._left[:limit], self._left[limit:]
        self.at += len(data)
        return data

    def exactly(self, size: int) -> bytes:
        parts = []
        while size:
            parts.append(self.some(size))
            size -= len(parts[-1])
        return b"".join(parts)

    def number(self) -> int:
        digits = bytearray()
        while (one := self.some(1)) != b"\n":
            digits += one
            if len(digits) > _DIGITS or not one.isdigit():
                raise FormatError("a sparse file has a map that cannot be read")
        return int(digits or b"0")

    def rest(self) -> None:
        self._left = b""
        for _ in self._chunks:
            continue


def expanded(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield the file with its holes as zeros, `size` bytes in all.

    Raises:
        FormatError: the tar is not in that form, or does not give this size.
    """
    reader = _Reader(chunks)
    _headers(reader)
    start = reader.at
    count = reader.number()
    if count * 2 > _MAX_NUMBERS:
        raise FormatError("a sparse file has a map that is too long")
    pairs = [(reader.number(), reader.number()) for _ in range(count)]
    reader.exactly((start - reader.at) % _BLOCK)
    at = 0
    for offset, length in pairs:
        if offset < at or offset + length > size:
            raise FormatError("a sparse file has a map that contradicts itself")
        yield from _hole(offset - at)
        left = length
        while left:
            data = reader.some(left)
            left -= len(data)
            yield data
        at = offset + length
    yield from _hole(size - at)
    reader.rest()


def _headers(reader: _Reader) -> None:
    """Pass the PAX header and the header of the member."""
    head = reader.exactly(_BLOCK)
    while head[156:157] == _PAX:
        size = head[124:135].strip(b"\0 ")
        length = int(size, 8) if _OCTAL.fullmatch(size) else _MAX_HEADER + 1
        if length > _MAX_HEADER:
            raise FormatError("a sparse file has a header that cannot be read")
        reader.exactly(length + -length % _BLOCK)
        head = reader.exactly(_BLOCK)
    if head[156:157] != _PLAIN:
        raise FormatError("a sparse file has no member behind its header")


def _hole(size: int) -> Iterator[bytes]:
    while size:
        part = _ZEROS[:size]
        yield part
        size -= len(part)
