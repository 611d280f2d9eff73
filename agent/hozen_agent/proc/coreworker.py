"""Reads the memory of one process in a worker, without stopping it and without ptrace(2) (proc_pid_mem(5))."""

from __future__ import annotations

import errno
import json
import os
import platform
import time
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Final

from hozen_agent.filetree import listing
from hozen_agent.proc import addressspace, corefile, procdir, procparse
from hozen_agent.proc.residence import Residence, TooLargeError
from hozen_agent.proc.sweep import read_small, read_some
from hozen_agent.workers.ring import FIRST, HEAD, SLOT, Code, Kind

if TYPE_CHECKING:
    from hozen_agent.proc.addressspace import Area
    from hozen_agent.proc.corefile import Segment
    from hozen_agent.proc.procworker import ProcessWorker

    Span = tuple[int, int, str]

_MAPS: Final = 64 << 20
_THREADS: Final = 1024
_PIECE: Final = 256 << 10
_PAGE: Final = corefile.PAGE
_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_PARTS: Final = 5


def answer(worker: ProcessWorker, name: bytes, *, max_bytes: int) -> None:
    """The memory of the process that the request names is answered as a core file."""
    start, _, _, _, path = name.split(b" ", _PARTS - 1)
    fds: list[int] = []
    try:
        at = procdir.open_process(worker.proc, int(path.split(b"/")[2]), int(start))
        fds.append(at)
        fds += [os.open(file, _READ, dir_fd=at) for file in (b"mem", b"pagemap", b"maps")]
        _Reader(worker, *fds).run(int(path.split(b"/")[2]), max_bytes)
    except ProcessLookupError as error:
        worker.ended(Code.MISSING, error.strerror or "the process ended")
    except OSError as error:
        worker.failed(error, "open the memory")
    finally:
        for fd in fds:
            os.close(fd)


class _Reader:
    """One process, its directory and three of its files open."""

    def __init__(self, worker: ProcessWorker, at: int, memory: int, pages: int, maps: int) -> None:
        self._out = worker.out
        self._worker = worker
        self._at, self._memory, self._maps = at, memory, maps
        self._residence = Residence(pages)
        self._not_read: list[Span] = []
        self._runs: list[tuple[int, int]] = []
        self._begun = time.time_ns()

    def run(self, pid: int, most: int) -> None:
        task = _task(self._at, pid)
        areas = addressspace.parse_maps(read_some(self._maps, _MAPS)[0])
        if not areas:
            self._worker.ended(
                Code.FAILED, "it has no memory of its own: a thread of the kernel, or ended"
            )
            return
        exact = [(area, self._resident(area)) for area in areas]
        self._runs = [run for _, runs in exact for run in runs]
        segments, left_out = addressspace.chosen(addressspace.bridged(exact), most)
        self._not_read += [(*span, "left out by the limit") for span in left_out]
        head = corefile.beginning(_with_files(task, areas), segments)
        self._worker.begin(self._memory)
        self._put(head)
        for segment in segments:
            if segment.taken:
                self._segment(segment)
        self._put(corefile.own_note(self._text(task)))
        reason = self._reason()
        self._worker.ended(Code.TRUNCATED if reason else Code.OK, reason)

    def _resident(self, area: Area) -> list[tuple[int, int]]:
        why = area.why_not
        if not why:
            try:
                return list(self._residence.of(area.start, area.end))
            except TooLargeError:
                why = "too large to look at page by page"
        self._not_read.append((area.start, area.end, why))
        return []

    def _segment(self, segment: Segment) -> None:
        """Put every byte of the segment into the ring; what is not in memory or cannot be read is zeros there."""
        address = segment.start
        place = bisect_left(self._runs, (address, 0))
        for start, end in islice(self._runs, place, None):
            if start >= segment.end:
                break
            if address < start:
                self._not_read.append((address, start, "not in memory; zeros in the file"))
                self._stretch(address, start, there=False)
            self._stretch(start, end, there=True)
            address = end

    def _stretch(self, address: int, end: int, *, there: bool) -> None:
        out = self._out
        while address < end:
            if out.limit - out.position - HEAD.size < _PAGE * 2:
                out.roll()
            room = min(out.limit - out.position - HEAD.size, SLOT - FIRST - HEAD.size, _PIECE)
            size = min(room // _PAGE * _PAGE, end - address)
            at = out.position + HEAD.size
            view = out.shared.view[at : at + size]
            got = self._read(view, address) if there else 0
            if not got:
                got = min(_PAGE, size) if there else size
                view[:got] = bytes(got)
                if there:
                    self._skipped(address, address + got)
            out.commit(Kind.DATA, Code.OK, 0, got)
            address += got

    def _read(self, into: memoryview, address: int) -> int:
        """Return how many bytes from `address` on could be read, whole pages; 0 when the first page cannot."""
        try:
            got = os.preadv(self._memory, [into], address)
        except OSError as error:
            if error.errno in {errno.EIO, errno.EFAULT}:
                return 0
            raise
        return got // _PAGE * _PAGE

    def _skipped(self, start: int, end: int) -> None:
        why = "not readable; zeros in the file"
        if self._not_read and self._not_read[-1][1:] == (start, why):
            self._not_read[-1] = (self._not_read[-1][0], end, why)
        else:
            self._not_read.append((start, end, why))

    def _put(self, data: bytes) -> None:
        for start in range(0, len(data), SLOT // 2):
            self._out.put(Kind.DATA, Code.OK, 0, data[start : start + SLOT // 2])

    def _reason(self) -> str:
        left = [span for span in self._not_read if "limit" in span[2] or "too large" in span[2]]
        if not left:
            return ""
        size = sum(end - start for start, end, _ in left)
        return f"{len(left)} ranges of the memory, {size} bytes, are left out by the limit; the note HOZEN names them"

    def _text(self, task: corefile.Task) -> bytes:
        """Return the text of our note: how it was read, and what was not."""
        ranges = [[f"{start:x}", f"{end:x}", why] for start, end, why in self._not_read]
        facts = {
            "format": "hozen-core/1",
            "pid": task.pid,
            "stopped": False,
            "read_started": str(self._begun),
            "read_ended": str(time.time_ns()),
            "running_threads": [n for n, text in task.threads if not corefile.registers_of(text)],
        }
        for count in (len(ranges), 1000, 200, 0):
            kept = {"not_read": ranges[:count], "not_read_left_out": max(0, len(ranges) - count)}
            text = json.dumps({**facts, **kept}, separators=(",", ":")).encode()
            if len(text) <= corefile.OWN_NOTE:
                return text
            facts["running_threads"] = []
        return b""


def _task(at: int, pid: int) -> corefile.Task:
    """Return whose memory it is.

    Raises:
        OSError: ESRCH when it ended.
    """
    stat = procparse.parse_stat(read_small(b"stat", at=at))
    if stat is None:
        raise OSError(errno.ESRCH, "the process ended")
    status = procparse.parse_status(read_small(b"status", at=at))
    uids, gids = (procparse.identifiers(status, key) or [0] for key in (b"Uid", b"Gid"))
    threads = _threads(at, pid)
    return corefile.Task(
        machine=platform.machine(), pid=pid, ppid=stat.ppid, pgrp=stat.pgrp,
        session=stat.session, uid=uids[0], gid=gids[0], state=stat.state, name=stat.name,
        arguments=read_small(b"cmdline", at=at), threads=threads, auxv=read_small(b"auxv", at=at), files=(),
    )  # fmt: skip


def _threads(at: int, pid: int) -> tuple[tuple[int, bytes], ...]:
    """Return each thread, the first one first, with what it waits in."""
    directory = os.open(b"task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)
    try:
        numbers = sorted(map(int, listing.names(directory)), key=lambda n: (n != pid, n))[:_THREADS]
        return tuple((n, read_small(b"%d/syscall" % n, at=directory)) for n in numbers)
    finally:
        os.close(directory)


def _with_files(task: corefile.Task, areas: list[Area]) -> corefile.Task:
    from dataclasses import replace

    return replace(task, files=addressspace.file_mappings(areas))
