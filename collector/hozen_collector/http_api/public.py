"""What anybody may read: the time, the newest checkpoint, and the log's tiles (C2SP tlog-tiles)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hozen_collector.clock import now_ns
from hozen_collector.http_api.common import blocking, collector_of, ok, route
from hozen_collector.problem import RefusedError
from hozen_hashes.errors import FormatError
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from starlette.requests import Request


@route
async def time(_request: Request) -> Response:
    """Give the collector's clock, so that an agent can state its offset."""
    now = now_ns()
    return ok({"time": rfc3339(now), "unix_ns": str(now)})


@route
async def checkpoint(request: Request) -> Response:
    """Give the newest durable checkpoint as a signed note, with the cosignatures that are there."""
    collector = collector_of(request)
    signed, note = collector.log.signed
    return _plain(await blocking(collector.cosignatures.cosigned, signed.size, note), "no-cache")


@route
async def tile(request: Request) -> Response:
    """Give a tile or entry bundle."""
    path = "tile/" + request.path_params["path"]
    try:
        data = await blocking(collector_of(request).log.tile, path)
    except FormatError as error:
        raise RefusedError(404, "there is no such tile") from error
    if data is None:
        raise RefusedError(404, "there is no such tile")
    return Response(
        data,
        media_type="application/octet-stream",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


def _plain(data: bytes, cache: str) -> Response:
    return Response(data, media_type="text/plain; charset=utf-8", headers={"Cache-Control": cache})


routes = [
    Route("/api/v1/time", time, methods=["GET"]),
    Route("/api/v1/checkpoint", checkpoint, methods=["GET"]),
    Route("/log/checkpoint", checkpoint, methods=["GET"]),
    Route("/log/tile/{path:path}", tile, methods=["GET"]),
]
