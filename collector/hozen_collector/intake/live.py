"""One live writer an upload: a later request stops an earlier one, which first makes durable what it has.

A client whose connection died cannot tell the collector; its next request does (HEAD, PATCH or DELETE). Used on the
event loop only.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from hozen_hashes.digest import Digest
from hozen_hashes.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_GIVE_UP: Final = 60.0  # seconds to wait until a stopped writer has made its bytes durable
_MAX_DIGESTS: Final = 4096
_BEHIND: Final = 64 << 20  # bytes that all writers together may hold in memory
_LEAST, _MOST = 256 << 10, 8 << 20


class Turn:
    """The right to write an upload until `stopped`."""

    def __init__(self) -> None:
        self.stopped = False
        self.over = asyncio.Event()
        self._deadline: asyncio.Timeout | None = None

    def stop(self) -> None:
        """Make the writer end at its next wait for bytes."""
        self.stopped = True
        if self._deadline is not None and not self._deadline.expired():
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                self._deadline.reschedule(asyncio.get_running_loop().time())

    def watch(self, deadline: asyncio.Timeout) -> None:
        """Let `stop` end this wait."""
        self._deadline = deadline
        if self.stopped:
            self.stop()


class LiveUploads:
    """Who is writing what, and the running SHA-256 of uploads that this process has seen from their first byte."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._digests: dict[str, Digest] = {}

    @contextlib.asynccontextmanager
    async def turn(self, upload_id: str) -> AsyncIterator[Turn]:
        """Be the only writer of an upload within the block, whoever wrote before being stopped first.

        Raises:
            TryAgainError: the earlier writer does not end (a disk that hangs).
        """
        await self.preempt(upload_id)
        mine = Turn()
        self._turns[upload_id] = mine
        try:
            yield mine
        finally:
            del self._turns[upload_id]
            mine.over.set()

    async def preempt(self, upload_id: str) -> None:
        """Return when nobody writes the upload.

        Raises:
            TryAgainError: the writer does not end.
        """
        while (other := self._turns.get(upload_id)) is not None:
            other.stop()
            try:
                await asyncio.wait_for(other.over.wait(), _GIVE_UP)
            except TimeoutError as error:
                raise TryAgainError("another request still writes this upload") from error

    def share(self) -> int:
        """Give how many bytes one writer may hold in memory, so that many together stay bounded."""
        return min(_MOST, max(_LEAST, _BEHIND // max(1, len(self._turns))))

    def stop_all(self) -> None:
        """Stop every writer: the collector ends."""
        for turn in self._turns.values():
            turn.stop()

    def take_digest(self, upload_id: str, offset: int) -> Digest | None:
        """Give the running digest if it is known up to exactly `offset`."""
        digest = self._digests.pop(upload_id, None)
        if digest is None and offset == 0:
            return Digest()
        return digest if digest is not None and digest.size == offset else None

    def keep_digest(self, upload_id: str, digest: Digest | None) -> None:
        """Remember a running digest for the next request."""
        if digest is not None and len(self._digests) < _MAX_DIGESTS:
            self._digests[upload_id] = digest
