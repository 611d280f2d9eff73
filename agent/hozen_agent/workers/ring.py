"""Two shared slots that carry a stream of records from a worker to its supervisor.

The worker fills one slot while the supervisor reads the other. A byte through `events` says that a slot is complete, a
byte through `free` that it may be filled again. Every record is committed on its own, so the supervisor of a worker
that hangs can still take what lies in the unfinished slot.

Slot: committed bytes (u32), zero (u32), wall clock and CLOCK_BOOTTIME in ns when it was begun (u64, u64), then records.
Record: kind (u8), code (u8), flags (u16), length (u32), then `length` bytes; each begins on a multiple of 8.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import struct
import time
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOT: Final = 1 << 20
SLOTS: Final = 2
FIRST: Final = 24  # where records begin in a slot
_SLOT_HEAD: Final = struct.Struct("<IIQQ")
HEAD: Final = struct.Struct("<BBHI")
STAT: Final = 256  # struct statx, as the kernel writes it
ROOM: Final = SLOT - FIRST - HEAD.size - 8  # the longest record
_TICK: Final = 0.5
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Kind(IntEnum):
    """What a record is."""

    WHOLE = 1  # stat, data [, second stat]: a small file in one piece
    BEGIN = 2  # stat: content follows
    DATA = 3  # content
    END = 4  # [stat] [second stat] reason: the item ended with `code`
    PATHS = 5  # found paths, each ended by NUL
    NOTE = 6  # an observation of the worker, UTF-8
    ALIVE = 7  # nothing, but work goes on


class Code(IntEnum):
    """How an item ended."""

    OK = 0
    MISSING = 1
    DENIED = 2
    FAILED = 3
    TRUNCATED = 4
    WITHHELD = 5
    SPECIAL = 6  # neither regular file, directory nor link: never opened
    METADATA = 7  # the request asked for no content


class Flag(IntFlag):
    """What a record holds or means beside its kind."""

    STAT = 1
    CHANGED = 2  # the second stat differs and is there
    SPARSE = 4  # content is a tar of the extents
    LINK = 8
    DIRECTORY = 16
    DERIVED = 64  # content was computed, hashes left out
    ATIME = 32  # the access time may have changed: O_NOATIME was refused


class WorkerSilentError(Exception):
    """The worker committed nothing for the whole time allowed."""


class WorkerGoneError(Exception):
    """The worker's end of the pipe is closed."""


class Shared:
    """The memory of one ring; made before the fork, never backed by a file."""

    __slots__ = ("address", "memory", "view")

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, SLOT * SLOTS)
        self.view = memoryview(self.memory)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))


class Producer:
    """The worker's side.

    Attributes:
        position: absolute offset in the memory where the next record begins.
        limit: where the slot ends.
    """

    __slots__ = ("_base", "_events", "_free", "_slot", "_used", "limit", "position", "shared")

    def __init__(self, shared: Shared, *, events: int, free: int) -> None:
        self.shared = shared
        self._events = events
        self._free = free
        self._slot = 0
        self._used = 0
        self._enter(0)

    def _enter(self, slot: int) -> None:
        self._slot = slot
        self._base = slot * SLOT
        self.position = self._base + FIRST
        self.limit = self._base + SLOT
        now = time.time_ns(), time.clock_gettime_ns(_CLOCK)
        _SLOT_HEAD.pack_into(self.shared.memory, self._base, 0, 0, *now)

    def reserve(self, size: int) -> int:
        """Return the offset of `size` free bytes for a record's body, in a fresh slot if need be."""
        if self.position + HEAD.size + size > self.limit:
            self.roll()
        return self.position + HEAD.size

    def commit(self, kind: int, code: int, flags: int, length: int) -> None:
        """The record whose body was written at the reserved offset becomes visible."""
        HEAD.pack_into(self.shared.memory, self.position, kind, code, flags, length)
        self.position = (self.position + HEAD.size + length + 7) & ~7
        committed = min(self.position, self.limit) - self._base - FIRST
        self.shared.view[self._base : self._base + 4] = committed.to_bytes(4, "little")

    def put(self, kind: int, code: int, flags: int, body: bytes) -> None:
        """Commit a record of ready bytes, at most ROOM of them."""
        offset = self.reserve(len(body))
        self.shared.view[offset : offset + len(body)] = body
        self.commit(kind, code, flags, len(body))

    def roll(self) -> None:
        """The slot goes to the supervisor; the other one is entered as soon as it is free.

        Raises:
            WorkerGoneError: the supervisor has ended.
        """
        if self.position == self._base + FIRST:
            return
        os.write(self._events, b"\x01")
        self._used += 1
        if self._used > 1 and not os.read(self._free, 1):
            raise WorkerGoneError
        self._enter(1 - self._slot)


class Consumer:
    """The supervisor's side: an endless stream of records of a worker that is believed to be alive.

    Attributes:
        idle: called at least every half second while nothing comes.
        started: wall clock and CLOCK_BOOTTIME in ns when the slot at hand was begun.
    """

    __slots__ = (
        "_complete", "_end", "_events", "_free", "_held", "_position", "_slot", "_stalled", "idle", "shared",
        "started",
    )  # fmt: skip

    def __init__(self, shared: Shared, *, events: int, free: int) -> None:
        self.shared = shared
        self._events = events
        self._free = free
        self._slot = SLOTS - 1
        self._position = self._end = 0
        self._held = False
        self._complete = True
        self._stalled = False
        self.idle: Callable[[], None] = lambda: None
        self.started = (0, 0)

    def record(self, silence: float) -> tuple[int, int, int, int, int]:
        """Return (kind, code, flags, offset of the body, its length) of the next record.

        The body stays as it is until the next call.

        Raises:
            WorkerSilentError: nothing was committed for `silence` seconds.
            WorkerGoneError: the worker ended and everything it committed was returned.
        """
        if self._position >= self._end:
            self._next(silence)
        position = self._position
        kind, code, flags, length = HEAD.unpack_from(self.shared.memory, position)
        self._position = (position + HEAD.size + length + 7) & ~7
        return kind, code, flags, position + HEAD.size, length

    def _next(self, silence: float) -> None:
        """The next stretch of committed records lies between `_position` and `_end`."""
        if self._complete:
            if self._held:
                self._release()
            self._slot = 1 - self._slot
            self._position = self._end = self._slot * SLOT + FIRST
        complete = self._wait(0.0 if self._stalled else silence)
        base = self._slot * SLOT
        committed, _, wall, boot = _SLOT_HEAD.unpack_from(self.shared.memory, base)
        self._end = base + FIRST + min(committed, SLOT - FIRST)
        self._held = self._complete = complete
        self._stalled = not complete
        self.started = (wall, boot)
        if self._position < self._end:
            return
        if complete:
            self._next(silence)  # everything in this slot was taken before it was completed
            return
        raise WorkerGoneError if self._hung_up() else WorkerSilentError

    def _release(self) -> None:
        self._held = False
        base = self._slot * SLOT
        # A later look must not take old records for new ones.
        self.shared.view[base : base + 4] = bytes(4)
        try:
            os.write(self._free, b"\x01")
        except OSError:
            return  # the worker is gone; the next wait says so

    def _committed(self) -> int:
        base = self._slot * SLOT
        return int.from_bytes(self.shared.view[base : base + 4], "little")

    def _wait(self, silence: float) -> bool:
        """Return True for a complete slot, False when the unfinished one must do."""
        poll = select.poll()
        poll.register(self._events, select.POLLIN)
        deadline = time.monotonic() + silence
        seen = self._committed()
        while True:
            left = deadline - time.monotonic()
            if poll.poll(max(0.0, min(left, silence / 4, _TICK)) * 1000):
                return os.read(self._events, 1) != b""
            self.idle()
            if (now := self._committed()) != seen:
                seen, deadline = now, time.monotonic() + silence
            elif left <= 0:
                return False

    def _hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._events, 0)
        return bool(poll.poll(0))

    def paths(self, offset: int, length: int) -> Iterator[bytes]:
        """Yield the paths of a PATHS record."""
        yield from bytes(self.shared.view[offset : offset + length]).split(b"\0")[:-1]
