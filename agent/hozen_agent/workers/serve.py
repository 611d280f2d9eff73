"""What a worker process does all its life: take requests from the pipe, answer into the ring.

Request: length (u32), then kind (u8), flags (u8), a number (u64), then paths or patterns, each ended by NUL. Of a job
the flags are its number, the names its parameters as JSON and its path.
"""

from __future__ import annotations

import os
import select
import struct
import time
from typing import TYPE_CHECKING, Final

from hozen_agent.filetree import walk
from hozen_agent.proc.procworker import ProcessWorker
from hozen_agent.reading.endings import Fields
from hozen_agent.workers.jobwork import work
from hozen_agent.workers.ring import Kind, Producer

if TYPE_CHECKING:
    from hozen_agent.net.netserve import NetServer
    from hozen_agent.reading.safeopen import Opener

LENGTH: Final = struct.Struct("<I")
REQUEST: Final = struct.Struct("<BBQ")
FILES, WALK, NET, JOB, HELD, HASHED, CORE, TEXT = 1, 2, 3, 4, 5, 6, 7, 8
NEWEST, METADATA, AGING, PASSWD = 1, 2, 4, 8
_PATHS_AT_ONCE: Final = 16 << 10
_PATHS_UNSENT: Final = 64 << 10
_SECONDS_UNSENT: Final = 0.2


def request(kind: int, flags: int, number: int, names: list[bytes]) -> bytes:
    """Return the bytes of one request."""
    body = REQUEST.pack(kind, flags, number) + b"\0".join(names)
    return LENGTH.pack(len(body)) + body


def _read_exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, size)
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def serve(requests: int, opener: Opener, out: Producer, *, proc: int) -> None:
    """Return when the supervisor has closed the pipe; every request before was answered."""
    files = ProcessWorker(opener, out, proc)
    net: NetServer | None = None
    waiting = select.poll()
    waiting.register(requests, select.POLLIN)
    while True:
        if not waiting.poll(0):
            out.roll()  # what is ready must not wait for more to do
        length = _read_exactly(requests, LENGTH.size)
        if not length:
            return
        body = _read_exactly(requests, LENGTH.unpack(length)[0])
        kind, flags, number = REQUEST.unpack_from(body)
        names = body[REQUEST.size :].split(b"\0")
        if kind == FILES:
            newest, metadata = bool(flags & NEWEST), bool(flags & METADATA)
            if not flags & ~NEWEST:
                files.items(names, max_bytes=number, newest=newest)
                continue
            fields = (
                Fields.ALWAYS if flags & AGING else Fields.IF_HASHED if flags & PASSWD else None
            )
            for path in names:
                files.item(path, max_bytes=number, newest=newest, metadata=metadata, fields=fields)
        elif kind == NET:
            net = net or _net_server(opener, out, proc)
            net.answer(names, seconds=number / 1000)
        elif kind == JOB:
            work(opener, out, flags, names)
        elif kind in {HELD, HASHED, CORE, TEXT}:
            _of_processes(files, kind, names, max_bytes=number, newest=bool(flags & NEWEST))
        else:
            _Found(out, timed=bool(flags & NEWEST)).walk(opener, names, seconds=number / 1000)


def _net_server(opener: Opener, out: Producer, proc: int) -> NetServer:
    """Only a worker that is asked about networks pays for the code."""
    from hozen_agent.net.netserve import NetServer

    return NetServer(proc, opener.root, out)


def _of_processes(
    worker: ProcessWorker, kind: int, names: list[bytes], *, max_bytes: int, newest: bool
) -> None:
    for name in names:
        if kind == HELD:
            worker.held(name, max_bytes=max_bytes, newest=newest)
        elif kind == HASHED:
            worker.hashed(name, max_bytes=max_bytes)
        elif kind == TEXT:
            worker.text(name, max_bytes=max_bytes)
        else:
            from hozen_agent.proc.coreworker import answer

            answer(worker, name, max_bytes=max_bytes)


class _Found:
    """Puts found paths into the ring, before the next directory is opened: it may be the one that hangs."""

    __slots__ = ("_batch", "_out", "_sent", "_size", "_timed", "_unsent")

    def __init__(self, out: Producer, *, timed: bool) -> None:
        self._out = out
        self._timed = timed
        self._batch: list[bytes] = []
        self._size = self._unsent = 0
        self._sent = time.monotonic()

    def walk(self, opener: Opener, patterns: list[bytes], *, seconds: float) -> None:
        bounds = walk.Bounds(seconds=seconds)
        walker = walk.Walker(
            opener, self._add, self._note, self._flush, bounds=bounds, timed=self._timed
        )
        walker.run(patterns)
        self._flush()
        self._out.put(Kind.END, 0, 0, b"")
        self._out.roll()

    def _add(self, path: bytes, mtime: int) -> None:
        self._batch.append(b"%d %b" % (mtime, path) if self._timed else path)
        self._size += len(path) + 24
        if self._size > _PATHS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        """What was found lies in the ring; now and then the slot goes to the supervisor."""
        now = time.monotonic()
        if self._batch:
            self._out.put(Kind.PATHS, 0, 0, b"\0".join(self._batch) + b"\0")
            self._unsent += self._size
            self._batch.clear()
            self._size = 0
        elif now - self._sent > 1:
            self._out.put(Kind.ALIVE, 0, 0, b"")
        if self._unsent > _PATHS_UNSENT or now - self._sent > _SECONDS_UNSENT:
            self._out.roll()
            self._sent, self._unsent = now, 0

    def _note(self, text: str) -> None:
        self._out.put(Kind.NOTE, 0, 0, text.encode()[:4000])
