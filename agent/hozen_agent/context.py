"""What a capture hands to every artifact: how to read, what is allowed, and what was already seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hozen_agent.proc.leads import Leads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_agent.items import Attempt
    from hozen_agent.net.packetwindow import PacketWindow
    from hozen_agent.proc.sweep import Sweep
    from hozen_agent.reading.window import Window
    from hozen_agent.redaction.redact import Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """The process whose link, file or memory is asked for; the path begins with `/proc/PID/`.

    Attributes:
        start_ticks: of the process; with another one nothing is read.
        inode: device and inode that the link must lead to; (0, 0) for the memory, and for texts of procfs.
        hashed: only the SHA-256 is wanted, as 64 letters in place of the content.
        seconds: what hashing may take.
    """

    pid: int
    start_ticks: int
    inode: tuple[int, int] = (0, 0)
    hashed: bool = False
    seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """One file to capture: which artifact wants it, and under which limits.

    Attributes:
        path: absolute path as bytes, as the examined host sees it.
        max_bytes: content beyond this is left out and the item is `truncated`.
        newest: keep the end of the file instead of its beginning when the limit bites.
        withheld: content is not read (law M16/P01); existence and metadata are recorded.
        through: the path is a link or the memory of this process, not a file of the tree.
    """

    artifact: str
    path: bytes
    personal: str = "personal"
    ext: str = "bin"
    max_bytes: int = 4 << 30
    newest: bool = False
    withheld: str = ""
    through: Through | None = None


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
        stopped: whether the capture is to end; for those that wait for something else than bytes.
        packets: the window on the network's packets, open since the start was signed; None when none was asked for.
        leads: deleted files that processes still hold, filled by the deep pass.
        memory_of: processes whose memory is wanted, as numbers or name patterns.
        window: the span of time that was asked for, if any.
        output: device and inode of the directory that the bundle is written into, and the bundle's id.
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
    stopped: Callable[[], bool] = field(default=lambda: False)
    packets: PacketWindow | None = None
    leads: Leads = field(default_factory=Leads)
    memory_of: tuple[str, ...] = ()
    window: Window | None = None
    output: tuple[int, int, str] | None = None
    collector_offset: Callable[[], tuple[float, float] | None] = field(default=lambda: None)
