"""What a file artifact would ask for, without reading it (law B12): its requests are noted instead of answered."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from hozen_agent import view
from hozen_agent.context import Context
from hozen_agent.finder import Finder
from hozen_agent.pool import ReaderPool
from hozen_agent.reader import FileReader
from hozen_agent.redact import Redactor
from hozen_agent.sweep import Sweep
from hozen_hashes.names import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.artifacts.registry import Artifact
    from hozen_agent.context import FileRequest
    from hozen_agent.items import Attempt

_LOOKED_AT = "homes"


def look_up(step: Artifact) -> list[str]:
    """Return the paths, readable, in the order of asking; each once."""
    pool = _pool()
    asked: dict[bytes, None] = {}
    reader = FileReader(pool)

    def note_only(requests: Iterable[FileRequest]) -> Iterator[Attempt]:
        for request in requests:
            if request.artifact == _LOOKED_AT:
                yield from reader([request])
            else:
                asked[request.path] = None

    nothing = Sweep([], started=(0, 0), ended=(0, 0), processes=0, complete=True)
    context = Context(
        proc=os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC),
        root=os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
        sweep=nothing,
        redactor=Redactor(),
        files=note_only,
        match=Finder(pool),
        note=lambda _text: None,
    )
    for _ in step.collect(context):
        pass
    os.close(context.proc)
    os.close(context.root)
    return [readable(path) for path in asked]


@cache
def _pool() -> ReaderPool:
    seen = view.prepare()
    return ReaderPool.start(root=seen.root, proc=seen.proc, note=lambda _text: None)
