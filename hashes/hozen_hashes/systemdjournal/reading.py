"""Objects of a journal file, by offset; every offset and size is checked before it is followed."""

from __future__ import annotations

import lzma
import struct
from typing import TYPE_CHECKING, BinaryIO, Final

from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.systemdjournal.header import SIZE, Header, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA, FIELD, ENTRY, DATA_TABLE, FIELD_TABLE, ENTRY_ARRAY, TAG = range(1, 8)
XZ, LZ4, ZSTD = 1, 2, 4
MAX_OBJECT: Final = 256 << 20
MAX_CONTENT: Final = 768 << 20  # of journald itself, DATA_SIZE_MAX
_OBJECT: Final = struct.Struct("<BB6xQ")
_ENTRY: Final = struct.Struct("<QQQ16sQ")
_LEAST: Final = {DATA: 64, FIELD: 40, ENTRY: 64, ENTRY_ARRAY: 24, TAG: 64}


class JournalFile:
    """A journal file opened for reading; nothing is kept but the header.

    Attributes:
        size: of the file in bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the header of a seekable file.

        Raises:
            FormatError: it is no journal file, or its header does not fit into it.
        """
        self._file = file
        self.size = file.seek(0, 2)
        file.seek(0)
        self.header: Header = read_header(file.read(SIZE))
        end = self.header.header_size + self.header.arena_size
        if self.header.header_size % 8 or end > self.size:
            raise FormatError(f"the header says {end} bytes, the file has {self.size}")

    def object_at(self, offset: int) -> tuple[int, int, bytes]:
        """Return type, flags and all bytes of an object.

        Raises:
            FormatError: the offset is no place for an object, or the object does not fit.
            LimitError: it is larger than MAX_OBJECT.
        """
        kind, flags, size = self.head_at(offset)
        if size > MAX_OBJECT:
            raise LimitError(f"object at {offset}: {size} bytes")
        self._file.seek(offset)
        return kind, flags, self._file.read(size)

    def head_at(self, offset: int) -> tuple[int, int, int]:
        """Return type, flags and size of an object.

        Raises:
            FormatError: as `object_at`.
        """
        end = self.header.header_size + self.header.arena_size
        if offset % 8 or not self.header.header_size <= offset <= end - _OBJECT.size:
            raise FormatError(f"offset {offset} is no place for an object")
        self._file.seek(offset)
        kind, flags, size = _OBJECT.unpack(self._file.read(_OBJECT.size))
        if kind > TAG or size < _LEAST.get(kind, _OBJECT.size) or offset + size > end:
            raise FormatError(f"object at {offset}: type {kind} with {size} bytes does not fit")
        return kind, flags, size

    def array_at(self, offset: int) -> tuple[int, list[int]]:
        """Return where the next array is, and the offsets in this one, without the unused places at its end.

        Raises:
            FormatError: there is no array.
        """
        kind, _, data = self.object_at(offset)
        if kind != ENTRY_ARRAY:
            raise FormatError(f"object at {offset}: type {kind} where an array of entries belongs")
        (following,) = struct.unpack_from("<Q", data, 16)
        items = data[24:]
        form, size = ("I", 4) if self.header.compact else ("Q", 8)
        count = len(items) // size
        return following, [o for o in struct.unpack(f"<{count}{form}", items[: count * size]) if o]

    def entry_at(self, offset: int) -> tuple[int, int, int, bytes, int, list[int]]:
        """Return number, wall clock, monotonic clock (µs), boot, hash, and the offsets of the data of an entry.

        Raises:
            FormatError: there is no entry.
        """
        kind, _, data = self.object_at(offset)
        if kind != ENTRY:
            raise FormatError(f"object at {offset}: type {kind} where an entry belongs")
        number, wall, monotonic, boot, mixed = _ENTRY.unpack_from(data, 16)
        items = data[64:]
        if self.header.compact:
            count = len(items) // 4
            offsets = list(struct.unpack(f"<{count}I", items[: count * 4]))
            return number, wall, monotonic, boot, mixed, offsets
        count = len(items) // 16
        pairs = struct.unpack(f"<{count * 2}Q", items[: count * 16])
        return number, wall, monotonic, boot, mixed, list(pairs[::2])

    def content_at(self, offset: int) -> tuple[bytes | None, int]:
        """Return `NAME=value` of a data object and its stored hash; None when its compression is not known here.

        Raises:
            FormatError: there is no data object, or it cannot be decompressed.
        """
        kind, flags, data = self.object_at(offset)
        if kind != DATA:
            raise FormatError(f"object at {offset}: type {kind} where data belong")
        (digest,) = struct.unpack_from("<Q", data, 16)
        payload = data[72 if self.header.compact else 64 :]
        return _opened(payload, flags, offset), digest

    def objects(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield offset, type, flags and size of each object in the order of the file, up to the tail.

        Raises:
            FormatError: one does not fit, or the last is not where the header says.
        """
        offset, last = self.header.header_size, self.header.tail_object
        while offset <= last:
            kind, flags, size = self.head_at(offset)
            yield offset, kind, flags, size
            if offset == last:
                return
            offset += (size + 7) & ~7
        raise FormatError(f"no object ends where the last one should begin, at {last}")


def _opened(payload: bytes, flags: int, offset: int) -> bytes | None:
    """Return the content of a data object, decompressed where we can."""
    if not flags & (XZ | LZ4 | ZSTD):
        return payload
    if flags & LZ4:
        return _lz4(payload, offset)
    if flags & XZ:
        try:
            return lzma.LZMADecompressor(memlimit=128 << 20).decompress(payload, MAX_CONTENT)
        except lzma.LZMAError as error:
            raise FormatError(f"object at {offset}: xz data are damaged") from error
    return None


def _lz4(payload: bytes, offset: int) -> bytes:
    """Return an LZ4 block after its size of eight bytes (lz4_Block_format.md)."""
    size, at, out = int.from_bytes(payload[:8], "little"), 8, bytearray()
    if size > MAX_CONTENT:
        raise LimitError(f"object at {offset}: {size} bytes")
    try:
        while at < len(payload):
            token, at = payload[at], at + 1
            length, at = _length(payload, at, token >> 4)
            out += payload[at : at + length]
            at += length
            if at >= len(payload) or len(out) > size:
                break
            back, at = int.from_bytes(payload[at : at + 2], "little"), at + 2
            length, at = _length(payload, at, token & 15)
            if not 0 < back <= len(out):
                raise FormatError(f"object at {offset}: lz4 data are damaged")
            length = min(length + 4, size - len(out))
            piece = bytes(out[-back:])
            out += (piece * (length // back + 1))[:length]
    except IndexError:
        raise FormatError(f"object at {offset}: lz4 data are cut") from None
    if len(out) != size:
        raise FormatError(f"object at {offset}: lz4 data are damaged")
    return bytes(out)


def _length(payload: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:  # noqa: PLR2004 - four bits of ones: more follows
        while True:
            more, at = payload[at], at + 1
            length += more
            if more != 255:  # noqa: PLR2004
                break
    return length, at
