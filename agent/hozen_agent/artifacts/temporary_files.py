"""What lies in the directories that everybody may write: tools, loot and leftovers end there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest
from hozen_agent.items import Attempt, Outcome
from hozen_agent.reading import files
from hozen_agent.reading.selection import SPENT
from hozen_agent.workers import jobs, jobwork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.workers.pool import ReaderPool

_NAME: Final = "temporary_files"
# One long file must not take the place of a thousand short ones.
_ITEM_MAX: Final = 256 << 20
MOST: Final = 65_536  # files; the others are listed
SECONDS: Final = 600.0
_LIST_MAX: Final = 64 << 20
_LIST: Final = b"temporary_files:left_out"
_PATTERNS: Final = (b"/dev/shm/**8", b"/tmp/**16", b"/var/tmp/**16", b"/run/user/*/**8")


@artifact(
    name=_NAME,
    rank=58,
    personal="personal",
    en="Files in /tmp, /var/tmp, /dev/shm and /run/user, the newest first: proves what lay there; not who put it "
    "there, and not what was removed before. Keys, tickets, tokens and sockets are told without their content.",
    ja="一時ディレクトリ（/tmp、/var/tmp、/dev/shm、/run/user）にあるファイルの内容（新しい順）。"
    "存在を示します。置いた者や既に消されたものは示しません。鍵、チケット、トークン及びソケットは存在のみ記録します。",
    reads=tuple(pattern.decode() for pattern in _PATTERNS),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield an attempt for every file, the newest first, then one list of those that a limit left out."""
    pool = jobs.pool_of(ctx)
    if pool is None:  # only the plan is asked for
        found = files.found(ctx, _PATTERNS, newest=True)
        yield from ctx.files(_request(ctx, path) for path in found)
        return
    yield from _Newest(ctx, pool).attempts()


def _request(ctx: Context, path: bytes) -> FileRequest:
    """Return the request for a file; of one beyond the limit its beginning is taken."""
    return FileRequest(
        artifact=_NAME,
        path=path,
        personal="personal",
        ext=files.extension(path),
        max_bytes=min(ctx.room(_NAME), _ITEM_MAX),
    )


class _Newest:
    """One capture: names come from a worker, as many as fit in its memory; the rest comes as lines of a list."""

    def __init__(self, ctx: Context, pool: ReaderPool) -> None:
        from hozen_agent.reading.leftout import LeftOut

        self._ctx = ctx
        self._left = LeftOut()
        self._spent: list[bytes] = []  # lines of those that the reader had been asked for by then
        self._own: list[bytes] = []
        self._any = False
        self._job = jobs.Job(pool, jobwork.NEWEST, b"/tmp", _asked(ctx))
        self._names = self._told()

    def attempts(self) -> Iterator[Attempt]:
        """Yield the files within the limits, our own output, the list, and how much it lists."""
        for attempt in self._ctx.files(self._wanted()):
            if attempt.reason == SPENT or (attempt.data and self._ctx.room(_NAME) <= 0):
                self._leave(attempt)  # the reader is some hundred files ahead of the record
            else:
                yield attempt
        yield from map(_ours, self._own)
        yield from self._rest()

    def _wanted(self) -> Iterator[FileRequest]:
        """Yield requests as long as the limit is not spent."""
        while self._ctx.room(_NAME) > 0:
            found = next(self._names, None)
            if found is None:
                break
            yield _request(self._ctx, found[2])
        if self._job.lost and not self._any:  # this walk tells what it finds before it hangs again
            for path in files.found(self._ctx, _PATTERNS, newest=True):
                yield _request(self._ctx, path)

    def _told(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield mtime, size and path of each name that the worker chose; what else it says is kept."""
        from hozen_agent.reading.newestjob import NEWEST, OLDER

        for stream, data in self._job:
            if stream == NEWEST:
                self._any = True
                for entry in data[:-1].split(b"\0"):
                    mtime, size, path = entry.split(b" ", 2)
                    yield int(mtime), int(size), path
            elif stream == OLDER:
                self._left.keep(data)
            else:
                self._own += data[:-1].split(b"\0")

    def _leave(self, attempt: Attempt) -> None:
        """A file that was asked for when the limit was spent goes into the list."""
        from hozen_agent.reading.newestjob import line

        mtime, size = (0, -1) if attempt.stat is None else (attempt.stat.mtime, attempt.stat.size)
        self._left.count(1, max(size, 0))
        self._spent.append(line(attempt.source, mtime, size))

    def _rest(self) -> Iterator[Attempt]:
        """Yield the list of what was left out and one line about it; nothing when everything was taken."""
        first = next(self._names, None)
        if first is not None or self._spent or self._left.any:
            yield Attempt(
                artifact=_NAME,
                source=_LIST,
                method="syscall",
                personal="personal",
                ext="jsonl",
                data=self._left.lines(self._lines(first)),
                room=_LIST_MAX,
                tag=_NAME,
            )
            yield _about("failed", self._left.sentence(self._why()), after=_NAME)
        for note in self._notes():
            self._ctx.note(f"{_NAME}: {note}")
        if self._job.lost:
            outcome = Outcome.TIMED_OUT if self._job.silent else Outcome.FAILED
            yield _about(outcome, f"the search was not finished: {self._job.lost}")

    def _lines(self, first: tuple[int, int, bytes] | None) -> Iterator[bytes]:
        """Yield the lines of what was not taken, the newest first; then those that wait are complete."""
        from hozen_agent.reading.newestjob import line

        yield from self._spent
        found = first
        while found is not None:
            mtime, size, path = found
            self._left.count(1, max(size, 0))
            yield line(path, mtime, size)
            found = next(self._names, None)
        older = (self._job.summary.get(key) or 0 for key in ("older", "older_bytes"))
        self._left.count(*(int(str(number)) for number in older))

    def _why(self) -> str:
        """Return which limits left files out."""
        spent = self._ctx.room(_NAME) <= 0
        many = bool(self._job.summary.get("older"))
        reasons = ["the size limit of the profile was spent"] if spent else []
        reasons += [f"there are more than {MOST} files, and the newest are taken"] if many else []
        return " and ".join(reasons) or "the size limit of the profile was spent before"

    def _notes(self) -> list[str]:
        notes, more = self._job.summary.get("notes"), self._job.summary.get("notes_left_out")
        told = [str(note) for note in notes] if isinstance(notes, list) else []
        return [*told, f"{more} further remarks"] if more else told


def _asked(ctx: Context) -> dict[str, object]:
    asked: dict[str, object] = {
        "patterns": [pattern.decode() for pattern in _PATTERNS],
        "most": MOST,
        "seconds": SECONDS,
    }
    if ctx.output is not None:
        asked["device"], asked["inode"], asked["id"] = ctx.output
    return asked


def _ours(path: bytes) -> Attempt:
    """Return the attempt for a file or directory of the bundle itself."""
    return Attempt(
        artifact=_NAME,
        source=path,
        method="syscall",
        kind="metadata",
        personal="none",
        outcome=Outcome.CAPTURED,
        reason="content left out on purpose: this bundle, which is being written",
        withheld="own_output",
    )


def _about(outcome: str, reason: str, *, after: str = "") -> Attempt:
    return Attempt(
        artifact=_NAME,
        source=_LIST,
        method="derived",
        personal="none",
        outcome=Outcome(outcome),
        reason=reason,
        derived_from=(after,) if after else (),
    )
