"""Where the bytes of one request go: a writer thread and a hash thread, fed from the event loop.

The loop never waits for the disk; it waits only when the threads are too many bytes behind.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from typing import TYPE_CHECKING

from hozen_collector import durable, faults
from hozen_collector.intake.blockfile import BlockFile
from hozen_hashes.errors import HozenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hozen_collector.intake.headers import Checksum
    from hozen_hashes.digest import Digest


class Lane:
    """A thread that takes chunks in order and remembers its first error; later chunks are then dropped."""

    def __init__(
        self, name: str, take: Callable[[bytes], None], done: Callable[[int], None]
    ) -> None:
        self._take = take
        self._done = done
        self._chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.error: HozenError | OSError | None = None
        self._thread.start()

    def put(self, chunk: bytes) -> None:
        """Hand over a chunk."""
        self._chunks.put(chunk)

    def join(self) -> None:
        """Return when every chunk was taken and the thread has ended."""
        self._chunks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            try:
                if self.error is None:
                    self._take(chunk)
            except (OSError, HozenError) as error:
                self.error = error
            finally:
                self._done(len(chunk))


class Sink:
    """Takes the bytes of one request behind `offset`.

    Args:
        path: the upload's file.
        offset: durable bytes before this request.
        digest: running SHA-256 of the upload up to `offset`, or None where it is not known; brought forward.
        checksum: what the whole body must hash to. Then nothing is acknowledged before the end.
        commit: makes an offset durable in the database; blocks.
        share: gives how many bytes the threads may be behind now.
        commit_bytes: after how many bytes that is done within the request.
        commit_seconds: after how many seconds.
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        *,
        digest: Digest | None,
        checksum: Checksum | None,
        commit: Callable[[int], None],
        share: Callable[[], int],
        commit_bytes: int,
        commit_seconds: float,
    ) -> None:
        self._offset = offset
        self._commit = commit
        self._share = share
        self._limit = share()
        self._commit_bytes = commit_bytes
        self._commit_seconds = commit_seconds
        self._committed = offset
        self._committed_at = time.monotonic()
        self._checksum = checksum
        self._body = checksum.new() if checksum else None
        self._digest = digest
        with durable.writing("the upload"):
            self._file = BlockFile(path, offset)
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._behind = 0
        self._room = asyncio.Event()
        self._room.set()
        self._writer = Lane("hozen-writer", self._write, self._taken)
        hashing = digest is not None or checksum is not None
        self._hasher = Lane("hozen-hasher", self._hash, self._taken) if hashing else None

    async def put(self, chunk: bytes) -> None:
        """Take `chunk`; returns when there is room for more.

        Raises:
            CannotWriteError: a byte before could not be written.
        """
        lanes = 1 if self._hasher is None else 2
        self._limit = self._share()
        with self._lock:
            self._behind += len(chunk) * lanes
            full = self._behind > self._limit * lanes
            if full:
                self._room.clear()
        self._writer.put(chunk)
        if self._hasher is not None:
            self._hasher.put(chunk)
        if full:
            await self._room.wait()
        if self._writer.error is not None:
            raise _as_hozen(self._writer.error)

    def finish(self) -> int:
        """Make what was taken durable and acknowledged; return the upload's offset. Blocks.

        Raises:
            CannotWriteError: it could not; the offset in the database stands.
        """
        self._join()
        if self._writer.error is not None:
            raise _as_hozen(self._writer.error)
        with durable.writing("the upload"):
            end = self._file.finish()
        faults.reach("upload-synced")
        if end > self._committed:
            self._commit(end)
            self._committed = end
        faults.reach("offset-committed")
        return self._committed

    def close(self) -> None:
        """End the threads and give the file back; acknowledges nothing more. Blocks; may be called again."""
        self._join()
        self._file.close()

    def join_hash(self) -> bool:
        """Return whether the body has the expected checksum; nothing may be put afterwards. Blocks."""
        if self._hasher is not None:
            self._hasher.join()
        return (
            self._body is None
            or self._checksum is None
            or self._body.digest() == self._checksum.digest
        )

    def _join(self) -> None:
        self._writer.join()
        if self._hasher is not None:
            self._hasher.join()

    def _write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        faults.reach("upload-written")
        if self._checksum is not None:
            return
        late = time.monotonic() - self._committed_at > self._commit_seconds
        if late or self._file.end - self._committed >= self._commit_bytes:
            end = self._file.flush()
            if end > self._committed:
                self._commit(end)
                self._committed = end
            self._committed_at = time.monotonic()

    def _hash(self, chunk: bytes) -> None:
        if self._digest is not None:
            self._digest.update(chunk)
        if self._body is not None:
            self._body.update(chunk)

    def _taken(self, count: int) -> None:
        with self._lock:
            self._behind -= count
            wake = self._behind <= self._limit // 2 and not self._room.is_set()
        if wake:
            self._loop.call_soon_threadsafe(self._room.set)


def _as_hozen(error: HozenError | OSError) -> HozenError:
    if isinstance(error, HozenError):
        return error
    return durable.cannot_write("the upload", error)
