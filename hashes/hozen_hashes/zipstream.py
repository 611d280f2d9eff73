"""Writes a container front to back, never seeking (bundle-v1 §4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hozen_hashes import deflate
from hozen_hashes.errors import InternalError
from hozen_hashes.zipcentral import CentralDirectory
from hozen_hashes.zipformat import (
    DEFLATED,
    DESCRIPTOR64,
    DESCRIPTOR_FLAG,
    DESCRIPTOR_SIGNATURE,
    DOS_EPOCH,
    EXTRA64_STREAMED,
    LOCAL,
    LOCAL_SIGNATURE,
    STORED,
    U32_MAX,
    VERSION_20,
    VERSION_ZIP64,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from hozen_hashes.buffers import Buffer

EXACT = 4 << 20
"""A member of up to so many bytes carries its sizes in its local header."""

_NAME = re.compile(r"[A-Za-z0-9._/-]{1,200}")
_TRIAL = 64 << 10
_WORTH = 0.95
_TOO_SMALL = 200  # below it deflate saves less than its own time is worth
_JOIN = 32 << 10  # below it one copy is cheaper than a second call of write
_GATHER = 64 << 10  # smaller pieces are gathered, so that stored blocks stay few


class ZipStream:
    """A container that is being written; one member is open at a time."""

    __slots__ = ("_sink",)

    def __init__(
        self,
        write: Callable[[Buffer], object],
        *,
        spill: Callable[[], BinaryIO] | None = None,
    ) -> None:
        """Begin an empty container.

        Args:
            write: takes the container's bytes in order; what it raises ends the container.
            spill: gives an unlinked temporary file for the central directory beyond 1 MiB; without
                it memory grows by about 130 bytes a member.
        """
        self._sink = _Sink(write, CentralDirectory(spill))

    @property
    def offset(self) -> int:
        """Container bytes passed to `write` so far."""
        return self._sink.offset

    def add(self, name: str, data: Buffer) -> None:
        """Write one whole member; deflated when that makes it smaller.

        Raises:
            InternalError: another member is open, or the name is none (bundle-v1 §3).
            CannotWriteError: the temporary file of the central directory refuses a write.
        """
        if len(data) > EXACT:
            member = self.open(name)
            member.write(data)
            member.close()
        else:
            self._sink.begin(name)
            self._sink.whole(name, data)

    def open(self, name: str, *, expected: int = 0) -> ZipMember:
        """Begin a member whose size is not known; it must be closed before the next one.

        Args:
            name: as for `add`.
            expected: bytes that will probably come; nothing is kept back of what cannot have exact sizes anyway.

        Raises:
            InternalError: another member is open, or the name is none (bundle-v1 §3).
        """
        self._sink.begin(name)
        return ZipMember(self._sink, name, keep=EXACT if expected <= EXACT else 0)

    def finish(self) -> None:
        """Write the central directory and the end records; nothing may be added afterwards.

        Raises:
            InternalError: a member is open, or the container has ended already.
            CannotWriteError: the temporary file of the central directory fails.
        """
        self._sink.begin("end")
        for chunk in self._sink.central.chunks(self._sink.offset):
            self._sink.put(chunk)
        self._sink.central.close()

    def close(self) -> None:
        """Give the temporary file back, also when the container could not be finished."""
        self._sink.central.close()


class _Sink:
    """What the container and its open member share: where bytes go, and how many went."""

    __slots__ = ("busy", "central", "offset", "write")

    def __init__(self, write: Callable[[Buffer], object], central: CentralDirectory) -> None:
        self.write = write
        self.central = central
        self.busy = False
        self.offset = 0

    def begin(self, name: str) -> None:
        """Reserve the container for one member."""
        if self.busy:
            raise InternalError("a member is begun while another is open, or after the end")
        if not _NAME.fullmatch(name):
            raise InternalError(f"not a member name: {name[:80]!r}")
        self.busy = True

    def put(self, data: Buffer) -> None:
        self.write(data)
        self.offset += len(data)

    def whole(self, name: str, data: Buffer) -> None:
        """Write and list a member with exact sizes, and free the container."""
        encoded = name.encode("ascii")
        method, stream = _pack(data)
        sizes = deflate.crc32(data, 0), len(stream), len(data)
        header = LOCAL.pack(
            *(LOCAL_SIGNATURE, VERSION_20, 0, method, DOS_EPOCH, *sizes, len(encoded), 0)
        )
        self.central.append(encoded, method, sizes, offset=self.offset)
        if len(stream) <= _JOIN:
            self.put(b"".join((header, encoded, stream)))
        else:
            self.put(header + encoded)
            self.put(stream)
        self.busy = False


class ZipMember:
    """One member that grows; its size is not known until it is closed.

    Up to 4 MiB are kept back, so that small members get exact sizes. What is longer, or was flushed,
    goes out as a deflate stream with a data descriptor after it.

    Attributes:
        size: bytes written to the member so far.
    """

    __slots__ = ("_closed", "_gathered", "_keep", "_name", "_sink", "_stream", "size")

    def __init__(self, sink: _Sink, name: str, *, keep: int) -> None:
        self._keep = keep
        self._sink = sink
        self._name = name
        self._gathered = bytearray()
        self._stream: _Streamed | None = None
        self._closed = False
        self.size = 0

    def write(self, data: Buffer) -> None:
        """Append bytes to the member.

        Raises:
            InternalError: it is closed.
        """
        self._check_open()
        self.size += len(data)
        if self.size > self._keep and self._stream is None:
            self._begin(data)
        if self._stream is not None and not self._gathered and len(data) >= _GATHER:
            self._stream.feed(data)
            return
        self._gathered += data
        if self._stream is not None and len(self._gathered) >= _GATHER:
            self._release(self._stream)

    def flush(self) -> None:
        """Make all bytes written so far decodable from what the container has passed on.

        Raises:
            InternalError: the member is closed.
        """
        self._check_open()
        if self.size:
            stream = self._stream or self._begin(b"")
            self._release(stream)
            stream.flush()

    def close(self) -> None:
        """End the member.

        Raises:
            InternalError: it was closed before.
            CannotWriteError: the temporary file of the central directory refuses a write.
        """
        self._check_open()
        self._closed = True
        if self._stream is None:
            self._sink.whole(self._name, self._gathered)
            return
        self._release(self._stream)
        self._stream.end(self.size)

    def _begin(self, following: Buffer) -> _Streamed:
        """Choose how to compress, by the first 64 KiB, and write the local header."""
        trial = bytes(self._gathered[:_TRIAL])
        trial += memoryview(following)[: _TRIAL - len(trial)]
        codec = deflate.deflater() if _shrinks(trial) else deflate.stored()
        self._stream = _Streamed(self._sink, self._name, codec)
        self._release(self._stream)
        return self._stream

    def _release(self, stream: _Streamed) -> None:
        if self._gathered:
            gathered, self._gathered = self._gathered, bytearray()
            stream.feed(gathered)

    def _check_open(self) -> None:
        if self._closed:
            raise InternalError("the member is closed already")


class _Streamed:
    """The deflate stream of one member between its local header and its data descriptor."""

    __slots__ = ("_codec", "_compressed", "_crc", "_name", "_sink", "_start")

    def __init__(self, sink: _Sink, name: str, codec: deflate.Compressor) -> None:
        self._sink = sink
        self._name = name.encode("ascii")
        self._codec = codec
        self._start = sink.offset
        self._crc = 0
        self._compressed = 0
        header = LOCAL.pack(
            *(LOCAL_SIGNATURE, VERSION_ZIP64, DESCRIPTOR_FLAG, DEFLATED, DOS_EPOCH),
            *(0, U32_MAX, U32_MAX, len(self._name), len(EXTRA64_STREAMED)),
        )
        sink.put(header + self._name + EXTRA64_STREAMED)

    def feed(self, data: Buffer) -> None:
        self._crc = deflate.crc32(data, self._crc)
        self._out(self._codec.compress(data))

    def flush(self) -> None:
        self._out(self._codec.flush_block())

    def end(self, size: int) -> None:
        """Write the data descriptor, list the member, free the container."""
        self._out(self._codec.finish())
        sizes = self._crc, self._compressed, size
        self._sink.put(DESCRIPTOR64.pack(DESCRIPTOR_SIGNATURE, *sizes))
        self._sink.central.append(self._name, DEFLATED, sizes, offset=self._start, streamed=True)
        self._sink.busy = False

    def _out(self, stream: bytes) -> None:
        if stream:
            self._compressed += len(stream)
            self._sink.put(stream)


def _pack(data: Buffer) -> tuple[int, Buffer]:
    """Return method and bytes of a whole member, in whichever form is the smaller."""
    size = len(data)
    if size < _TOO_SMALL or (size > _TRIAL and not _shrinks(memoryview(data)[:_TRIAL])):
        return STORED, data
    stream = deflate.deflate(data)
    return (DEFLATED, stream) if len(stream) < size * _WORTH else (STORED, data)


def _shrinks(trial: Buffer) -> bool:
    return len(deflate.deflate(trial)) < len(trial) * _WORTH
