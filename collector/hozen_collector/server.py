"""Serves a collector: the mutual-TLS listener and the loopback status page, in one process, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import uvicorn
import uvloop

from hozen_collector import durable, protocol
from hozen_collector.app import Workers, make_app
from hozen_collector.intake.live import LiveUploads
from hozen_collector.runtime import open_collector
from hozen_collector.verifying import Verifier
from hozen_collector.web.pages import make_status_app
from hozen_hashes.errors import CannotWriteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

    from hozen_collector.runtime import Collector
    from hozen_config.settings import CollectorSettings as Settings

_THREADS: Final = 32
_GRACE: Final = 3


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port to listen on; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """Give the form `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `host:port`.

    Raises:
        UsageError: not that.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004
        raise UsageError(f"{text!r} is not HOST:PORT", hint="For example 127.0.0.1:8443.")
    return Address(host, int(port))


def check_loopback(address: Address) -> None:
    """Return if nobody but this machine can reach the address.

    Raises:
        UsageError: the status page has no accounts, so it is never shown to a network.
    """
    try:
        inside = ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        inside = address.host == "localhost"
    if not inside:
        raise UsageError(
            f"the status page is not served on {address.host}",
            hint="It has no accounts: use 127.0.0.1, and ssh -L to see it from elsewhere.",
        )


def serve(
    root: Path,
    settings: Settings,
    *,
    listen: Address,
    status: Address,
    ready: Callable[[Address, Address], None],
) -> None:
    """Serve until SIGTERM or SIGINT; durable steps at hand are finished first.

    `ready` is called when both listeners answer, with their real ports.

    Raises:
        UsageError: an address is not usable.
        HozenError: as `open_collector`.
    """
    check_loopback(status)
    collector = open_collector(root, settings)
    try:
        with _bound(listen) as api, _bound(status) as page:
            run = _run(collector, api, page, ready)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run)
    finally:
        collector.layout.ports.unlink(missing_ok=True)
        collector.close()


async def _run(
    collector: Collector,
    api: socket.socket,
    page: socket.socket,
    ready: Callable[[Address, Address], None],
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="hozen"))
    live = LiveUploads()
    verifier = Verifier(collector.layout.keys / "ca.pem", collector.settings)
    workers = Workers(collector, verifier)
    listen, status = _address(api), _address(page)
    servers = [
        _server(make_app(collector, live, workers), collector, tls=True),
        _server(make_status_app(collector, status.port), collector, tls=False),
    ]
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, servers, live)
    workers.start()
    running: list[asyncio.Task[Any]] = [
        asyncio.create_task(server.serve(sockets=[sock]))
        for server, sock in zip(servers, (api, page), strict=True)
    ]
    up = [asyncio.create_task(server.up.wait()) for server in servers]
    for task in up:
        await asyncio.wait([task, *running], return_when=asyncio.FIRST_COMPLETED)
    _write_ports(collector, listen, status)
    ready(listen, status)
    await asyncio.wait([*running, *workers.tasks], return_when=asyncio.FIRST_COMPLETED)
    _stop(servers, live)
    await asyncio.gather(*running)
    await workers.stop()


def _stop(servers: list[_Server], live: LiveUploads) -> None:
    for server in servers:
        server.should_exit = True
    live.stop_all()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: one process, two listeners, one stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_run`."""
        yield


def _server(app: ASGIApp, collector: Collector, *, tls: bool) -> _Server:
    settings = collector.settings
    protocol.HEADER_TIMEOUT = settings.header_timeout
    words: dict[str, Any] = {}
    if tls:
        keys = collector.layout.keys
        words = {
            "ssl_certfile": str(keys / "server.pem"),
            "ssl_keyfile": str(keys / "server.key"),
            "ssl_ca_certs": str(keys / "ca.pem"),
            "ssl_cert_reqs": ssl.CERT_OPTIONAL,
        }
    config = uvicorn.Config(
        app,
        http=protocol.CollectorProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=_GRACE,
        limit_concurrency=settings.max_connections,
        **words,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        config.ssl.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return _Server(config)


@contextlib.contextmanager
def _bound(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        raise UsageError(
            f"cannot listen on {address.text}: {error.strerror}", hint="Choose another port."
        ) from error
    try:
        yield sock
    finally:
        sock.close()


def _address(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return Address(str(host), int(port))


def _write_ports(collector: Collector, listen: Address, status: Address) -> None:
    body = {"pid": os.getpid(), "listen": listen.text, "status": status.text}
    with contextlib.suppress(
        CannotWriteError
    ):  # a full disk must not keep the collector from serving
        durable.write_file(collector.layout.ports, json.dumps(body).encode() + b"\n")
