"""Processes that may hang in place of the one that holds the keys.

`ReaderPool.start` forks a helper before any key exists; every worker is forked by the helper, so no process that holds
a key ever forks. A worker that hangs is killed and left behind: SIGKILL may not end it, so nobody waits for it.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_agent.reading import mounts, safeopen
from hozen_agent.workers.ring import Consumer, Kind, Producer, Shared, WorkerGoneError
from hozen_hashes.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable

LANES: Final = 12
SILENCE: Final = 10.0
_COMMAND: Final = struct.Struct("<BB")
_PID: Final = struct.Struct("<i")
_SPAWN, _KILL = 1, 2


@dataclass(slots=True)
class Lane:
    """The pipes and the memory between the supervisor and one worker; used for one worker only."""

    number: int
    shared: Shared
    requests: tuple[int, int]
    events: tuple[int, int]
    free: tuple[int, int]
    pid: int = 0
    consumer: Consumer | None = field(default=None)

    def worker_ends(self) -> tuple[int, int, int]:
        """Return what the worker reads requests from, writes events to, reads free slots from."""
        return self.requests[0], self.events[1], self.free[0]

    def supervisor_ends(self) -> tuple[int, int, int]:
        """Return the other ends."""
        return self.requests[1], self.events[0], self.free[1]

    def records(self) -> Consumer:
        """Return the stream of what the worker says."""
        if self.consumer is None:
            raise InternalError("a lane is used before its worker exists")
        return self.consumer

    def send(self, data: bytes, *, seconds: float) -> bool:
        """Return True when the whole request went into the pipe, False when nobody takes it."""
        poll = select.poll()
        poll.register(self.requests[1], select.POLLOUT)
        deadline = time.monotonic() + seconds
        while data:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return False
            try:
                data = data[os.write(self.requests[1], data[:4096]) :]
            except BlockingIOError:
                continue
            except OSError:
                return False
        return True


def _new_lane(number: int) -> Lane:
    lane = Lane(number, Shared(), os.pipe(), os.pipe(), os.pipe())
    os.set_blocking(lane.requests[1], False)
    return lane


class ReaderPool:
    """A helper and its workers, as the supervisor sees them.

    Attributes:
        silence: seconds without any progress after which a worker is given up.
        abandoned: process ids that were killed and left.
        tick: called while a worker is waited for, so that an epoch can close in time.
        created: processes made so far, the helper among them (law M04).
    """

    def __init__(
        self, lanes: list[Lane], helper: int, pipes: tuple[int, int], *, root: int, proc: int, silence: float,
        named: frozenset[bytes], note: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._fresh = lanes
        self._idle: list[Lane] = []
        self._busy: dict[int, Lane] = {}
        self._helper = helper
        self._commands, self._answers = pipes
        self._root, self._proc = root, proc
        self._named = named
        self.silence = silence
        self.note = note
        self.abandoned: list[int] = []
        self.created = 1
        self.tick: Callable[[], None] = lambda: None
        self.table = table_of(root, proc, named)

    @classmethod
    def start(
        cls, *, root: int, proc: int, note: Callable[[str], None], named: frozenset[bytes] = frozenset(),
        silence: float = SILENCE, lanes: int = LANES,
    ) -> ReaderPool:  # fmt: skip
        """Return a pool whose helper exists; call it after the view and before any key.

        Args:
            root: descriptor of the directory that plays `/`.
            proc: descriptor of a procfs of this process's namespace.
            note: told about abandoned workers and what was left out.
            named: remote mount points that are to be read although they may hang.
            silence: seconds without progress after which a worker is given up.
            lanes: how many workers there can be in all.
        """
        made = [_new_lane(number) for number in range(lanes)]
        command, answer = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            keep = {root, proc, command[0], answer[1]}
            _run_helper(made, keep, (command[0], answer[1]), root, proc, named)
        for fd in (command[0], answer[1], *(fd for lane in made for fd in lane.worker_ends())):
            os.close(fd)
        return cls(
            made, pid, (command[1], answer[0]), root=root, proc=proc, silence=silence, named=named, note=note
        )  # fmt: skip

    def take(self) -> Lane | None:
        """Return a lane with a living worker, None when none is left."""
        if self._idle:
            lane = self._idle.pop()
            self._busy[lane.number] = lane
            return lane
        if not self._fresh:
            return None
        lane = self._fresh.pop(0)
        try:
            os.write(self._commands, _COMMAND.pack(_SPAWN, lane.number))
            pid = os.read(self._answers, _PID.size)
        except OSError:
            return None
        if len(pid) != _PID.size:
            return None
        lane.pid = _PID.unpack(pid)[0]
        self.created += 1
        lane.consumer = Consumer(lane.shared, events=lane.events[0], free=lane.free[1])
        lane.consumer.idle = self._idle_tick
        self._busy[lane.number] = lane
        return lane

    def _idle_tick(self) -> None:
        self.tick()

    def give_back(self, lane: Lane) -> None:
        """The worker, with nothing left to say, may be taken again."""
        if self._busy.pop(lane.number, None) is not None:
            self._idle.append(lane)

    def abandon(self, lane: Lane, why: str) -> None:
        """The worker is killed and left; nobody waits for it."""
        if self._busy.pop(lane.number, None) is None:
            return  # the pool was stopped before
        self.note(f"worker pid {lane.pid} abandoned: {why}")
        self.abandoned.append(lane.pid)
        try:
            os.write(self._commands, _COMMAND.pack(_KILL, lane.number))
        except OSError:
            self.note("the helper of the readers is gone")
        for fd in lane.supervisor_ends():
            os.close(fd)

    def pids(self) -> list[int]:
        """Return the process ids of the helper and of the workers that live."""
        return [self._helper, *(lane.pid for lane in (*self._idle, *self._busy.values()))]

    def stop(self) -> None:
        """Helper and idle workers end; waits at most a second, and never for a worker that hangs."""
        for lane in (*self._idle, *self._fresh, *self._busy.values()):
            for fd in lane.supervisor_ends():
                os.close(fd)
        self._idle, self._fresh, self._busy = [], [], {}
        os.close(self._commands)
        os.close(self._answers)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            if os.waitpid(self._helper, os.WNOHANG)[0]:
                return
            time.sleep(0.005)
        self.note(f"helper pid {self._helper} did not end within a second")


def table_of(root: int, proc: int, named: frozenset[bytes]) -> mounts.MountTable:
    """Return the mount table as seen from `root`.

    Raises:
        OSError: procfs does not answer.
    """
    where = os.readlink(b"self/fd/%d" % root, dir_fd=proc)
    return mounts.MountTable(mounts.read_mountinfo(proc), root=where, named=named)


def _run_helper(  # noqa: PLR0917 - both sides of a fork
    lanes: list[Lane], keep: set[int], pipes: tuple[int, int], root: int, proc: int, named: frozenset[bytes]
) -> None:  # fmt: skip
    """Never returns: forks workers on command until the supervisor is gone."""
    code = 1
    try:
        shed(keep | {fd for lane in lanes for fd in lane.worker_ends()}, root)
        _serve_commands(lanes, pipes, root, proc, named)
        code = 0
    finally:
        os._exit(code)


def shed(keep: set[int], root: int) -> None:
    """Everything of the parent that is not needed is let go: descriptors, terminal, signals, core dumps, writing."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    last = -1
    for fd in (*sorted(keep | {0, 1, 2}), 1 << 20):
        if fd > last + 1:  # an empty range would be taken for "all"
            os.closerange(last + 1, fd)
        last = fd
    os.setsid()
    os.fchdir(root)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    gc.disable()


def _serve_commands(
    lanes: list[Lane], pipes: tuple[int, int], root: int, proc: int, named: frozenset[bytes]
) -> None:
    living: dict[int, int] = {}
    while len(command := os.read(pipes[0], _COMMAND.size)) == _COMMAND.size:
        what, number = _COMMAND.unpack(command)
        for old, pid in list(living.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del living[old]
        if what == _KILL:
            if number in living:
                os.kill(living[number], signal.SIGKILL)
            continue
        pid = os.fork()
        if pid == 0:
            _run_worker(lanes, number, pipes, root, proc, named)
        living[number] = pid
        for fd in lanes[number].worker_ends():
            os.close(fd)
        os.write(pipes[1], _PID.pack(pid))
    _reap(living, seconds=0.8)


def _reap(living: dict[int, int], *, seconds: float) -> None:
    """Workers that end in time are waited for, so that their use counts in ours; the others are left."""
    deadline = time.monotonic() + seconds
    left = set(living.values())
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if not os.waitpid(pid, os.WNOHANG)[0]}
        time.sleep(0.002)


def _run_worker(  # noqa: PLR0917
    lanes: list[Lane], number: int, pipes: tuple[int, int], root: int, proc: int, named: frozenset[bytes]
) -> None:  # fmt: skip
    """Never returns: answers requests until the supervisor is gone."""
    from hozen_agent.workers.serve import serve

    code = 1
    lane = lanes[number]
    out: Producer | None = None
    try:
        mine = set(lane.worker_ends())
        for other in lanes:
            for fd in other.worker_ends():
                if fd not in mine:
                    _close_quietly(fd)
        for fd in pipes:
            os.close(fd)
        out = Producer(lane.shared, events=lane.events[1], free=lane.free[0])
        opener = safeopen.Opener(root, proc, lambda: table_of(root, proc, named))
        serve(lane.requests[0], opener, out, proc=proc)
        code = 0
    except WorkerGoneError:
        code = 0
    except BaseException as error:  # noqa: BLE001 - said to the supervisor, then the process ends
        if out is not None:
            out.put(Kind.NOTE, 0, 0, f"worker failed: {error!r}".encode()[:2000])
            out.roll()
    finally:
        os._exit(code)


def _close_quietly(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        return  # the helper had closed it for an earlier worker
