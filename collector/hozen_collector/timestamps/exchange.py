"""One request and its answer over HTTP, in a thread that can be left behind: names, TLS and bytes may all be slow.

Redirects are not followed, no proxy is used, no content coding is asked for. Whoever waits decides when it is over:
the connection is then cut, and the thread ends by that, or when the system's resolver gives up.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from hozen_hashes.errors import TryAgainError
from hozen_hashes.timestampder import MAX_REPLY_BYTES

if TYPE_CHECKING:
    from hozen_collector.timestamps.authorities import Authority

QUERY: Final = "application/timestamp-query"
REPLY: Final = "application/timestamp-reply"
_OK: Final = 200
_MOVED: Final = range(300, 400)
_HEADERS: Final = {
    "Content-Type": QUERY,
    "Accept": REPLY,
    "Accept-Encoding": "identity",
    "Connection": "close",
}


class Exchange:
    """One POST; `over` is set when it ended by itself."""

    def __init__(self, authority: Authority, query: bytes, over: threading.Event) -> None:
        self._authority = authority
        self._query = query
        self._over = over
        self._lock = threading.Lock()
        self._cut = False
        self._wire: socket.socket | None = None  # a second descriptor: TLS takes the first away
        self._body: bytes | None = None
        self._kind = ""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="hozen-tsa", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether its thread still hangs somewhere."""
        return self._thread.is_alive()

    def cut(self) -> None:
        """End the connection, however far it is."""
        with self._lock:
            self._cut = True
            wire = self._wire
            if wire is not None:
                with contextlib.suppress(OSError):
                    wire.shutdown(socket.SHUT_RDWR)

    def result(self) -> tuple[bytes, str]:
        """Give the answer's body, at most one byte longer than a reply can be, and its content type.

        Raises:
            TryAgainError: there was no answer, or one without a body worth reading.
        """
        if self._error is not None or self._body is None:
            if isinstance(self._error, TryAgainError):
                raise self._error
            if isinstance(self._error, TimeoutError):
                raise TryAgainError(f"no whole answer within {self._authority.timeout:g} s")
            said = str(self._error)[:200] or type(self._error).__name__
            raise TryAgainError(f"no answer: {said}")
        return self._body, self._kind

    def _run(self) -> None:
        try:
            self._body = self._exchanged()
        except (OSError, http.client.HTTPException, ValueError, TryAgainError) as error:
            self._error = error
        finally:
            self._over.set()

    def _exchanged(self) -> bytes:
        connection, sock = self._connected()
        try:
            connection.sock = sock
            connection.request(
                "POST", _path(self._authority.url), body=self._query, headers=_HEADERS
            )
            with contextlib.closing(connection.getresponse()) as response:
                return self._read(response)
        finally:
            connection.close()
            sock.close()  # http.client forgets it once a reply without length begins
            self._release()

    def _connected(self) -> tuple[http.client.HTTPConnection, socket.socket]:
        parts, timeout = urlsplit(self._authority.url), self._authority.timeout
        host, tls = parts.hostname or "", self._authority.tls
        if tls is None:
            connection = http.client.HTTPConnection(host, parts.port, timeout=timeout)
            return connection, self._dialled(host, parts.port or 80)
        plain = self._dialled(host, parts.port or 443)
        try:
            sock = tls.wrap_socket(plain, server_hostname=host)
        except (OSError, ValueError):
            plain.close()
            self._release()
            raise
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=tls), sock

    def _dialled(self, host: str, port: int) -> socket.socket:
        sock = socket.create_connection((host, port), timeout=self._authority.timeout)
        with self._lock:
            if not self._cut:
                self._wire = sock.dup()
                return sock
        sock.close()
        raise TryAgainError("it was cut before it began")

    def _release(self) -> None:
        with self._lock:
            if self._wire is not None:
                self._wire.close()
                self._wire = None

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        if response.status != _OK:
            moved = "; redirects are not followed" if response.status in _MOVED else ""
            raise TryAgainError(f"it answered with HTTP status {response.status}{moved}")
        self._kind = response.getheader("Content-Type", "").partition(";")[0].strip().lower()
        data = response.read(MAX_REPLY_BYTES + 1)
        if response.length and len(data) <= MAX_REPLY_BYTES:  # fewer bytes than announced
            raise TryAgainError("its answer was cut short")
        return data


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
