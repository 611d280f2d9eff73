"""Patterns in, existing paths out: the supervisor's side of the walk, which runs where it may hang."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from hozen_agent.filetree import walk
from hozen_agent.workers import serve
from hozen_agent.workers.ring import Kind, WorkerGoneError, WorkerSilentError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from hozen_agent.workers.pool import Lane, ReaderPool

SECONDS: Final = 600.0


class Finder:
    """Finds files by pattern through a pool of workers; a directory that cannot be listed is yielded itself.

    Reading such a directory gives the `denied` item, so nothing is left out in silence.

    Attributes:
        seconds: after which a walk is stopped, with a note.
    """

    def __init__(self, pool: ReaderPool, *, seconds: float = SECONDS) -> None:
        self._pool = pool
        self.seconds = seconds

    def __call__(self, patterns: Iterable[bytes], *, newest: bool = False) -> Iterator[bytes]:
        """Yield each path once, though several patterns name it; the newest first (of 65,536 at a time) if asked to.

        Raises:
            UsageError: a pattern is not an absolute path.
        """
        asked = [pattern for pattern in patterns if walk.compile_pattern(pattern)]
        if not asked:
            return
        lane = self._pool.take()
        if lane is None:
            self._pool.note("not searched: no reader is left")
            return
        flags = serve.NEWEST if newest else 0
        message = serve.request(serve.WALK, flags, int(self.seconds * 1000), asked)
        lane.send(message, seconds=self._pool.silence)
        found = self._found(lane)
        try:
            yield from _newest_first(found) if newest else found
        finally:
            found.close()

    def _found(self, lane: Lane) -> Generator[bytes]:
        """Yield what the worker finds; it is given up when it falls silent or nobody wants the rest."""
        stream = lane.records()
        done = False
        try:
            while True:
                kind, _, _, at, length = stream.record(self._pool.silence)
                if kind == Kind.PATHS:
                    yield from stream.paths(at, length)
                elif kind == Kind.NOTE:
                    text = bytes(stream.shared.view[at : at + length])
                    self._pool.note(text.decode(errors="replace"))
                elif kind == Kind.END:
                    done = True
                    return
        except (WorkerSilentError, WorkerGoneError) as failure:
            why = "no answer" if isinstance(failure, WorkerSilentError) else "the process ended"
            self._pool.note(f"search not finished: {why}; some files may not be listed")
        finally:
            if done:
                self._pool.give_back(lane)
            else:
                self._pool.abandon(lane, "it did not finish its search")


def _newest_first(found: Iterable[bytes]) -> Iterator[bytes]:
    """Yield paths that come as `<mtime> <path>`, sorted in stretches of bounded size."""
    parts = (entry.partition(b" ") for entry in found)
    timed = ((-int(mtime), path) for mtime, _, path in parts)
    while batch := list(islice(timed, walk.SORTED)):
        batch.sort()
        for _, path in batch:
            yield path
