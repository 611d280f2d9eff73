"""A sparse file as one PAX GNU.sparse.1.0 tar member: only its extents are read and stored (GNU tar manual, E.0.3).

`tar -xSf` restores it byte for byte, holes included; a file of 1 TB with 1 MB of data costs milliseconds.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EXTENTS: Final = 100_000
LEAST: Final = 1 << 20  # below, holes cost less than a tar
_BLOCK: Final = 512
_OCTAL_LIMIT: Final = 8**11


def is_sparse(size: int, blocks: int) -> bool:
    """Return whether less than half of the file is allocated; `blocks` are of 512 bytes."""
    return size > LEAST and blocks * _BLOCK < size // 2


def extents(fd: int, size: int) -> tuple[list[tuple[int, int]], bool]:
    """Return (offset, length) of the data below `size`, and whether there were more than MAX_EXTENTS.

    Raises:
        OSError: the file system does not know holes (EINVAL), or cannot be read.
    """
    found: list[tuple[int, int]] = []
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # only a hole follows
            raise
        if start >= size:
            break
        if len(found) == MAX_EXTENTS:
            return found, True
        position = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        found.append((start, position - start))
    return found, False


def within(found: list[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """Return the extents, cut where their sum reaches `limit` bytes."""
    kept, left = [], limit
    for start, length in found:
        if left <= 0:
            break
        kept.append((start, min(length, left)))
        left -= length
    return kept


def padding(length: int) -> bytes:
    """Return the zeros that fill the last block."""
    return bytes(-length % _BLOCK)


def stored_map(found: list[tuple[int, int]], size: int) -> bytes:
    """Return the map in front of the data: count, then offset and length of each extent, padded to a block.

    As GNU tar does, a file that ends in a hole gets a last empty extent at its size.
    """
    entries = list(found)
    if not entries or entries[-1][0] + entries[-1][1] < size:
        entries.append((size, 0))
    text = f"{len(entries)}\n" + "".join(f"{start}\n{length}\n" for start, length in entries)
    data = text.encode()
    return data + padding(len(data))


def header(name: str, *, size: int, stored: int, mode: int, mtime: int) -> bytes:
    """Return the PAX and the member header for `stored` bytes of map and data that stand for `size` bytes.

    Args:
        name: member name, ASCII, at most 60 characters.
        size: apparent size.
        stored: length of map and extents.
        mode: permission bits.
        mtime: seconds.
    """
    fields = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": str(size),
        **({"size": str(stored)} if stored >= _OCTAL_LIMIT else {}),
    }
    records = b"".join(_record(key, value) for key, value in fields.items())
    hidden = f"GNUSparseFile.0/{name}"
    return (
        _ustar(f"PaxHeaders.0/{name}", len(records), 0o644, mtime, b"x")
        + records
        + padding(len(records))
        + _ustar(hidden, stored, mode & 0o777, mtime, b"0")
    )


def _record(key: str, value: str) -> bytes:
    """Return `<length> key=value` with LF, where the length counts itself (POSIX pax)."""
    body = f" {key}={value}\n"
    length = len(body)
    while length != len(str(length)) + len(body):
        length = len(str(length)) + len(body)
    return f"{length}{body}".encode()


def _ustar(name: str, size: int, mode: int, mtime: int, kind: bytes) -> bytes:
    """Return one header block; a size beyond octal digits is 0 here and right in the PAX record."""
    octal = size if size < _OCTAL_LIMIT else 0
    seconds = min(max(mtime, 0), _OCTAL_LIMIT - 1)
    head = name.encode().ljust(100, b"\0")
    head += f"{mode:07o}\0{0:07o}\0{0:07o}\0{octal:011o}\0{seconds:011o}\0".encode()
    tail = (kind + bytes(100) + b"ustar\x0000").ljust(500 - 148 - 8, b"\0")
    total = sum(head) + 8 * 32 + sum(tail)
    return (head + f"{total:06o}\0 ".encode() + tail).ljust(_BLOCK, b"\0")


def end() -> bytes:
    """Return the two empty blocks that end a tar."""
    return bytes(2 * _BLOCK)


def spans(found: list[tuple[int, int]], chunk: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of reads of at most `chunk` bytes that cover the extents in order."""
    for start, length in found:
        for offset in range(start, start + length, chunk):
            yield offset, min(chunk, start + length - offset)
