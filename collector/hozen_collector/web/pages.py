"""The status page: plain HTTP on loopback, nothing to click that changes anything, nothing loaded from elsewhere.

Everything that was captured or sent is foreign text and escaped by Jinja2; the policy forbids scripts altogether, but
for the offline verifier, which has its own. The
Host header is checked, or any web page could read this one by pointing its own name at 127.0.0.1.
"""

from __future__ import annotations

import base64
import contextlib
import io
import re
import zipfile
from typing import TYPE_CHECKING, Final

import jinja2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from hozen_collector.access import record_access
from hozen_collector.clock import now_ns, seconds_text
from hozen_collector.http_api.common import blocking, collector_of
from hozen_collector.overview import overview
from hozen_collector.problem import status_of
from hozen_collector.web.words import LANGUAGES, preferred, words_in
from hozen_hashes.errors import CannotWriteError, HozenError, TryAgainError
from hozen_hashes.verifier_page import verifier_html, verifier_policy

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from hozen_collector.runtime import Collector

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'none'; form-action 'none'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("hozen_collector.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def make_status_app(collector: Collector, port: int) -> ASGIApp:
    """Give the application of the status listener on loopback `port`."""
    app = Starlette(
        routes=[
            Route("/", index),
            Route("/style.css", style),
            Route("/verifier", verifier),
            Route("/receipts/{sha256}.zip", receipt),
        ],
        exception_handlers={HTTPException: _refused, HozenError: _refused},
    )
    app.state.collector = collector
    return HostCheck(app, port)


class HostCheck:
    """Lets only requests through that name this machine (DNS rebinding)."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        hosts = (b"127.0.0.1", b"localhost", b"[::1]")
        self._allowed = {host + b":%d" % port for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or answer 421."""
        hosts = [value for name, value in scope.get("headers", ()) if name == b"host"]
        if len(hosts) == 1 and hosts[0].lower() in self._allowed:
            await self._app(scope, receive, send)
            return
        refusal = PlainTextResponse("this page is served to this machine only\n", 421, _HEADERS)
        await refusal(scope, receive, send)


async def index(request: Request) -> Response:
    """Show everything on one page."""
    asked = request.query_params.get("lang", "")
    language = (
        asked if asked in LANGUAGES else preferred(request.headers.get("accept-language", ""))
    )
    collector = collector_of(request)
    found = await blocking(overview, collector.layout, collector.index)
    # A full disk must be seen here; what is given out is refused without its record, looking is not.
    with contextlib.suppress(CannotWriteError, TryAgainError):
        await blocking(_note_access, request, "view", "status page")
    page = _templates.get_template("status.html").render(
        w=words_in(language),
        language=language,
        other="en" if language == "ja" else "ja",
        o=found,
        now=seconds_text(now_ns()),
    )
    return HTMLResponse(page, headers=_HEADERS)


async def style(_request: Request) -> Response:
    """Give the page's style sheet."""
    return Response(
        _templates.get_template("style.css").render(), media_type="text/css", headers=_HEADERS
    )


async def verifier(_request: Request) -> Response:
    """Give the offline verifier, under the policy that it states itself: its own script, nothing sent."""
    policy = f"{verifier_policy()}; frame-ancestors 'none'"
    headers = {**_HEADERS, "Content-Security-Policy": policy}
    return HTMLResponse(verifier_html(), headers=headers)


async def receipt(request: Request) -> Response:
    """Give the receipt of a container as a ZIP of its files."""
    key = request.path_params["sha256"]
    found = None
    if _HASH.fullmatch(key):
        found = await blocking(collector_of(request).receipts.find, key)
    if found is None:
        raise HTTPException(404)
    await blocking(_note_access, request, "export", f"receipt {key}")
    data = await blocking(_zipped, found)
    name = f"receipt-{key[:16]}.zip"
    headers = {**_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/zip", headers=headers)


def _note_access(request: Request, action: str, subject: str) -> None:
    address = request.client.host if request.client else "-"
    record_access(
        collector_of(request).index,
        actor="status page",
        address=address,
        action=action,
        subject=subject,
    )


async def _refused(_request: Request, error: Exception) -> Response:
    if isinstance(error, HozenError):
        return PlainTextResponse(f"{error}\n", status_of(error), _HEADERS)
    status = error.status_code if isinstance(error, HTTPException) else 500
    return PlainTextResponse(f"{status}\n", status, _HEADERS)


def _zipped(files: dict[str, str]) -> bytes:
    """Pack with fixed times: the same receipt gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), base64.b64decode(data))
    return buffer.getvalue()
