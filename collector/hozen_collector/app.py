"""The ASGI application of the API listener, and the workers that live beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from hozen_collector import accepting, jobs
from hozen_collector.http_api import custody, enrol, public, sealed
from hozen_collector.http_api.common import blocking
from hozen_collector.intake import routes as intake
from hozen_collector.intake import store
from hozen_collector.problem import RefusedError, problem
from hozen_collector.timestamps import stamping, tasks
from hozen_collector.witnesses.rounds import Rounds
from hozen_hashes.errors import CannotWriteError, HozenError, InternalError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from hozen_collector.intake.live import LiveUploads
    from hozen_collector.runtime import Collector
    from hozen_collector.verifying import Verifier

logger = logging.getLogger("hozen.collector")
T = TypeVar("T")
_POLL: Final = 1.0
_WORKERS: Final = 2  # a long verification must not hold up every receipt
_SWEEP: Final = 30.0
_RETRY: Final = 2


class Workers:
    """What runs beside the requests: jobs, the sweep of abandoned uploads, time stamps, and witnesses."""

    def __init__(self, collector: Collector, verifier: Verifier) -> None:
        self._collector = collector
        self._verifier = verifier
        self._lines = stamping.lines_of(collector)
        self._aside = ThreadPoolExecutor(len(self._lines) + 1, thread_name_prefix="hozen-stamps")
        self._work = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._rounds: Rounds | None = None

    def start(self) -> None:
        """Begin; to be called on the event loop."""
        jobs_at_once = [self._jobs() for _ in range(_WORKERS)]
        stamps = [self._stamps(line) for line in self._lines]
        beside = (self._sweeps(), *stamps, *([self._due()] if stamps else []))
        self._tasks = [asyncio.create_task(one) for one in (*jobs_at_once, *beside)]
        self._rounds = Rounds(self._collector)
        self._tasks += self._rounds.start()

    def wake(self) -> None:
        """Say that a job was promised."""
        self._work.set()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What must not end before `stop`: if one does, it is a fault of ours and the collector ends with it."""
        return self._tasks

    async def stop(self) -> None:
        """End after the durable step at hand; what is not done is done at the next start."""
        self._stopping.set()
        self._work.set()
        self._verifier.stop()
        if self._rounds is not None:
            self._rounds.stop()
        for line in self._lines:
            line.asker.stop()
        await asyncio.gather(*self._tasks)
        self._aside.shutdown()

    async def _jobs(self) -> None:
        while not self._stopping.is_set():
            self._work.clear()
            if not await self._attempt(self._one_job):
                await _wait(self._work, _POLL)

    async def _sweeps(self) -> None:
        while not self._stopping.is_set():
            await self._attempt(self._sweep)
            await _wait(self._stopping, _SWEEP)

    async def _stamps(self, line: stamping.Line) -> None:
        """Stamp with threads apart: an authority that is slow holds up no receipt, and no other authority."""
        while not self._stopping.is_set():
            pause = _POLL
            with self._told():
                pause = await self._apart(stamping.run_one, self._collector, line)
            if pause:
                await _wait(self._stopping, pause)

    async def _due(self) -> None:
        while not self._stopping.is_set():
            with self._told():
                await self._apart(tasks.promise_due, self._collector)
            await _wait(self._stopping, _POLL)

    async def _apart(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._aside, function, *args)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except HozenError as error:
            logger.warning("%s %s", error, error.hint)

    async def _attempt(self, function: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await function()
        except HozenError as error:
            logger.warning("%s %s", error, error.hint)
            await _wait(self._stopping, _POLL)
            return False

    async def _one_job(self) -> bool:
        settings = self._collector.settings
        job = await blocking(
            jobs.claim,
            self._collector.index,
            lease_seconds=settings.lease_seconds,
            tasks=(store.ACCEPT_TASK,),
        )
        if job is None:
            return False
        lease = asyncio.create_task(self._hold(job))
        try:
            await blocking(self._run, job)
        finally:
            lease.cancel()
        return True

    async def _hold(self, job: jobs.Claim) -> None:
        seconds = self._collector.settings.lease_seconds
        while True:
            await asyncio.sleep(seconds / 3)
            await blocking(jobs.extend, self._collector.index, job, lease_seconds=seconds)

    def _run(self, job: jobs.Claim) -> None:
        try:
            accepting.accept(self._collector, self._verifier, job)
        except (HozenError, OSError) as error:
            if isinstance(error, TryAgainError) and self._stopping.is_set():
                return
            logger.exception("job %d %s failed", job.id, job.task)
            # A disk that is full or a database that is busy gets better; a fault of ours does not.
            passing = isinstance(error, CannotWriteError | TryAgainError)
            jobs.fail(
                self._collector.index,
                job,
                str(error),
                retry_seconds=_RETRY * job.attempts,
                passing=passing,
                final=not passing and job.attempts >= self._collector.settings.job_attempts,
            )

    async def _sweep(self) -> bool:
        uploads = self._collector.store
        limit, abandoned = await blocking(uploads.expired)
        for upload_id in abandoned:
            await blocking(uploads.end, upload_id, store.EXPIRED, untouched_since=limit)
        await blocking(self._collector.log.publish)  # another command may have added a leaf
        return True


def make_app(collector: Collector, live: LiveUploads, workers: Workers) -> Starlette:
    """Give the application of the API listener."""
    app = Starlette(
        routes=[*intake.routes, *enrol.routes, *custody.routes, *sealed.routes, *public.routes],
        exception_handlers={HTTPException: _not_found, Exception: _fault},
    )
    app.state.collector = collector
    app.state.live = live
    app.state.wake = workers.wake
    return app


async def _not_found(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return problem(RefusedError(status, "there is nothing here", headers=headers))


async def _fault(_request: Request, _error: Exception) -> Response:
    return problem(
        InternalError("the collector failed", hint="See its log; nothing was acknowledged.")
    )


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
