"""Whole pieces of work for a worker of the pool, as the supervisor sees them: ask, take blocks, learn how it ended."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from hozen_agent.reading.reader import FileReader
from hozen_agent.reading.selection import Selection
from hozen_agent.workers import serve
from hozen_agent.workers.ring import Kind, WorkerGoneError, WorkerSilentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hozen_agent.context import Context
    from hozen_agent.workers.pool import Lane, ReaderPool

MAX_REQUEST: Final = 32 << 10  # together with its path; a pipe holds 64 KiB


def pool_of(ctx: Context) -> ReaderPool | None:
    """Return the pool of a real capture; None when only the plan is asked for, and nothing is to be read."""
    if isinstance(ctx.files, Selection):
        return ctx.files.pool
    return ctx.files.pool if isinstance(ctx.files, FileReader) else None


class Job:
    """One job; iterate once, then ask how it ended.

    Attributes:
        summary: what the worker said at the end, empty when it was lost.
        lost: why there is no end, or an empty string; `silent` when it may hang for ever.
    """

    __slots__ = ("_asked", "_number", "_path", "_pool", "lost", "silent", "summary")

    def __init__(
        self, pool: ReaderPool, number: int, path: bytes, asked: Mapping[str, object]
    ) -> None:
        """Prepare job `number` (see jobwork) on `path`; nothing is sent yet."""
        self._pool = pool
        self._number = number
        self._path = path
        self._asked = json.dumps(asked).encode()
        self.summary: dict[str, object] = {}
        self.lost = ""
        self.silent = False

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield (stream, bytes) in the order of the work; a lost worker ends it without an error."""
        lane = self._pool.take()
        if lane is None:
            self.lost = "no reader is left"
            return
        done = False
        try:
            message = serve.request(serve.JOB, self._number, 0, [self._asked, self._path])
            lane.send(
                message, seconds=self._pool.silence
            )  # of one that took nothing, nothing comes
            for kind, stream, data in _records(lane, self._pool):
                if kind == Kind.END:
                    done = True
                    self.summary = json.loads(data)
                else:
                    yield stream, data
        except (WorkerSilentError, WorkerGoneError) as failure:
            self.silent = isinstance(failure, WorkerSilentError)
            silence = f"no answer for {self._pool.silence:g} s"
            self.lost = silence if self.silent else "the reading process ended"
        finally:
            if done:
                self._pool.give_back(lane)
            else:
                shown = ascii(os.fsdecode(self._path))[1:-1]
                self._pool.abandon(lane, f"{self.lost or 'its work was ended early'}, at {shown}")


def _records(lane: Lane, pool: ReaderPool) -> Iterator[tuple[int, int, bytes]]:
    """Yield (kind, stream, bytes) up to the END record; notes go to the journal.

    Raises:
        WorkerSilentError, WorkerGoneError: nothing more will come.
    """
    stream = lane.records()
    while True:
        kind, code, _, at, length = stream.record(pool.silence)
        data = bytes(stream.shared.view[at : at + length])
        if kind in {Kind.DATA, Kind.END}:
            yield kind, code, data
        elif kind == Kind.NOTE:
            pool.note(data.decode(errors="replace"))
        if kind == Kind.END:
            return
