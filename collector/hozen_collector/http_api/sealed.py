"""What belongs to an encrypted container is taken in: its envelope, and statements of who opened it elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from hozen_collector.http_api.common import (
    blocking,
    collector_of,
    decoded,
    identity,
    json_body,
    ok,
    route,
)
from hozen_collector.problem import RefusedError
from hozen_collector.sealed import envelopes, openings
from hozen_hashes.errors import FormatError, LimitError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from hozen_collector.runtime import Collector

MAX_ENVELOPE: Final = 6 << 20
MAX_OPENED: Final = 1 << 20
MAX_FILES: Final = 102
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@route
async def envelope(request: Request) -> Response:
    """Take the envelope of an encrypted container: `{sha256, files {name: base64}}`."""
    agent = await identity(request)
    container = _container(request)
    body = await json_body(request, max_bytes=MAX_ENVELOPE)
    declared, encoded = body.get("sha256"), body.get("files")
    if not isinstance(declared, str) or not _HASH.fullmatch(declared):
        raise FormatError("envelope: sha256 is not the digest of an envelope")
    if not isinstance(encoded, dict):
        raise FormatError("envelope: files is not an object of name to base64")
    if len(encoded) > MAX_FILES:
        raise LimitError(f"envelope: more than {MAX_FILES} files")
    files = {name: decoded(data, name) for name, data in encoded.items()}
    collector = collector_of(request)
    position, receipt = await blocking(envelopes.take, collector, agent, container, declared, files)
    return ok({"leaf": position, "files": receipt}, status=201)


@route
async def opened(request: Request) -> Response:
    """Take a signed opening statement: `{statement, signature}` in base64."""
    agent = await identity(request)
    container = _container(request)
    body = await json_body(request, max_bytes=MAX_OPENED)
    text, signature = (decoded(body.get(name), name) for name in ("statement", "signature"))
    signed = openings.read(text, signature)
    position, receipt = await blocking(_log, collector_of(request), agent, container, signed)
    return ok({"leaf": position, "files": receipt}, status=201)


def _log(
    collector: Collector, agent: str, container: str, signed: openings.Signed
) -> tuple[int, dict[str, str]]:
    position = openings.log(collector.index, collector.keys.log_key, agent, container, signed)
    return position, collector.receipts.make(position)


def _container(request: Request) -> str:
    sha256: str = request.path_params["sha256"]
    if not _HASH.fullmatch(sha256):
        raise RefusedError(404, "this is not the SHA-256 of a container")
    return sha256


routes = [
    Route("/api/v1/containers/{sha256}/envelope", envelope, methods=["POST"]),
    Route("/api/v1/containers/{sha256}/opened", opened, methods=["POST"]),
]
