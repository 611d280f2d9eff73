"""Serves a witness over HTTP: one route, bounded in every direction, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from hozen_collector import protocol
from hozen_collector.http_api.common import blocking, route
from hozen_collector.problem import RefusedError
from hozen_collector.witness.store import Witness
from hozen_hashes.addcheckpoint import MAX_BODY_BYTES, RefusedCheckpointError, parse_add_checkpoint
from hozen_hashes.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request

    from hozen_collector.server import Address

_BODY_SECONDS: Final = 15.0
_KEEP_ALIVE: Final = 60
_CONNECTIONS: Final = 64
_GRACE: Final = 5
_SIZE_TYPE: Final = "text/x.tlog.size"


def make_witness_app(witness: Witness) -> Starlette:
    """Give the application: POST /add-checkpoint, and the witness's public key at /witness.vkey."""

    @route
    async def add_checkpoint(request: Request) -> Response:
        try:
            asked = parse_add_checkpoint(await _body(request))
        except BadDataError as error:
            raise RefusedError(400, str(error)) from error
        try:
            line = await blocking(witness.add_checkpoint, asked)
        except RefusedCheckpointError as refused:
            return _refusal(refused)
        return _text(line.line.encode())

    @route
    async def vkey(_request: Request) -> Response:
        return _text(witness.signer.key.line)

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/witness.vkey", vkey, methods=["GET"]),
        ]
    )


def serve_witness(root: Path, listen: Address, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; a cosignature at hand is finished first.

    `ready` gets the address with its real port.

    Raises:
        UsageError: the address is not usable.
        HozenError: as `Witness`.
    """
    witness = Witness(root, now=lambda: int(time.time()))
    try:
        with _bound(listen) as sock:
            asyncio.run(_run(witness, sock, ready))
    finally:
        witness.close()


async def _run(witness: Witness, sock: socket.socket, ready: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    server = _Server(
        uvicorn.Config(
            make_witness_app(witness),
            http=protocol.CollectorProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
            limit_concurrency=_CONNECTIONS,
        ),
        lambda: ready(_named(sock)),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.end)
    await server.serve(sockets=[sock])


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which says when it answers."""

    def __init__(self, config: uvicorn.Config, up: Callable[[], None]) -> None:
        super().__init__(config)
        self._up = up

    def end(self) -> None:
        """Stop after what is at hand."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self._up()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_run`."""
        yield


async def _body(request: Request) -> bytes:
    """Give the request's body within its bounds of size and time."""
    found = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                found += chunk
                if len(found) > MAX_BODY_BYTES:
                    raise RefusedError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    except TimeoutError as error:
        raise RefusedError(408, "the request took too long", wait=False) from error
    return bytes(found)


def _refusal(refused: RefusedCheckpointError) -> Response:
    if refused.known is not None:
        return Response(f"{refused.known}\n", refused.status, media_type=_SIZE_TYPE)
    return _text(f"{refused}\n".encode(), refused.status)


def _text(data: bytes, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Type": "text/plain; charset=utf-8"}
    return Response(data, status, headers=headers)


@contextlib.contextmanager
def _bound(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address.host, address.port))
        except OSError as error:
            raise UsageError(
                f"cannot listen on {address.text}: {os.strerror(error.errno or 0)}",
                hint="Choose another port.",
            ) from error
        yield sock


def _named(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
