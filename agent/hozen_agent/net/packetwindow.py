"""A process of its own that watches packets for a while, so that nothing else has to wait for them.

It is forked before any key exists, begins when it is told to (after the start of the capture was signed), keeps what it
saw in bounded memory, and hands it over when the capture asks. Nothing of it reaches a disk of the host.

From the supervisor: one line of JSON, `{"begin": [comments]}`, later a byte for "end now". To the supervisor: frames of
kind (u8), length (u32) and data.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import struct
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_agent.clock import now
from hozen_agent.net import packetring
from hozen_agent.net.packetfile import PacketFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HELD: Final = 20 << 20  # bytes that wait in memory for the supervisor: 150,000 packets' headers
FRAME: Final = struct.Struct("<BI")
BEGUN, DATA, END = 1, 2, 3
_MOST_FRAME: Final = 1 << 20
_PIPE: Final = 1 << 20
_MOST_COMMENTS, _LONGEST_COMMENT = 8, 1000  # the line must fit a pipe that nobody reads yet
_LOOK: Final = 0.05
_PATIENCE: Final = 30.0  # seconds after which a silent helper is given up
_SPARE: Final = 64 << 10  # what interface and statistics blocks may need at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a window stays open, and how much it may take.

    Attributes:
        octets: most bytes of the pcapng file.
    """

    seconds: float = 10.0
    octets: int = 256 << 20
    packets: int = 5_000_000
    payload: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a window ended.

    Attributes:
        outcome: a word of bundle-v1 §7.
        received: packets that the kernel offered, the lost ones among them.
        lost: packets for which there was no room.
        written: packets in the file.
    """

    outcome: str
    reason: str = ""
    started: int = 0
    ended: int = 0
    received: int = 0
    lost: int = 0
    written: int = 0
    interfaces: tuple[dict[str, object], ...] = ()


@dataclass(slots=True)
class PacketWindow:
    """The helper, as the capture sees it.

    Attributes:
        limits: as agreed with the helper when it was made.
        tick: called while it is waited for.
        ending: known after the last byte.
    """

    limits: Limits
    pid: int
    commands: int
    answers: int
    tick: Callable[[], None] = field(default=lambda: None)
    ending: Ending | None = None
    begun: tuple[int, int] | None = None

    @classmethod
    def start(cls, limits: Limits, *, proc: int) -> PacketWindow:
        """Return the window, not yet open; its helper exists. Call this before any key does."""
        command, answer = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            _run(limits, proc, command[0], answer[1])
        os.close(command[0])
        os.close(answer[1])
        return cls(limits, pid, command[1], answer[0])

    def open(self, comments: Sequence[str]) -> None:
        """Let the helper begin; the comments go into the head of the file."""
        short = [comment[:_LONGEST_COMMENT] for comment in comments[:_MOST_COMMENTS]]
        line = json.dumps({"begin": short}).encode() + b"\n"
        try:
            os.write(self.commands, line)
        except OSError:
            return  # it is gone; read() says so

    def read(self, *, stopped: Callable[[], bool] = lambda: False) -> Iterator[bytes]:
        """Yield the file's bytes until the window closes by itself or, after `stopped`, now; then `ending` is known."""
        silent = time.monotonic()
        asked = False
        pending = bytearray()
        while self.ending is None:
            if not asked and stopped():
                asked = True
                self._say(b"!")
            if not select.select([self.answers], [], [], _LOOK)[0]:
                self.tick()
                if time.monotonic() - silent > self.limits.seconds + _PATIENCE:
                    self.ending = Ending(outcome="timed_out", reason="the helper said nothing")
                continue
            silent = time.monotonic()
            data = os.read(self.answers, _PIPE)
            if not data:
                self.ending = Ending(outcome="failed", reason="the helper ended without a word")
            pending += data
            yield from self._frames(pending)

    def stop(self) -> None:
        """The helper ends; waits at most a second."""
        os.close(self.commands)
        os.close(self.answers)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return
            time.sleep(0.005)
        os.kill(self.pid, signal.SIGKILL)

    def _say(self, word: bytes) -> None:
        try:
            os.write(self.commands, word)
        except OSError:
            return

    def _frames(self, pending: bytearray) -> Iterator[bytes]:
        while len(pending) >= FRAME.size:
            kind, length = FRAME.unpack_from(pending)
            if len(pending) < FRAME.size + length:
                return
            data = bytes(pending[FRAME.size : FRAME.size + length])
            del pending[: FRAME.size + length]
            if kind == DATA:
                yield data
            elif kind == END:
                said = json.loads(data)
                self.ending = Ending(**{**said, "interfaces": tuple(said["interfaces"])})


class _Helper:
    """The loop of the helper: ring to memory, memory to pipe, whichever is possible."""

    def __init__(self, limits: Limits, commands: int, answers: int) -> None:
        self._limits = limits
        self._commands, self._answers = commands, answers
        self._file = PacketFile(limits.payload)
        self._queue: deque[memoryview] = deque()
        self._held = 0
        self._why = ""
        self._full = False
        self._ended = 0

    def refuse(self, outcome: str, reason: str) -> None:
        """Say that there will be no packets."""
        self._end(Ending(outcome=outcome, reason=reason))
        while self._queue:
            self._poll(None, 1.0)

    def watch(self, ring: packetring.PacketRing, comments: Sequence[str]) -> None:
        """Take packets until a limit or the supervisor ends it, then say how it went and hand the rest over."""
        started = now()[0]
        machine = os.uname()
        self._put(
            self._file.begin(
                comments,
                hardware=machine.machine,
                system=f"{machine.sysname} {machine.release}",
                agent="hozen",
            )
        )
        until = time.monotonic() + self._limits.seconds
        while not self._why and (left := until - time.monotonic()) > 0:
            self._poll(ring, left)
        ring.settle()
        self._ended = now()[0]
        while not self._full and ring.ready():
            self._drain(ring)
            self._poll(None, 0.0 if self._held < HELD else 1.0)
        self._close(ring, started)
        while self._queue:
            self._poll(None, 1.0)

    def _poll(self, ring: packetring.PacketRing | None, seconds: float) -> None:
        reading: list[int] = [self._commands]
        if ring is not None and self._held < HELD:
            reading.append(ring.fileno())
        writing = [self._answers] if self._queue else []
        can_read, can_write, _ = select.select(reading, writing, [], min(seconds, 1.0))
        if can_write:
            self._send()
        if self._commands in can_read:
            if not os.read(self._commands, 1):
                os._exit(0)  # nobody is there to take it
            self._why = self._why or "the capture ended it"
        if ring is not None and len(can_read) > (self._commands in can_read):
            self._drain(ring)

    def _drain(self, ring: packetring.PacketRing) -> None:
        limits, file = self._limits, self._file
        pieces: list[bytes] = []
        for seen in ring.take():
            if file.packets >= limits.packets:
                self._fill(f"its limit of {limits.packets} packets was reached")
                break
            if file.octets + len(seen.data) + _SPARE > limits.octets:
                self._fill(f"its limit of {limits.octets} bytes was reached")
                break
            pieces.append(file.packet(seen))
        self._put(b"".join(pieces))

    def _fill(self, why: str) -> None:
        self._full = True
        self._why = why

    def _close(self, ring: packetring.PacketRing, started: int) -> None:
        counts = ring.counts()
        self._put(self._file.end(started=started, ended=self._ended, counts=counts))
        reasons = []
        if counts[1]:
            reasons.append(f"{counts[1]} of {counts[0]} packets were lost for lack of room")
        if self._why:
            seconds = (self._ended - started) / 1e9
            reasons.append(f"the window was closed after {seconds:.1f} s: {self._why}")
        self._end(
            Ending(
                outcome="truncated" if reasons else "captured",
                reason="; ".join(reasons),
                started=started,
                ended=self._ended,
                received=counts[0],
                lost=counts[1],
                written=self._file.packets,
                interfaces=tuple(self._file.interfaces()),
            )
        )

    def _put(self, data: bytes) -> None:
        for at in range(0, len(data), _MOST_FRAME):
            piece = data[at : at + _MOST_FRAME]
            self._queue.append(memoryview(FRAME.pack(DATA, len(piece)) + piece))
        self._held += len(data)

    def _end(self, ending: Ending) -> None:
        said = json.dumps(asdict(ending)).encode()
        self._queue.append(memoryview(FRAME.pack(END, len(said)) + said))

    def _send(self) -> None:
        try:
            count = os.write(self._answers, self._queue[0][:_PIPE])
        except BlockingIOError:
            return
        self._held = max(0, self._held - count)
        if count == len(self._queue[0]):
            self._queue.popleft()
        else:
            self._queue[0] = self._queue[0][count:]


def _run(limits: Limits, proc: int, commands: int, answers: int) -> None:
    """Never returns: the life of the helper."""
    from hozen_agent.workers.pool import shed

    code = 1
    try:
        shed({proc, commands, answers}, proc)
        os.set_blocking(answers, False)
        helper = _Helper(limits, commands, answers)
        line = _line(commands)
        if line:
            _begin(helper, limits, proc, json.loads(line)["begin"])
        code = 0
    finally:
        os._exit(code)


def _begin(helper: _Helper, limits: Limits, proc: int, comments: list[str]) -> None:
    if not packetring.supported(proc):
        helper.refuse(
            "missing",
            "the kernel has no packet sockets now; asking for one would load a module, which changes the host",
        )
        return
    try:
        ring = packetring.PacketRing(payload=limits.payload)
    except OSError as error:
        denied = error.errno in {errno.EPERM, errno.EACCES}
        more = "; packet sockets need CAP_NET_RAW in the network namespace" if denied else ""
        name = errno.errorcode.get(error.errno or 0, "unknown")
        helper.refuse("denied" if denied else "failed", f"{error.strerror} ({name}){more}")
        return
    helper.watch(ring, comments)


def _line(fd: int) -> bytes:
    """Return the first line, empty when the supervisor ended before."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(fd, 1)):
        line += byte
    return line if line.endswith(b"\n") else b""
