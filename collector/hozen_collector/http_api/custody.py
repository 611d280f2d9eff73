"""Receipts are given; capture starts and custody events are taken in and logged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from hozen_collector import events
from hozen_collector.access import record_access
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
from hozen_collector.timestamps.delivery import proofs_of
from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MAX_START: Final = 2 << 20
MAX_CUSTODY: Final = 48 << 20
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_EVENT_NAME: Final = re.compile(r"[0-9]{6,12}\.json")
_KEY: Final = re.compile(r"[A-Za-z0-9-]{1,80}")


@route
async def receipt(request: Request) -> Response:
    """Give the receipt files of a bundle id, seal or container hash."""
    agent = await identity(request)
    key = request.path_params["key"]
    found = None
    if _KEY.fullmatch(key):
        found = await blocking(collector_of(request).receipts.find, key)
    if found is None:
        raise RefusedError(
            404, "there is no receipt", hint="It comes when the bundle was verified and archived."
        )
    await blocking(
        record_access,
        collector_of(request).index,
        actor=agent,
        address=request.client.host if request.client else "-",
        action="export",
        subject=f"receipt {key}",
    )
    return ok({"files": found})


@route
async def proofs(request: Request) -> Response:
    """Give the time stamps of a bundle id, seal or container hash, as files of its `.proofs` directory."""
    agent = await identity(request)
    key = request.path_params["key"]
    found = None
    if _KEY.fullmatch(key):
        found = await blocking(proofs_of, collector_of(request), key)
    if found is None:
        raise RefusedError(404, "there is no receipt, so there are no proofs")
    await blocking(
        record_access,
        collector_of(request).index,
        actor=agent,
        address=request.client.host if request.client else "-",
        action="export",
        subject=f"proofs {key}",
    )
    return ok(found.as_json())


@route
async def start(request: Request) -> Response:
    """Log that a capture has begun: `{bundle, segment (base64 of journal 000000), signature (base64 of start.p7s)}`."""
    agent = await identity(request)
    body = await json_body(request, max_bytes=MAX_START)
    announced = events.read_start(
        str(body.get("bundle")),
        decoded(body.get("segment"), "segment"),
        decoded(body.get("signature"), "signature"),
    )
    position, files = await blocking(events.log_start, collector_of(request), agent, announced)
    return ok({"leaf": position, "files": files}, status=201)


@route
async def custody(request: Request) -> Response:
    """Take a signed custody event: `{name, event, signature, attachments {sha256: base64}}`."""
    agent = await identity(request)
    seal = request.path_params["seal"]
    if not _HASH.fullmatch(seal):
        raise RefusedError(404, "this is not a seal")
    body = await json_body(request, max_bytes=MAX_CUSTODY)
    name = body.get("name")
    if not isinstance(name, str) or not _EVENT_NAME.fullmatch(name):
        raise FormatError("custody: name is not NNNNNN.json")
    attachments = body.get("attachments") or {}
    if not isinstance(attachments, dict) or not all(map(_HASH.fullmatch, attachments)):
        raise FormatError("custody: attachments is not an object of SHA-256 to base64")
    note = events.read_custody(
        seal,
        name,
        decoded(body.get("event"), "event"),
        decoded(body.get("signature"), "signature"),
        {digest: decoded(data, digest) for digest, data in attachments.items()},
    )
    position, files = await blocking(events.log_custody, collector_of(request), agent, note)
    return ok({"leaf": position, "files": files}, status=201)


routes = [
    Route("/api/v1/receipts/{key}", receipt, methods=["GET"]),
    Route("/api/v1/receipts/{key}/proofs", proofs, methods=["GET"]),
    Route("/api/v1/starts", start, methods=["POST"]),
    Route("/api/v1/bundles/{seal}/custody", custody, methods=["POST"]),
]
