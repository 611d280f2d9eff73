"""Asks every witness, each by a task of its own: one that is slow, away or hostile holds up no other and no receipt."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from hozen_collector import faults
from hozen_collector.http_api.common import blocking
from hozen_collector.witnesses.asking import WitnessError, ask, cosignature, is_conflict
from hozen_hashes.addcheckpoint import encode_add_checkpoint
from hozen_hashes.errors import HozenError
from hozen_hashes.note import parse_note

if TYPE_CHECKING:
    from hozen_collector.runtime import Collector
    from hozen_collector.witnesses.keeping import Asked

logger = logging.getLogger("hozen.collector")
_TRIES: Final = 3  # a log that grows meanwhile gives a witness another size to name
_LONGEST: Final = 3600.0
_LOOK: Final = 30.0


class Rounds:
    """The tasks that ask."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._settings = collector.settings.witnesses
        self._stopping = asyncio.Event()
        self._wakes: list[asyncio.Event] = []
        self._loop = asyncio.get_running_loop()
        self._asking: list[asyncio.Task[None]] = []

    def start(self) -> list[asyncio.Task[None]]:
        """Begin, on the event loop; a task that ends before `stop` is a fault of ours."""
        for witness in self._collector.cosignatures.asked:
            wake = asyncio.Event()
            self._wakes.append(wake)
            self._asking.append(asyncio.create_task(self._serve(witness, wake)))
        self._collector.log.published = self._published
        return self._asking

    def stop(self) -> None:
        """Ask nobody any more; the tasks end."""
        self._collector.log.published = None
        self._collector.cosignatures.close()
        self._stopping.set()
        for wake in self._wakes:
            wake.set()

    def _published(self) -> None:
        """Wake everybody; called by whatever thread published."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()

    async def _serve(self, witness: Asked, wake: asyncio.Event) -> None:
        failures, known = 0, -1
        while not self._stopping.is_set():
            wake.clear()
            try:
                if known < 0:
                    known = await blocking(self._collector.cosignatures.last, witness)
                known = await self._brought(witness, known)
                failures = 0
                await _wait(wake, _LOOK)
            except HozenError as error:
                failures += 1
                logger.warning("witness %s: %s", witness.key.name, error)
                with contextlib.suppress(HozenError):
                    await blocking(self._collector.cosignatures.failed, witness, str(error))
                pause = self._settings.retry * 2 ** min(failures - 1, 12)
                await _wait(self._stopping, min(pause, _LONGEST))

    async def _brought(self, witness: Asked, known: int) -> int:
        """Return the newest size of the log, cosigned by the witness."""
        size = self._collector.log.signed[0].size
        if size in (known, 0):
            return known
        work = asyncio.ensure_future(self._asked(witness, known))
        stop = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not work.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, HozenError):
                await work
            return known
        return work.result()

    async def _asked(self, witness: Asked, old: int) -> int:
        collector = self._collector
        for _ in range(_TRIES):
            checkpoint, signed, proof = await blocking(collector.log.growth, old)
            faults.reach("witness-asked")
            body = encode_add_checkpoint(old, proof, signed)
            answer = await ask(witness.url, body, seconds=self._settings.timeout)
            if not is_conflict(answer):
                line, seconds = cosignature(answer, parse_note(signed), witness.key)
                faults.reach("cosignature-received")
                await blocking(
                    collector.cosignatures.keep, witness, checkpoint.size, signed, line, seconds
                )
                return checkpoint.size
            old = _other_size(answer.known, old, collector.log.signed[0].size)
        raise WitnessError("it named another size each time")


def _other_size(known: int, old: int, size: int) -> int:
    """Return the size that the witness knows, when the log can have had it."""
    if known == old:
        raise WitnessError(f"it holds another root of {known} entries: the log was forked (409)")
    if known > size:
        raise WitnessError(
            f"it knows {known} entries, the log has {size}: the log was rolled back (409)"
        )
    return known


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
