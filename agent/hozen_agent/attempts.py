"""Attempts made from what a worker says: the stat it saw, the ways an item can end, content that comes in pieces."""

from __future__ import annotations

import os
import re
import struct
from typing import TYPE_CHECKING, Final

from hozen_agent.items import Attempt, AttemptFailed, FileStat, Outcome
from hozen_agent.workers.ring import STAT, Code, Flag, Kind, WorkerGoneError, WorkerSilentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.context import FileRequest

Record = tuple[int, int, int, int, int]
OUTCOMES: Final = {
    int(Code.OK): None,
    int(Code.MISSING): Outcome.MISSING,
    int(Code.DENIED): Outcome.DENIED,
    int(Code.FAILED): Outcome.FAILED,
    int(Code.TRUNCATED): Outcome.TRUNCATED,
    int(Code.SPECIAL): Outcome.FAILED,
}
_STATX: Final = struct.Struct("<I12xIIIH2xQQQ8x" + "qI4x" * 4 + "8xII")
_BTIME: Final = 0x800
_SECOND: Final = 10**9
# The sentences of content.py that say what a limit left out; the words are the record's, the numbers its ranges.
_LEFT_OUT: Final = re.compile(
    r"bytes (\d+) to (\d+) of \d+ are left out|bytes from (\d+) on are left out"
    r"|data beyond byte (\d+) of (\d+) is left out"
)


def read_stat(view: memoryview, at: int) -> FileStat:
    """Return what the struct statx at `at` says."""
    (
        mask, nlink, uid, gid, mode, ino, size, _, a, an, b, bn, c, cn, m, mn, major, minor,
    ) = _STATX.unpack_from(view, at)  # fmt: skip
    return FileStat(
        mode=mode,
        uid=uid,
        gid=gid,
        dev=os.makedev(major, minor),
        ino=ino,
        nlink=nlink,
        size=size,
        atime=a * _SECOND + an,
        mtime=m * _SECOND + mn,
        ctime=c * _SECOND + cn,
        btime=b * _SECOND + bn if mask & _BTIME else None,
    )


def ended(
    request: FileRequest, outcome: Outcome, reason: str, *, stat: FileStat | None = None
) -> Attempt:
    """Return the attempt for a request that gave no bytes."""
    return Attempt(
        artifact=request.artifact,
        source=request.path,
        method="read",
        kind="file" if outcome is not Outcome.CAPTURED else "metadata",
        personal=request.personal,
        outcome=outcome,
        reason=reason,
        stat=stat,
    )


def then(data: bytes, reason: str) -> Iterator[bytes]:
    """Yield what was read of a file that became shorter, then say so.

    Raises:
        AttemptFailed: always, at the end.
    """
    if data:
        yield data
    raise AttemptFailed(Outcome.TRUNCATED, reason)


def why_lost(failure: Exception, silence: float) -> tuple[Outcome, str]:
    """Return outcome and reason of an item whose worker fell silent for `silence` seconds, or ended."""
    if isinstance(failure, WorkerSilentError):
        return Outcome.TIMED_OUT, f"no answer for {silence:g} s"
    return Outcome.FAILED, "the reading process ended"


def left_out(reason: str) -> tuple[tuple[int, int | None], ...]:
    """Return the byte ranges that a worker's sentence names as left out by a limit; none for any other ending."""
    found = _LEFT_OUT.search(reason)
    if found is None:
        return ()
    begin, end, open_begin, beyond, size = found.groups()
    if open_begin is not None:
        return ((int(open_begin), None),)
    return ((int(begin or beyond), int(end or size)),)


def lost(request: FileRequest, failure: Exception, silence: float) -> Attempt:
    """Return the attempt for an item of which nothing came before its worker was lost."""
    outcome, reason = why_lost(failure, silence)
    return ended(request, outcome, reason)


class Streamed:
    """A file that comes in pieces; what the caller leaves is passed over."""

    def __init__(
        self, request: FileRequest, stat: FileStat, record: Callable[[], Record],
        view: Callable[[], memoryview], *, silence: float,
    ) -> None:  # fmt: skip
        self.request = request
        self._record, self._view, self._silence = record, view, silence
        self._after: FileStat | None = stat
        self._over = False
        self.failure: Exception | None = None

    def after(self) -> FileStat | None:
        """Return the stat after the last byte; None when the file was not read to its end."""
        return self._after if self._over and self.failure is None else None

    def _piece(self) -> tuple[memoryview | None, int, str]:
        """Return the next piece, or None with code and reason at the end.

        Raises:
            AttemptFailed: the worker fell silent or ended.
        """
        try:
            kind, code, flags, at, length = self._record()
        except (WorkerSilentError, WorkerGoneError) as failure:
            self.failure, self._over = failure, True
            raise AttemptFailed(*why_lost(failure, self._silence)) from None
        view = self._view()
        if kind == Kind.DATA:
            return view[at : at + length], Code.OK, ""
        self._over = True
        if flags & Flag.CHANGED:
            self._after = read_stat(view, at)
            at, length = at + STAT, length - STAT
        return None, code, bytes(view[at : at + length]).decode(errors="replace")

    def chunks(self) -> Iterator[memoryview]:
        """Yield the content in order; a piece is valid until the next is asked for.

        Raises:
            AttemptFailed: after the last piece of a file that is not whole.
        """
        while not self._over:
            piece, code, reason = self._piece()
            if piece is not None:
                yield piece
            elif code != Code.OK:
                raise AttemptFailed(
                    OUTCOMES[code] or Outcome.FAILED, reason, left_out=left_out(reason)
                )

    def drain(self) -> None:
        """What was not taken is gone; the worker's next record belongs to the next item."""
        while not self._over:
            try:
                self._piece()
            except AttemptFailed:
                return
