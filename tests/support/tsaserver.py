"""A time-stamping authority behind a real HTTP server on loopback, which can also misbehave as it is told."""

from __future__ import annotations

import contextlib
import http.server
import socketserver
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from authority import Authority

_SIZE: Final = 70_000
_PACE: Final = 0.05


@dataclass
class Behaviour:
    """What the server does: `how` is right, or one of the words in the two tables below; `at` is its clock."""

    authority: Authority
    how: str = "right"
    at: str = ""
    asked: int = 0
    port: int = 0
    scheme: str = "http"
    gone: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/tsr"

    def reply(self, query: bytes) -> bytes:
        """Return what the authority's own program says to the query, or to one that was changed on the way."""
        if self.how == "other-nonce":
            at = query.rindex(b"\x01\x01\xff")
            query = query[: at - 7] + b"\x11" * 7 + query[at:]
        if self.how == "other-bytes":
            at = query.index(b"\x04\x20") + 2
            query = query[:at] + b"\x22" * 32 + query[at + 32 :]
        with self.lock:
            raw = self.authority.reply(query, at=self.at)
        return raw[:-1] + bytes([raw[-1] ^ 1]) if self.how == "changed" else raw


def _header(length: int | None, kind: str = "application/timestamp-reply") -> bytes:
    size = f"Content-Length: {length}\r\n" if length is not None else ""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{size}\r\n".encode()


def _pieces(how: str, url: str, body: bytes) -> Iterator[bytes]:
    """Yield what goes out, with pauses; it ends when the other side is gone."""
    whole = {
        "down": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        "redirect": f"HTTP/1.1 302 Found\r\nLocation: {url}/elsewhere\r\n\r\n".encode(),
        "oversized": _header(_SIZE) + b"\x30" * _SIZE,
        "type": _header(len(body), "text/html") + body,
        "short": _header(len(body)) + body[:-9],
        "rubbish": _header(4) + b"\x30\x02\x05\x00",
        "nothing": b"",
    }
    if how in whole:
        yield whole[how]
    elif how == "drip":
        yield _header(None)
        yield from _slowly(body)
    elif how == "drip-head":
        yield from _slowly(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 90)
    elif how == "endless":
        yield _header(None)
        while True:
            yield b"\x30" * 4096
    elif how == "continue":
        while True:
            yield b"HTTP/1.1 100 Continue\r\n\r\n"
            time.sleep(_PACE)
    else:
        yield _header(len(body)) + body


def _slowly(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]
        time.sleep(_PACE)


def _handler(behaviour: Behaviour) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers one POST."""

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            behaviour.asked += 1
            query = self.rfile.read(int(self.headers["Content-Length"]))
            how = behaviour.how
            self.close_connection = True
            if how == "silent":
                behaviour.gone.wait(10)
                return
            body = behaviour.reply(query)
            with contextlib.suppress(OSError):
                for piece in _pieces(how, behaviour.url, body):
                    self.wfile.write(piece)
                    self.wfile.flush()

    return Handler


@contextlib.contextmanager
def serving(
    authority: Authority, *, tls: ssl.SSLContext | None = None, how: str = "right"
) -> Iterator[Behaviour]:
    """Serve an authority until the block ends."""
    behaviour = Behaviour(authority, how=how)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(behaviour))
    server.daemon_threads = True
    if tls is not None:
        behaviour.scheme = "https"
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with _running(server, behaviour):
        yield behaviour


@contextlib.contextmanager
def mute(authority: Authority) -> Iterator[Behaviour]:
    """Accept connections as an https server would, and never say a byte."""
    behaviour = Behaviour(authority, scheme="https")

    class Handler(socketserver.BaseRequestHandler):
        """Waits."""

        def handle(self) -> None:
            behaviour.asked += 1
            behaviour.gone.wait(10)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with _running(server, behaviour):
        yield behaviour


@contextlib.contextmanager
def _running(server: socketserver.TCPServer, behaviour: Behaviour) -> Iterator[None]:
    behaviour.port = server.server_address[1]
    run: Callable[..., None] = server.serve_forever
    thread = threading.Thread(target=run, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        behaviour.gone.set()
        server.shutdown()
        thread.join()
        server.server_close()
