"""Requests for files in, attempts out, one for one and in order, however the file system behaves (bundle-v1 §7).

The process that calls this touches no evidence itself: it talks to a worker of the pool and gives it up when it falls
silent. An attempt's data must be taken before the next attempt is asked for.
"""

from __future__ import annotations

import os
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from hozen_agent.attempts import OUTCOMES, Record, Streamed, ended, lost, read_stat, then
from hozen_agent.items import Attempt, FileStat, Outcome
from hozen_agent.redaction import withheld
from hozen_agent.workers import serve
from hozen_agent.workers.ring import STAT, Code, Flag, Kind, WorkerGoneError, WorkerSilentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.context import FileRequest
    from hozen_agent.workers.pool import Lane, ReaderPool

_AHEAD: Final = 32 << 10  # bytes of requests on the way; a pipe holds 64 KiB
_BATCH: Final = 64
_PATH_MAX: Final = 4095
_WITHHELD: Final = frozenset({int(Code.WITHHELD), int(Code.METADATA)})
_WHOLE, _BEGIN, _DATA, _END, _NOTE = (
    int(kind) for kind in (Kind.WHOLE, Kind.BEGIN, Kind.DATA, Kind.END, Kind.NOTE)
)
_OK = int(Code.OK)
_CHANGED, _ATIME, _HAS_STAT, _LINK, _SPARSE, _DIRECTORY, _DERIVED = (
    int(flag) for flag in (Flag.CHANGED, Flag.ATIME, Flag.STAT, Flag.LINK, Flag.SPARSE, Flag.DIRECTORY, Flag.DERIVED)
)  # fmt: skip


class FileReader:
    """Answers file requests through a pool of workers; call it with requests, iterate over the attempts.

    Attributes:
        hung: mount points that did not answer; nothing more is read from them.
        hung_devices: the same for files that were reached through a process.
        touched: files that could be read only without O_NOATIME.
    """

    def __init__(self, pool: ReaderPool) -> None:
        self.pool = pool
        self.hung: dict[bytes, bytes] = {}
        self.hung_devices: set[int] = set()
        self.touched = 0

    def __call__(self, requests: Iterable[FileRequest]) -> Iterator[Attempt]:
        """Yield exactly one attempt for every request, in their order."""
        run = _Run(self, iter(requests))
        before = self.touched
        try:
            yield from run.attempts()
        finally:
            run.close()
            if self.touched > before:
                count = self.touched - before
                self.pool.note(
                    f"{count} files of others were read without O_NOATIME: not permitted"
                )

    def refusal(self, request: FileRequest) -> Attempt | None:
        """Return the attempt for a path that is answered by its text alone, None for all others."""
        path = request.path
        if not path.startswith(b"/") or len(path) > _PATH_MAX or b"\0" in path:
            return ended(request, Outcome.FAILED, "not an absolute path of at most 4095 bytes")
        if request.through is not None:
            if request.through.inode[0] not in self.hung_devices:
                return None
            return ended(request, Outcome.TIMED_OUT, "its device did not answer before")
        skipped = self.pool.table.skips(path)
        if skipped:
            point, kind = (ascii(os.fsdecode(part))[1:-1] for part in skipped)
            return ended(request, Outcome.FAILED, f"on a {kind} mount that was not named: {point}")
        if self.hung:
            mount = self.pool.table.point_of(path)
            if mount in self.hung:
                shown = ascii(os.fsdecode(mount))[1:-1]
                return ended(request, Outcome.TIMED_OUT, f"its mount {shown} did not answer before")
        return None


class _Run:
    """One call of the reader: requests on their way, and the worker that has them."""

    def __init__(self, reader: FileReader, source: Iterator[FileRequest]) -> None:
        self._reader = reader
        self._pool = reader.pool
        self._source = source
        self._exhausted = False
        self._waiting: deque[tuple[FileRequest, Attempt | None]] = deque()
        self._ahead = 0
        self._lane: Lane | None = None
        self._open: Streamed | None = None

    def attempts(self) -> Iterator[Attempt]:
        """Yield the attempts; between two of them the worker reads on."""
        while True:
            if self._ahead < _AHEAD // 2 and not self._exhausted:
                self._fill()
            if not self._waiting:
                if self._exhausted:
                    return
                continue
            request, answer = self._waiting.popleft()
            if answer is None:
                self._ahead -= len(request.path) + 1
                answer = self._answer(request)
            yield answer
            if self._open is not None:
                self._end_open()

    def _end_open(self) -> None:
        """The streamed item that was just handed out is over, whether or not all of it was taken."""
        item, self._open = self._open, None
        if item is not None:
            item.drain()
            if item.failure is not None:
                self._replace(item.request, item.failure)

    def _fill(self) -> None:
        """More requests are on their way; those answered by their text alone wait their turn."""
        fresh = list(islice(self._source, _BATCH))
        self._exhausted = len(fresh) < _BATCH
        refusal = self._reader.refusal
        entries = [(request, refusal(request)) for request in fresh]
        self._waiting.extend(entries)
        self._send([request for request, answer in entries if answer is None])

    def _send(self, requests: list[FileRequest]) -> None:
        """Requests with the same limits travel together."""
        names: list[bytes] = []
        limit = flags = 0
        kind = serve.FILES
        for request in requests:
            how, what = _flags(request), _kind(request)
            if request.max_bytes != limit or how != flags or what != kind:
                self._post(names, (limit, flags), kind)
                names, limit, flags, kind = [], request.max_bytes, how, what
            names.append(request.path if kind == serve.FILES else _through(request))
            self._ahead += len(request.path) + 1
        self._post(names, (limit, flags), kind)

    def _post(self, names: list[bytes], key: tuple[int, int], kind: int) -> None:
        if not names:
            return
        if self._lane is None:
            self._lane = self._pool.take()
        if self._lane is not None:
            self._lane.send(serve.request(kind, key[1], key[0], names), seconds=self._pool.silence)

    def _record(self) -> Record:
        """Return the worker's next record that belongs to an item.

        Raises:
            WorkerSilentError, WorkerGoneError: nothing more will come.
        """
        if self._lane is None:
            raise WorkerGoneError
        read = self._lane.records().record
        while True:
            record = read(self._pool.silence)
            if record[0] <= _END:
                return record
            if record[0] == _NOTE:
                self._pool.note(self._text(record[3], record[4]))

    def _text(self, at: int, length: int) -> str:
        return self._bytes(at, length).decode(errors="replace")

    def _bytes(self, at: int, length: int) -> bytes:
        return bytes(self._view()[at : at + length])

    def _view(self) -> memoryview:
        if self._lane is None:
            raise WorkerGoneError
        return self._lane.shared.view

    def _answer(self, request: FileRequest) -> Attempt:
        """Return the attempt for the next request that the worker has."""
        if self._lane is None:
            return ended(request, Outcome.FAILED, "not attempted: no reader is left")
        try:
            kind, code, flags, at, length = self._record()
        except (WorkerSilentError, WorkerGoneError) as failure:
            self._replace(request, failure)
            return lost(request, failure, self._pool.silence)
        if kind == _WHOLE and not code and not flags and length > STAT:
            view, stream = self._lane.shared.view, self._lane.consumer
            return Attempt(
                artifact=request.artifact,
                source=request.path,
                method="read",
                kind="file",
                personal=request.personal,
                ext=request.ext,
                data=[bytes(view[at + STAT : at + length])],
                stat=read_stat(view, at),
                newest=request.newest,
                coming=length - STAT,
                started=stream.started if stream is not None else None,
            )
        if flags & _ATIME:
            self._reader.touched += 1
        if kind == _WHOLE:
            return self._whole(request, code, flags, at, length)
        if kind == _BEGIN:
            return self._begin(request, flags, at)
        return self._ended(request, code, flags, at, length)

    def _whole(self, request: FileRequest, code: int, flags: int, at: int, length: int) -> Attempt:
        """Return the attempt for a small file; its bytes are copied and may be kept."""
        view = self._view()
        stat = read_stat(view, at)
        size = length - STAT
        after = None
        if flags & _CHANGED:
            size -= STAT
            later = read_stat(view, at + STAT + size)
            after = lambda: later  # noqa: E731 - one attribute of the attempt
        begin = at + STAT
        data: list[bytes] | Iterator[bytes] = [bytes(view[begin : begin + size])]
        if code != _OK:
            data = then(
                bytes(view[begin : begin + size]),
                f"the file ended at byte {size} while it was read",
            )
        return Attempt(
            artifact=request.artifact,
            source=request.path,
            method="read",
            kind="file",
            personal=request.personal,
            ext=request.ext,
            outcome=None if size or code != _OK else Outcome.EMPTY,
            data=data if size or code != _OK else None,
            stat=stat,
            after=after,
            started=self._started(),
        )

    def _started(self) -> tuple[int, int] | None:
        """Return when the slot with this record was begun: the read did not begin before."""
        return None if self._lane is None else self._lane.records().started

    def _begin(self, request: FileRequest, flags: int, at: int) -> Attempt:
        stat = read_stat(self._view(), at)
        if flags & _LINK:
            return self._link(request, stat)
        item = self._open = Streamed(
            request, stat, self._record, self._view, silence=self._pool.silence
        )
        sparse, directory, derived = (
            bool(flags & flag) for flag in (_SPARSE, _DIRECTORY, _DERIVED)
        )
        return Attempt(
            artifact=request.artifact,
            source=request.path,
            method="sparse" if sparse else "derived" if derived else "read",
            kind="directory" if directory else "record" if derived else "file",
            personal=request.personal,
            ext="sparse.tar" if sparse else "names" if directory else request.ext,
            data=item.chunks(),
            stat=stat,
            after=item.after,
            logical_size=stat.size if sparse else None,
            holes=sparse,
            newest=request.newest and not (sparse or directory or derived),
            coming=min(stat.size, request.max_bytes),
            withheld="password_hash" if derived else "",
            started=self._started(),
        )

    def _link(self, request: FileRequest, stat: FileStat) -> Attempt:
        """Return the attempt for a symbolic link: its target is its content."""
        try:
            _, _, _, at, length = self._record()
            target = self._bytes(at, length)
            self._record()
        except (WorkerSilentError, WorkerGoneError) as failure:
            self._replace(request, failure)
            return lost(request, failure, self._pool.silence)
        return Attempt(
            artifact=request.artifact,
            source=request.path,
            method="read",
            kind="link",
            personal=request.personal,
            ext="link",
            data=[target],
            stat=stat,
            link_target=target,
            started=self._started(),
        )

    def _ended(self, request: FileRequest, code: int, flags: int, at: int, length: int) -> Attempt:
        """Return the attempt for an item without content."""
        stat = read_stat(self._view(), at) if flags & _HAS_STAT else None
        skip = STAT if stat is not None else 0
        reason = self._text(at + skip, length - skip)
        why = ""
        if code in _WITHHELD:
            why = reason or request.withheld or withheld.by_name(request.path)
            reason = f"content left out on purpose: {why}"
        return Attempt(
            artifact=request.artifact,
            source=request.path,
            method="syscall" if stat is not None else "read",
            kind="metadata" if why or code == Code.SPECIAL else "file",
            personal=request.personal,
            outcome=Outcome.CAPTURED if why else OUTCOMES[code],
            reason=reason,
            stat=stat,
            withheld=why,
            started=self._started(),
        )

    def _replace(self, request: FileRequest, failure: Exception) -> None:
        """The worker is given up; what it had not answered goes to a fresh one."""
        if self._lane is not None:
            shown = ascii(os.fsdecode(request.path))[1:-1]
            silent = isinstance(failure, WorkerSilentError)
            what = f"silent for {self._pool.silence:g} s at" if silent else "ended at"
            self._pool.abandon(self._lane, f"{what} {shown}")
            self._lane = None
            if silent:
                self._remember(request)
        refusal = self._reader.refusal
        self._waiting = deque((entry, answer or refusal(entry)) for entry, answer in self._waiting)
        self._ahead = 0
        self._send([entry for entry, answer in self._waiting if answer is None])

    def _remember(self, request: FileRequest) -> None:
        """A mount or device that hung once is not asked again; of `/` each file is tried."""
        if request.through is not None:
            self._reader.hung_devices |= {request.through.inode[0]} - {0}
            return
        point = self._pool.table.point_of(request.path)
        if point != b"/":
            self._reader.hung[point] = request.path

    def close(self) -> None:
        """The worker goes back to the pool, or is given up when it still has much to say."""
        lane, self._lane = self._lane, None
        if lane is None:
            return
        left = sum(answer is None for _, answer in self._waiting)
        if left or self._open is not None:
            self._pool.abandon(lane, "the capture of these files was ended early")
        else:
            self._pool.give_back(lane)


def _kind(request: FileRequest) -> int:
    """Return which kind of request reaches the file."""
    if request.through is None:
        return serve.FILES
    if request.through.hashed:
        return serve.HASHED
    if request.through.inode != (0, 0):
        return serve.HELD
    return serve.CORE if request.path.endswith(b"/mem") else serve.TEXT


def _through(request: FileRequest) -> bytes:
    """Return the request for what a process holds, as procworker.py takes it."""
    what = request.through
    if what is None:
        return request.path
    facts = what.start_ticks, *what.inode, max(0, int(what.seconds * 1000))
    return b"%d %d %d %d " % facts + request.path


def _flags(request: FileRequest) -> int:
    """Return how the worker is to treat the file; the rule of names holds whatever the artifact asks."""
    flags = serve.NEWEST if request.newest else 0
    if request.through is not None:
        return flags  # the name is a number; the worker asks the rules about what the link says
    if request.withheld == withheld.AGING:
        return flags | serve.AGING
    if request.withheld or withheld.by_name(request.path):
        return flags | serve.METADATA
    return flags | (serve.PASSWD if withheld.may_hold_hashes(request.path) else 0)
