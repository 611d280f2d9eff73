"""The supervisor's side of network questions: what is wanted of one namespace in, the kernel's bytes out.

The process that calls this enters no namespace itself; a worker of the pool does, and is given up when it falls silent.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_agent.attempts import OUTCOMES
from hozen_agent.clock import now
from hozen_agent.items import Outcome
from hozen_agent.net.netserve import ALL, CHANGED, KEYS, SENT
from hozen_agent.workers import serve
from hozen_agent.workers.ring import Kind, WorkerGoneError, WorkerSilentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hozen_agent.net.netenter import Place
    from hozen_agent.workers.pool import Lane, ReaderPool

SECONDS: Final = 60.0
_KEPT: Final = 24 << 20  # of one namespace's answers, for the records made of them
_STRETCH: Final = 64 << 10


@dataclass(slots=True)
class Ended:
    """How one wanted thing ended; `outcome` None for well."""

    name: str
    outcome: Outcome | None
    reason: str


class Spool:
    """Answers to one question kept for a second look, compressed beyond a little."""

    __slots__ = ("_packed", "_size", "_tail", "total")

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._tail: list[bytes] = []
        self._size = self.total = 0

    def add(self, data: bytes) -> None:
        """One answer is kept."""
        self._tail.append(len(data).to_bytes(4, "little") + data)
        self._size += len(data)
        self.total += len(data)
        if self._size > _STRETCH:
            self._packed.append(zlib.compress(b"".join(self._tail), 1))
            self._tail, self._size = [], 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield each answer in its order."""
        for packed in self._packed:
            yield from _cut(zlib.decompress(packed))
        yield from _cut(b"".join(self._tail))


def _cut(stretch: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(stretch):
        length = int.from_bytes(stretch[at : at + 4], "little")
        yield stretch[at + 4 : at + 4 + length]
        at += 4 + length


@dataclass(slots=True)
class Answers:
    """What one namespace answered; complete after `raw` was taken to its end.

    Attributes:
        left_out: answers that the records will lack; the raw item has them.
        ended: how each wanted thing ended, in order.
        keys: secrets that were overwritten before the bytes came here.
        entered: None when the namespace was entered, else how that ended.
    """

    wanted: Sequence[str]
    left_out: int = 0
    size: int = 0
    spools: dict[str, list[Spool]] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    entered: Ended | None = None
    started: tuple[int, int] = field(default_factory=now)

    def kept(self, name: str) -> Iterator[bytes]:
        """Yield the answers to what was wanted under `name`."""
        for spool in self.spools.get(name, ()):
            yield from spool

    def keep(self, name: str, data: bytes) -> None:
        """One answer is kept for the records, or counted when there is no room."""
        if self.size + len(data) > _KEPT:
            self.left_out += 1
            return
        self.size += len(data)
        self.spools.setdefault(name, [Spool()])[-1].add(data)

    def forget(self, name: str) -> None:
        """The last question is put again: what it brought does not count."""
        if self.spools.get(name):
            self.size -= self.spools[name].pop().total

    def outcome_of(self, name: str) -> Ended | None:
        """Return how a wanted thing ended, None when nothing was said of it."""
        return next((ended for ended in self.ended if ended.name == name), None)


def ask(
    pool: ReaderPool | None, place: Place | None, answers: Answers, *, seconds: float = SECONDS
) -> Iterator[tuple[str, bool, bytes]]:
    """Yield (wanted, sent by us, bytes) of each datagram or piece of text; `answers` says the rest afterwards.

    Args:
        pool: None where there are no reading helpers; then nothing is asked, and `answers` says so.
        place: None for the namespace that the capture runs in.
        answers: names what is wanted, and is filled.
        seconds: after which nothing more is asked of this namespace.
    """
    from hozen_agent.net.netserve import OWN

    lane = pool.take() if pool is not None else None
    if pool is None or lane is None:
        answers.entered = Ended("", Outcome.FAILED, "not attempted: no reader is left")
        return
    names = [place.pack() if place else OWN, *(name.encode() for name in answers.wanted)]
    lane.send(serve.request(serve.NET, 0, int(seconds * 1000), names), seconds=pool.silence)
    done = False
    try:
        yield from _replies(lane, max(pool.silence, 12.0), answers)
        done = True
    except (WorkerSilentError, WorkerGoneError) as failure:
        silent = isinstance(failure, WorkerSilentError)
        answers.entered = Ended(
            "",
            Outcome.TIMED_OUT if silent else Outcome.FAILED,
            "the reader fell silent" if silent else "the reader ended",
        )
    finally:
        if done:
            pool.give_back(lane)
        else:
            pool.abandon(lane, "questions about a network namespace were not answered")


def _replies(lane: Lane, silence: float, answers: Answers) -> Iterator[tuple[str, bool, bytes]]:
    stream = lane.records()
    while True:
        kind, code, number, at, length = stream.record(silence)
        if kind not in {Kind.DATA, Kind.END}:
            continue
        body = bytes(stream.shared.view[at : at + length])
        if kind == Kind.END:
            ended = Ended("", OUTCOMES[code], body.decode("utf-8", "replace"))
            if number == ALL:
                answers.entered = ended if ended.outcome else None
                return
            ended.name = answers.wanted[number]
            answers.ended.append(ended)
            continue
        name = answers.wanted[number]
        if code == KEYS:
            answers.keys[name] = answers.keys.get(name, 0) + int(body)
        elif code == CHANGED:
            answers.forget(name)
        else:
            if code == SENT:
                answers.spools.setdefault(name, []).append(Spool())
            else:
                answers.keep(name, body)
            yield name, code == SENT, body
