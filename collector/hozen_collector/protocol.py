"""uvicorn's HTTP protocol with what it lacks: the client's certificate, a header deadline and a header bound.

uvicorn 0.54 verifies client certificates and does not hand them on (its pull request 3132); when it does, this shrinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MAX_HEADER_BYTES: Final = 32 * 1024
SCOPE_KEY: Final = "hozen.client_certificate"
HEADER_TIMEOUT: float = 15.0


class CollectorProtocol(HttpToolsProtocol):
    """One connection. `scope["hozen.client_certificate"]` is the DER that TLS has verified, or None."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with the deadline for the first request running."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self._certificate: bytes | None = tls.getpeercert(binary_form=True) if tls else None
        self._header_bytes = 0
        self._in_headers = True
        self._deadline: asyncio.TimerHandle | None = None
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._disarm()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin a request: its headers have a deadline and a bound."""
        super().on_message_begin()
        self.scope[SCOPE_KEY] = self._certificate  # type: ignore[typeddict-unknown-key]
        self._header_bytes = 0
        self._in_headers = True
        self._arm()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request to the application."""
        self._in_headers = False
        self._disarm()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a peer that sent too long a header is gone already."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._in_headers:  # the parser keeps an unfinished header in memory without a bound
            self._count(len(data))

    def shutdown(self) -> None:
        """End with the collector: an idle connection at once, without waiting for the peer's end of TLS."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.abort()
        else:
            super().shutdown()

    def _count(self, length: int) -> None:
        self._header_bytes += length
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()

    def _arm(self) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(HEADER_TIMEOUT, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


def certificate_of(scope: Any) -> bytes | None:
    """Give the DER of the client's certificate, or None."""
    found = scope.get(SCOPE_KEY)
    return found if isinstance(found, bytes) else None
