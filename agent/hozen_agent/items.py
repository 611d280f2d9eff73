"""What an artifact yields: one attempt, which the recorder turns into exactly one outcome (bundle-v1 §7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Buffer = bytes | bytearray | memoryview


class Outcome(StrEnum):
    """How an attempt ended; there is no other way for it to end."""

    CAPTURED = "captured"
    EMPTY = "empty"
    MISSING = "missing"
    DENIED = "denied"
    TIMED_OUT = "timed_out"
    TRUNCATED = "truncated"
    FAILED = "failed"


class AttemptFailed(Exception):  # noqa: N818 - the outcome is the point, not the error
    """Ends an attempt early; raised while its bytes are produced.

    Attributes:
        outcome: TRUNCATED keeps the bytes so far; any other outcome too, when there were some.
        reason: one English sentence for the record.
        left_out: byte ranges of the source that a limit left out, each [begin, end); None for an end not known.
    """

    def __init__(
        self, outcome: Outcome, reason: str, *, left_out: tuple[tuple[int, int | None], ...] = ()
    ) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.left_out = left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStat:
    """What the kernel said of a file; times in nanoseconds, `btime` None where the system has none."""

    mode: int
    uid: int
    gid: int
    dev: int
    ino: int
    nlink: int
    size: int
    atime: int
    mtime: int
    ctime: int
    btime: int | None = None

    def as_json(self) -> str:
        """Return the JSON text of bundle-v1 §7."""
        btime = "null" if self.btime is None else f'"{self.btime}"'
        return (
            f'{{"mode":"{self.mode:07o}","uid":{self.uid},"gid":{self.gid},"dev":"{self.dev}","ino":"{self.ino}",'
            f'"nlink":{self.nlink},"size":"{self.size}","atime":"{self.atime}","mtime":"{self.mtime}",'
            f'"ctime":"{self.ctime}","btime":{btime}}}'
        )

    def changes(self, after: FileStat) -> list[str]:
        """Return which of size, mtime, ctime and ino differ from a later look."""
        return [
            k for k in ("size", "mtime", "ctime", "ino") if getattr(self, k) != getattr(after, k)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One thing to capture, with its bytes or the reason why there are none.

    Attributes:
        source: original path or interface, as bytes.
        outcome: set when there are no bytes to come; None lets the recorder decide from `data`.
        data: the bytes in order; may raise AttemptFailed in the middle.
        after: called after the last byte; a second look for `changed`.
        redacted: how often each type of secret was removed; complete after the last byte of `data`.
        unredacted: gives the same bytes with nothing removed; used only when originals are kept for a recipient.
        newest: when a limit bites, the end of `data` is kept instead of its beginning; needs `coming`.
        coming: how many bytes `data` will probably give; None when nobody knows.
        left_out: byte ranges of the source that are left out on purpose, each [begin, end).
        room: bytes that may be stored whatever is left of the profile's limits: for the list of what they left out.
        process: number and start time (clock ticks after boot) of the process that it was read through.
        tag: a name by which later attempts of the capture may point here (`derived_from`, `original`).
    """

    artifact: str
    source: bytes
    method: str
    kind: str = "record"
    personal: str = "none"
    ext: str = "bin"
    outcome: Outcome | None = None
    reason: str = ""
    data: Iterable[Buffer] | None = None
    stat: FileStat | None = None
    after: Callable[[], FileStat | None] | None = None
    link_target: bytes | None = None
    redacted: Mapping[str, int] | None = None
    derived_from: tuple[str, ...] = ()
    unredacted: Callable[[], Iterable[Buffer]] | None = None
    original: str = ""
    withheld: str = ""
    logical_size: int | None = None
    holes: bool = False
    newest: bool = False
    coming: int | None = None
    left_out: tuple[tuple[int, int | None], ...] = ()
    room: int | None = None
    process: tuple[int, int] | None = None
    tag: str = ""
    started: tuple[int, int] | None = None
    ended: tuple[int, int] | None = None
