"""The end of a container: the central directory and the records after it (bundle-v1 §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes.spool import Spool
from hozen_hashes.zipformat import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DESCRIPTOR_FLAG,
    DOS_EPOCH,
    END,
    END64,
    END64_REST,
    END64_SIGNATURE,
    END_SIGNATURE,
    EXTRA,
    FILE_ATTRIBUTES,
    HOST_UNIX,
    LOCATOR,
    LOCATOR_SIGNATURE,
    U16_MAX,
    U32_MAX,
    VERSION_20,
    VERSION_ZIP64,
    ZIP64_EXTRA,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

_MADE_20 = HOST_UNIX << 8 | VERSION_20
_MADE_64 = HOST_UNIX << 8 | VERSION_ZIP64


class CentralDirectory:
    """The list of what was written, as bytes: never an object a member."""

    __slots__ = ("_bytes", "_count")

    def __init__(self, spill: Callable[[], BinaryIO] | None = None) -> None:
        self._bytes = Spool(spill)
        self._count = 0

    def append(
        self,
        name: bytes,
        method: int,
        sizes: tuple[int, int, int],
        *,
        offset: int,
        streamed: bool = False,
    ) -> None:
        """List one member; ZIP64 fields only for what needs them.

        Args:
            name: ASCII.
            method: 0 or 8.
            sizes: CRC-32, compressed bytes, bytes.
            offset: where its local header begins.
            streamed: whether a data descriptor follows it.

        Raises:
            CannotWriteError: the temporary file refuses a write.
        """
        crc, compressed, size = sizes
        made, version, flags = _MADE_20, VERSION_20, 0
        extra = b""
        if streamed:
            made, version, flags = _MADE_64, VERSION_ZIP64, DESCRIPTOR_FLAG
        if size >= U32_MAX or compressed >= U32_MAX or offset >= U32_MAX:
            made, version = _MADE_64, VERSION_ZIP64
            extra = _extra64([n for n in (size, compressed, offset) if n >= U32_MAX])
            size, compressed, offset = (min(n, U32_MAX) for n in (size, compressed, offset))
        header = CENTRAL.pack(
            *(CENTRAL_SIGNATURE, made, version, flags, method, DOS_EPOCH, crc, compressed, size),
            *(len(name), len(extra), 0, 0, 0, FILE_ATTRIBUTES, offset),
        )
        self._bytes.append(header + name + extra)
        self._count += 1

    def close(self) -> None:
        """Give the temporary file back."""
        self._bytes.close()

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Yield the directory and the end records.

        Args:
            offset: where the directory begins in the container.

        Raises:
            CannotWriteError: the temporary file cannot be read back.
        """
        yield from self._bytes.chunks()
        count, size = self._count, self._bytes.size
        if count >= U16_MAX or offset >= U32_MAX or size >= U32_MAX:
            yield END64.pack(
                *(END64_SIGNATURE, END64_REST, _MADE_64, VERSION_ZIP64, 0, 0),
                *(count, count, size, offset),
            )
            yield LOCATOR.pack(LOCATOR_SIGNATURE, 0, offset + size, 1)
        short = min(count, U16_MAX)
        yield END.pack(
            *(END_SIGNATURE, 0, 0, short, short, min(size, U32_MAX), min(offset, U32_MAX), 0)
        )


def _extra64(values: list[int]) -> bytes:
    body = b"".join(value.to_bytes(8, "little") for value in values)
    return EXTRA.pack(ZIP64_EXTRA, len(body)) + body
