"""Reads the rows of one table of an SQLite 3 file, and nothing else (sqlite.org/fileformat2.html).

The library is not used on evidence: it would take locks, make files beside the database and roll back journals. Pages
that only a write-ahead log holds are not seen; `wal_frames` tells whether there can be any.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"SQLite format 3\0"
MAX_ROW: Final = 64 << 20
MAX_PAGES: Final = 4_000_000
_MAX_DEPTH: Final = 20
_LEAF, _INTERIOR = 13, 5
_SIZES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8}

Value = int | bytes | None


class SqliteFile:
    """An open database file; reads pages with pread, keeps none."""

    def __init__(self, fd: int) -> None:
        """Take the descriptor of a regular file.

        Raises:
            FormatError: it is no SQLite 3 database.
        """
        head = os.pread(fd, 100, 0)
        if len(head) < 100 or not head.startswith(MAGIC):  # noqa: PLR2004 - the header
            raise FormatError("not an SQLite 3 database", hint="only its bytes are stored")
        size = struct.unpack_from(">H", head, 16)[0]
        self._page = 65_536 if size == 1 else size
        self._usable = self._page - head[20]
        if self._page < 512 or self._page & (self._page - 1) or self._usable < 480:  # noqa: PLR2004
            raise FormatError("the SQLite header names an impossible page size")
        self._fd = fd
        self._left = MAX_PAGES

    def table(self, name: bytes) -> int:
        """Return the root page of a table.

        Raises:
            FormatError: there is none, or the file is damaged.
        """
        for _, row in self.rows(1):
            if len(row) > 3 and row[0] == b"table" and row[1] == name and isinstance(row[3], int):  # noqa: PLR2004
                return row[3]
        raise FormatError("the database has no such table")

    def rows(self, root: int) -> Iterator[tuple[int, list[Value]]]:
        """Yield (rowid, values) of the table whose b-tree begins on page `root`.

        Raises:
            FormatError: the file is damaged; the rows before were whole.
        """
        try:
            yield from self._tree(root, 0)
        except (struct.error, IndexError) as error:
            raise FormatError("the SQLite database is damaged") from error

    def _tree(self, number: int, depth: int) -> Iterator[tuple[int, list[Value]]]:
        if depth > _MAX_DEPTH:
            raise FormatError("the b-tree of the SQLite database is too deep")
        page = self._read(number)
        at = 100 if number == 1 else 0
        kind = page[at]
        cells = struct.unpack_from(">H", page, at + 3)[0]
        if kind not in {_LEAF, _INTERIOR}:
            raise FormatError("the SQLite database has a page of an unexpected kind")
        start = at + (8 if kind == _LEAF else 12)
        for place in struct.unpack_from(f">{cells}H", page, start):
            if kind == _LEAF:
                yield self._cell(page, place)
            else:
                yield from self._tree(struct.unpack_from(">I", page, place)[0], depth + 1)
        if kind == _INTERIOR:
            yield from self._tree(struct.unpack_from(">I", page, at + 8)[0], depth + 1)

    def _read(self, number: int) -> bytes:
        self._left -= 1
        if number < 1 or self._left < 0:
            raise FormatError("the SQLite database leads in circles")
        page = os.pread(self._fd, self._page, (number - 1) * self._page)
        if len(page) < self._page:
            raise FormatError("the SQLite database ends early")
        return page

    def _cell(self, page: bytes, place: int) -> tuple[int, list[Value]]:
        size, place = _varint(page, place)
        rowid, place = _varint(page, place)
        return rowid, _record(self._payload(page, place, size))

    def _payload(self, page: bytes, place: int, size: int) -> bytes:
        """Return the whole payload, whose end may lie on overflow pages (§1.6)."""
        if size > MAX_ROW:
            raise FormatError(f"a row of the SQLite database is larger than {MAX_ROW} bytes")
        most, least = self._usable - 35, (self._usable - 12) * 32 // 255 - 23
        if size <= most:
            return page[place : place + size]
        here = least + (size - least) % (self._usable - 4)
        here = here if here <= most else least
        parts, got = [page[place : place + here]], here
        following = struct.unpack_from(">I", page, place + here)[0]
        while got < size:
            page = self._read(following)
            following = struct.unpack_from(">I", page, 0)[0]
            parts.append(page[4 : min(self._usable, 4 + size - got)])
            got += len(parts[-1])
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = data[at + count]
        if count == 8:  # noqa: PLR2004 - the ninth byte is whole
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004
            return value, at + count + 1
    raise FormatError("a number in the SQLite database has no end")


def _record(payload: bytes) -> list[Value]:
    """Return the values of a record (§2.1); floating point numbers are not read."""
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    at = end
    for kind in kinds:
        size = _SIZES.get(kind, (kind - 12) // 2 if kind >= 12 else 0)  # noqa: PLR2004
        raw = payload[at : at + size]
        if len(raw) < size:
            raise FormatError("a row of the SQLite database ends early")
        at += size
        values.append(_value(kind, raw))
    return values


def _value(kind: int, raw: bytes) -> Value:
    if kind in {8, 9}:
        return kind - 8
    if kind in {0, 7}:
        return None
    return int.from_bytes(raw, "big", signed=True) if kind < 7 else raw  # noqa: PLR2004
