"""What every route shares: who asks, bounded bodies, and blocking work off the event loop."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hozen_collector.identity import enrolment
from hozen_collector.problem import RefusedError, problem
from hozen_collector.protocol import certificate_of
from hozen_hashes.errors import DeniedError, FormatError, HozenError, InternalError
from hozen_hashes.jsonl import parse_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message, Receive

    from hozen_collector.intake.live import LiveUploads
    from hozen_collector.runtime import Collector

P = ParamSpec("P")
T = TypeVar("T")
logger = logging.getLogger("hozen.collector")
DRAIN_BYTES: Final = 1 << 20
DRAIN_SECONDS: Final = 2.0


def collector_of(request: Request) -> Collector:
    """Give the collector that serves this request."""
    return cast("Collector", request.app.state.collector)


def live_of(request: Request) -> LiveUploads:
    """Give the live uploads of this process."""
    return cast("LiveUploads", request.app.state.live)


async def blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that waits for disk or database, not on the event loop.

    It runs to its end even if the request is cancelled: a durable step is never left half awaited.
    """
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def identity(request: Request) -> str:
    """Give the agent whose certificate TLS has verified and the deny list does not name.

    Raises:
        DeniedError: there is none.
    """
    certificate = certificate_of(request.scope)
    if certificate is None:
        raise DeniedError("a client certificate is needed", hint="Enrol first: hozen enroll.")
    agent = await blocking(_look_up, collector_of(request), certificate)
    if agent is None:
        raise DeniedError(
            "this certificate is not enrolled here, or was revoked",
            hint="Ask the custodian; enrol again.",
        )
    return agent


async def json_body(request: Request, *, max_bytes: int) -> dict[str, Any]:
    """Give the request's JSON object.

    Raises:
        RefusedError: 413, larger than `max_bytes`; 408, the client is too slow.
        FormatError: not one JSON object.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(collector_of(request).settings.idle_timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise RefusedError(413, f"the body is larger than {max_bytes} bytes")
    except TimeoutError as error:
        raise RefusedError(408, "the request took too long") from error
    return parse_object(bytes(body), what="the request", max_bytes=max_bytes)


def decoded(value: object, name: str) -> bytes:
    """Give the bytes of a base64 text in a request; raises FormatError, which names it."""
    if not isinstance(value, str):
        raise FormatError(f"{name[:16]} is missing")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{name[:16]} is not base64") from error


def route(
    handler: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Answer every refusal of `handler` as application/problem+json; our own faults without their details."""

    @functools.wraps(handler)
    async def answer(request: Request) -> Response:
        body = _Body(request.receive)
        request = Request(request.scope, body.receive)
        wait = True
        try:
            return await handler(request)
        except HozenError as error:
            response = problem(error)
            wait = not isinstance(error, RefusedError) or error.wait
        except OSError as error:
            logger.exception("%s %s", request.method, request.url.path)
            response = problem(InternalError(f"the collector failed: {error.strerror}"))
        if not (wait and await body.drained(request)):
            response.headers["Connection"] = "close"
        return response

    return answer


def ok(body: dict[str, object], *, status: int = 200) -> Response:
    """Give a JSON answer that no cache keeps."""
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})


class _Body:
    """A request's body, which knows whether all of it was read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._over = False

    async def receive(self) -> Message:
        """Give the next message."""
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._over = True
        return message

    async def drained(self, request: Request) -> bool:
        """Read what little is left of a refused body, so that the client sees the answer and not a reset."""
        if self._over or request.method not in ("POST", "PATCH"):
            return True
        if request.headers.get("expect", "").lower() == "100-continue":
            return False
        taken = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while taken <= DRAIN_BYTES and not self._over:
                    taken += len((await self.receive()).get("body", b""))
        return self._over


def _look_up(collector: Collector, certificate: bytes) -> str | None:
    with collector.index.read() as session:
        return enrolment.identity_of(session, certificate)
