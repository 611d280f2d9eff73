"""What a file artifact would ask for, and how much it would be, without reading it (law B12).

Its requests are noted instead of answered. Sizes are those of stat, asked through the same helpers that cannot hang;
procfs and `/` are not even open here, so that an artifact that reads by itself reads nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from hozen_agent.context import Context
from hozen_agent.filetree.finder import Finder
from hozen_agent.proc.sweep import Sweep
from hozen_agent.reading import view
from hozen_agent.reading.reader import FileReader
from hozen_agent.redaction.redact import Redactor
from hozen_agent.workers.pool import ReaderPool
from hozen_hashes.names import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.artifacts.registry import Artifact
    from hozen_agent.context import FileRequest
    from hozen_agent.items import Attempt
    from hozen_agent.reading.window import Window

_LOOKED_AT: Final = frozenset({"homes"})
SECONDS: Final = 30.0
_LOOK: Final = "look"
_REGULAR, _KIND = 0o100000, 0o170000


@dataclass(slots=True)
class Look:
    """What one artifact would ask for now.

    Attributes:
        paths: readable, in the order of asking, each once; empty unless they were wanted.
        files: regular files that would be read; bytes: their sizes, each bounded by the item limit.
        outside: files that the window leaves out.
        whole: False when the look itself was cut short.
    """

    paths: dict[str, None] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    outside: int = 0
    whole: bool = True


class _Over(Exception):  # noqa: N818 - an ending, not an error
    """The time for looking is over."""


def look_up(
    step: Artifact,
    *,
    names: bool = True,
    sizes: bool = False,
    window: Window | None = None,
    item: int = 1 << 62,
    seconds: float = SECONDS,
) -> Look:
    """Return what `step` would ask for; with `sizes` every file's stat is looked at, and no content."""
    pool = _pool()
    look, reader, until = Look(), FileReader(pool), time.monotonic() + seconds
    held = window if step.over_time else None

    def note_only(requests: Iterable[FileRequest]) -> Iterator[Attempt]:
        def wanted() -> Iterator[FileRequest]:
            for request in requests:
                if time.monotonic() > until:
                    raise _Over
                if names:
                    look.paths[readable(request.path)] = None
                if sizes and request.through is None and not request.withheld:
                    yield replace(request, withheld=_LOOK)

        for request in (first := iter(requests)):
            if request.artifact in _LOOKED_AT:
                yield from reader([request])
                continue
            requests = _chain(request, first)
            for attempt in reader(wanted()):
                _count(look, attempt, window=held, item=item)

    try:
        for _ in step.collect(_context(note_only, Finder(pool))):
            pass
    except (_Over, OSError):
        look.whole = False
    return look


def _chain(first: FileRequest, rest: Iterator[FileRequest]) -> Iterator[FileRequest]:
    yield first
    yield from rest


def _count(look: Look, attempt: Attempt, *, window: Window | None, item: int) -> None:
    stat = attempt.stat
    if stat is None or stat.mode & _KIND != _REGULAR:
        return
    if window is not None and window.outside(stat):
        look.outside += 1
        return
    look.files += 1
    look.bytes += min(stat.size, item)


def _context(files: object, match: Finder) -> Context:
    nothing = Sweep([], started=(0, 0), ended=(0, 0), processes=0, complete=True)
    return Context(
        proc=-1,
        root=-1,
        sweep=nothing,
        redactor=Redactor(),
        files=files,  # type: ignore[arg-type]  # a function of the right shape
        match=match,
        note=lambda _text: None,
    )


@cache
def _pool() -> ReaderPool:
    seen = view.prepare()
    return ReaderPool.start(root=seen.root, proc=seen.proc, note=lambda _text: None)
