"""Between the artifacts and the reader: files outside the window, or beyond a spent limit, are listed and not read."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from hozen_agent.items import Outcome
from hozen_agent.redaction import withheld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_agent.context import FileRequest
    from hozen_agent.items import Attempt
    from hozen_agent.reading.reader import FileReader
    from hozen_agent.reading.window import Window

OUTSIDE: Final = "outside_window"
LIMIT: Final = "size_limit"
SPENT: Final = "left out: the size limit of the profile was spent before"
_LOOK: Final = "look"
_BATCH: Final = 64
_REGULAR, _KIND = 0o100000, 0o170000


class Selection:
    """Answers file requests through a reader, one attempt for each, in order.

    Attributes:
        pool: the reader's workers, for those that give them other work.
    """

    def __init__(
        self,
        reader: FileReader,
        *,
        room: Callable[[str], int],
        window: Window | None = None,
        over_time: frozenset[str] = frozenset(),
    ) -> None:
        """Read through `reader`; the window holds for the artifacts in `over_time`."""
        self._reader = reader
        self.pool = reader.pool
        self._room = room
        self._window = window
        self._over_time = over_time

    def __call__(self, requests: Iterable[FileRequest]) -> Iterator[Attempt]:
        """Yield exactly one attempt for every request, in their order."""
        if self._window is None:
            yield from self._within(requests)
            return
        source = iter(requests)
        while batch := list(islice(source, _BATCH)):
            yield from self._batch(batch, self._window)

    def _batch(self, batch: list[FileRequest], window: Window) -> Iterator[Attempt]:
        """Look at the stat of those that may be outside, then read the others."""
        asked = [one for one in batch if self._bounded(one)]
        looks = (replace(one, withheld=_LOOK) for one in asked)
        stats = {id(one): look for one, look in zip(asked, self._reader(looks), strict=True)}
        inside: list[FileRequest] = []
        for one in batch:
            outside = _outside(stats.get(id(one)), window)
            if outside is None:
                inside.append(one)
                continue
            yield from self._within(inside)
            inside.clear()
            yield outside
        yield from self._within(inside)

    def _bounded(self, request: FileRequest) -> bool:
        return request.artifact in self._over_time and not (
            request.withheld or withheld.by_name(request.path)
        )

    def _within(self, requests: Iterable[FileRequest]) -> Iterator[Attempt]:
        """Yield the attempts; once a limit is spent, content is not even read."""
        for attempt in self._reader(self._limited(requests)):
            yield _spent(attempt) if attempt.withheld == LIMIT else attempt

    def _limited(self, requests: Iterable[FileRequest]) -> Iterator[FileRequest]:
        for request in requests:
            room = self._room(request.artifact)
            if room <= 0 and not request.withheld:
                yield replace(request, withheld=LIMIT)
            elif room < request.max_bytes:
                yield replace(request, max_bytes=max(room, 1))
            else:
                yield request


def _outside(look: Attempt | None, window: Window) -> Attempt | None:
    """Return the attempt that lists a file outside the window, None for one to be read."""
    if look is None or look.stat is None or look.stat.mode & _KIND != _REGULAR:
        return None
    why = window.outside(look.stat)
    if not why:
        return None
    return replace(
        look,
        withheld=OUTSIDE,
        reason=f"content left out by --since or --until: {why}",
        left_out=((0, look.stat.size),) if look.stat.size else (),
    )


def _spent(look: Attempt) -> Attempt:
    """Return the attempt for a file that came after the limit was spent."""
    size = None if look.stat is None else look.stat.size
    return replace(
        look,
        kind="file",
        withheld="",
        outcome=Outcome.FAILED,
        reason=SPENT,
        left_out=((0, size),) if size else (),
    )
