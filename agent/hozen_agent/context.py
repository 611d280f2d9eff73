"""What a capture hands to every artifact: how to read, what is allowed, and what was already seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_agent.items import Attempt
    from hozen_agent.redact import Redactor
    from hozen_agent.sweep import Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """One file to capture: which artifact wants it, and under which limits.

    Attributes:
        path: absolute path as bytes, as the examined host sees it.
        max_bytes: content beyond this is left out and the item is `truncated`.
        newest: keep the end of the file instead of its beginning when the limit bites.
        withheld: content is not read (law M16/P01); existence and metadata are recorded.
    """

    artifact: str
    path: bytes
    personal: str = "personal"
    ext: str = "bin"
    max_bytes: int = 4 << 30
    newest: bool = False
    withheld: str = ""


@dataclass(slots=True, kw_only=True)
class Context:
    """The surroundings of one capture; artifacts read from it and change nothing in it.

    Attributes:
        proc: descriptor of the procfs to read, opened once.
        root: descriptor of `/` in the private read-only view.
        sweep: the first sweep, already in memory.
        redactor: applied to command lines, environments and their copies before anything is stored.
        files: FILES' reader: requests in, attempts out, in order; each request gives exactly one attempt.
        match: file patterns (`/var/log/**`, `/home/*/.bash_history`), as bytes, to existing paths, in a bounded walk.
        note: enters an observation about the capture itself in the journal.
        room: how many bytes the next item of an artifact may still take.
        tick: lets an epoch close in time; called by whoever waits.
        collector_offset: host clock minus collector clock and its uncertainty in milliseconds, or None.
    """

    proc: int
    root: int
    sweep: Sweep
    redactor: Redactor
    files: Callable[[Iterable[FileRequest]], Iterator[Attempt]]
    match: Callable[[Iterable[bytes]], Iterator[bytes]]
    note: Callable[[str], None]
    room: Callable[[str], int] = field(default=lambda _artifact: 1 << 62)
    tick: Callable[[], None] = field(default=lambda: None)
    collector_offset: Callable[[], tuple[float, float] | None] = field(default=lambda: None)
