"""The only writer of evidence: one attempt in, exactly one recorded outcome out (law M05, M12)."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hozen_agent.items import AttemptFailed, Outcome
from hozen_hashes.errors import CannotWriteError, InternalError
from hozen_hashes.records import ItemRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.items import Attempt, Buffer
    from hozen_hashes.writer import BundleWriter

_SMALL = 1 << 20
_MOST_WORDS = 500
_OUTCOME_OF = {
    errno.ENOENT: Outcome.MISSING,
    errno.ESRCH: Outcome.MISSING,
    errno.ENXIO: Outcome.MISSING,
    errno.EACCES: Outcome.DENIED,
    errno.EPERM: Outcome.DENIED,
    errno.ETIMEDOUT: Outcome.TIMED_OUT,
}


def outcome_of(error: OSError) -> tuple[Outcome, str]:
    """Return the outcome that an operating system error stands for, with its words as reason."""
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return _OUTCOME_OF.get(error.errno or 0, Outcome.FAILED), f"{error.strerror or error} ({name})"


@dataclass(slots=True)
class Tally:
    """What was recorded so far, by outcome."""

    outcomes: dict[str, int] = field(default_factory=dict)
    redacted: int = 0

    def add(self, record: ItemRecord) -> None:
        """Count one finished record."""
        self.outcomes[record.outcome] = self.outcomes.get(record.outcome, 0) + 1

    @property
    def not_obtained(self) -> int:
        """Attempts at something that is there and was not, or not wholly, read."""
        there = {Outcome.CAPTURED, Outcome.EMPTY, Outcome.MISSING}
        return sum(n for o, n in self.outcomes.items() if o not in there)


class Recorder:
    """Turns attempts into payload files and records, in the order in which they come."""

    def __init__(
        self,
        writer: BundleWriter,
        *,
        now: Callable[[], tuple[int, int]],
        room: Callable[[str], int | None] = lambda _artifact: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Record into `writer`.

        Args:
            writer: takes payload and records.
            now: (wall, monotonic) in nanoseconds.
            room: how many bytes the next item of an artifact may take; None for no limit.
            stopped: whether the capture must end; asked between chunks, so that a long file ends too.
        """
        self._writer = writer
        self._now = now
        self._room = room
        self._stopped = stopped
        self._tags: dict[str, tuple[int, str | None]] = {}
        self.tally = Tally()

    def record(self, attempt: Attempt) -> ItemRecord:
        """Read the attempt's bytes once, hash and pack them, and enter its outcome.

        Raises:
            CannotWriteError: the destination refused; the attempt stays without an outcome in an open epoch.
        """
        item = self._writer.items + 1
        started = attempt.started or self._now()
        ending, stored = self._take(attempt, item)
        outcome, more = ending.outcome, self._more(attempt)
        if ending.left_out:
            more["left_out"] = [
                [str(begin), None if end is None else str(end)] for begin, end in ending.left_out
            ]
        changed, reason = _changed(attempt, ending.reason)
        if changed:
            more["changed"] = changed
        record = ItemRecord(
            item=item,
            artifact=attempt.artifact,
            outcome=outcome,
            kind=attempt.kind,
            source=attempt.source,
            method=attempt.method,
            personal=attempt.personal,
            started=started,
            ended=attempt.ended or self._now(),
            reason=reason,
            path=stored[0] if stored else None,
            size=stored[1] if stored else None,
            sha256=stored[2] if stored else None,
            stat="" if attempt.stat is None else attempt.stat.as_json(),
            more=more,
        )
        self._writer.finish_item(record)
        if attempt.tag:
            self._tags[attempt.tag] = (item, record.path)
        self.tally.add(record)
        return record

    def _take(self, attempt: Attempt, item: int) -> tuple[_Ending, tuple[str, int, str] | None]:
        """Store the attempt's bytes; return how it ended, and (path, size, hash) of what was stored."""
        if attempt.data is None:
            if attempt.outcome is None:
                raise InternalError(
                    f"{attempt.artifact}: an attempt without bytes needs an outcome"
                )
            return _Ending(attempt.outcome, attempt.reason, attempt.left_out), None
        path = f"data/{attempt.artifact}/{item:06d}.{attempt.ext}"
        room = self._room(attempt.artifact) if attempt.room is None else attempt.room
        ending = _Ending(attempt.outcome or Outcome.CAPTURED, attempt.reason, attempt.left_out)
        whole = _small(attempt.data, _SMALL if room is None else min(room, _SMALL))
        if whole is not None:
            stored_whole = path, len(whole), self._writer.add_payload(path, whole)
            return ending, stored_whole
        chunks = _guarded(attempt, ending, room=room, stopped=self._stopped)
        expected = 0 if attempt.stat is None or attempt.holes else attempt.stat.size
        stored = self._store(path, item, chunks, expected)
        if stored is None and ending.outcome in {Outcome.CAPTURED, Outcome.TRUNCATED}:
            ending.outcome = Outcome.EMPTY if ending.outcome is Outcome.CAPTURED else Outcome.FAILED
        return ending, stored

    def _store(
        self, path: str, item: int, chunks: Iterator[Buffer], expected: int
    ) -> tuple[str, int, str] | None:
        head = bytearray()
        for chunk in chunks:
            if not head and len(chunk) >= _SMALL:
                return self._stream(path, item, chunk, chunks, expected=expected)
            head += chunk
            if len(head) >= _SMALL:
                return self._stream(path, item, head, chunks, expected=expected)
        if not head:
            return None
        return path, len(head), self._writer.add_payload(path, head)

    def _stream(
        self, path: str, item: int, head: Buffer, chunks: Iterator[Buffer], *, expected: int
    ) -> tuple[str, int, str]:
        payload = self._writer.open_payload(path, item, expected=expected)
        payload.write(head)
        for chunk in chunks:
            payload.write(chunk)
        digest = self._writer.close_payload(payload)
        return path, payload.digest.size, digest

    def _more(self, attempt: Attempt) -> dict[str, object]:
        more: dict[str, object] = {}
        if attempt.link_target is not None:
            from hozen_hashes.names import percent_encode

            more["link_target"] = percent_encode(attempt.link_target)
        if attempt.process is not None:
            pid, start_ticks = attempt.process
            more["process"] = {"pid": pid, "start_ticks": str(start_ticks)}
        if attempt.redacted:
            count = sum(attempt.redacted.values())
            self.tally.redacted += count
            more["redacted"] = {"count": count, "types": dict(attempt.redacted)}
        if attempt.derived_from:
            more["derived_from"] = [
                self._tags[t][0] for t in attempt.derived_from if t in self._tags
            ]
        if attempt.original in self._tags:
            more["original"] = self._tags[attempt.original][1]
        if attempt.withheld:
            more["withheld"] = attempt.withheld
        if attempt.logical_size is not None:
            more["logical_size"] = str(attempt.logical_size)
            more["holes"] = attempt.holes
        return more


def fault(error: Exception) -> str:
    """Return the reason for the record of what our own code did wrong; foreign text in it is bounded and printable."""
    words = str(error).encode("ascii", "backslashreplace").decode()[:_MOST_WORDS]
    return f"fault in the agent: {type(error).__name__}: {words}"


def _changed(attempt: Attempt, reason: str) -> tuple[list[str], str]:
    """Return what differs at the second look, and the reason; bytes that are stored always get their record."""
    if attempt.after is None or attempt.stat is None:
        return [], reason
    try:
        later = attempt.after()
    except CannotWriteError:
        raise
    except Exception as error:  # noqa: BLE001 - the bytes are in the container; without a record they would accuse us
        return [], f"{reason}; {fault(error)}".removeprefix("; ")
    return ([] if later is None else attempt.stat.changes(later)), reason


def _small(data: object, most: int) -> Buffer | None:
    """Return the bytes of the usual small file, which are in memory in one piece; None for everything else."""
    if type(data) is list and len(data) == 1 and 0 < len(data[0]) <= most:
        piece: Buffer = data[0]
        return piece
    return None


@dataclass(slots=True)
class _Ending:
    outcome: Outcome
    reason: str
    left_out: tuple[tuple[int, int | None], ...] = ()

    def cut(self, why: str, part: tuple[int, int | None]) -> None:
        """A limit left out this part of the source."""
        begin, end = part
        span = f"bytes {begin} to {end}" if begin == 0 else f"bytes from {begin} on"
        self.outcome, self.left_out = Outcome.TRUNCATED, (*self.left_out, part)
        self.reason = f"{why}; {span} were left out"


def _guarded(
    attempt: Attempt, ending: _Ending, *, room: int | None, stopped: Callable[[], bool]
) -> Iterator[Buffer]:
    """Yield the attempt's bytes; failures and limits change `ending`, and what was read stays."""
    taken, chunks = 0, iter(attempt.data or ())
    whole, coming = _size(attempt), attempt.coming or 0
    begin = (whole or coming) - coming if attempt.newest else 0
    try:
        if room is not None and attempt.newest and coming > room:
            begin = (whole or coming) - room
            ending.cut("the size limit of the profile was reached", (0, begin))
            chunks = _after(chunks, coming - room)
        for chunk in chunks:
            if room is not None and taken + len(chunk) > room:
                yield memoryview(chunk)[: room - taken]
                ending.cut("the size limit of the profile was reached", (begin + room, whole))
                return
            taken += len(chunk)
            yield chunk
            if taken >= _SMALL and stopped():
                if begin:
                    ending.cut("", (0, begin))
                ending.cut("its time or the capture was over", (begin + taken, whole))
                return
    except AttemptFailed as failed:
        if not (failed.left_out and ending.left_out):  # ours says more of the same
            ending.outcome, ending.reason = failed.outcome, str(failed)
            ending.left_out = ending.left_out or failed.left_out
    except OSError as error:
        ending.outcome, ending.reason = outcome_of(error)
    except CannotWriteError:
        raise
    except Exception as error:  # noqa: BLE001 - what was read so far is evidence, and the other items wait
        ending.outcome, ending.reason = Outcome.FAILED, fault(error)
    if taken and ending.outcome in {Outcome.MISSING, Outcome.DENIED, Outcome.EMPTY}:
        ending.outcome = Outcome.TRUNCATED


def _after(chunks: Iterator[Buffer], skip: int) -> Iterator[Buffer]:
    """Yield what comes after the first `skip` bytes; those are read and not kept."""
    for chunk in chunks:
        if skip < len(chunk):
            yield memoryview(chunk)[skip:] if skip else chunk
        skip = max(0, skip - len(chunk))


def _size(attempt: Attempt) -> int | None:
    return None if attempt.stat is None or attempt.holes else attempt.stat.size
