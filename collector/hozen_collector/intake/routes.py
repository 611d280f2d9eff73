"""tus 1.0 over HTTP: creation, HEAD, PATCH, DELETE, OPTIONS, and the state of an upload as JSON."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from hozen_collector.clock import http_date
from hozen_collector.http_api.common import blocking, collector_of, identity, live_of, ok, route
from hozen_collector.intake import headers, store
from hozen_collector.intake.declared import Declared, parse_metadata
from hozen_collector.intake.sink import Sink
from hozen_collector.problem import RefusedError
from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from starlette.requests import Request

    from hozen_collector.index.models import Upload
    from hozen_collector.intake.live import Turn
    from hozen_hashes.digest import Digest

BASE: Final = "/api/v1/uploads"
_MISMATCH: Final = 460


@route
async def options(request: Request) -> Response:
    """Say what of tus is spoken here."""
    await identity(request)
    settings = collector_of(request).settings
    return _answer(
        204,
        {
            "Tus-Version": headers.VERSION,
            "Tus-Extension": headers.EXTENSIONS,
            "Tus-Max-Size": str(settings.max_upload),
            "Tus-Checksum-Algorithm": ",".join(headers.ALGORITHMS),
        },
    )


@route
async def create(request: Request) -> Response:
    """Make an upload; take the first bytes at once when they come with the request (creation-with-upload)."""
    agent = await identity(request)
    headers.check_version(request.headers)
    length = headers.upload_length(request.headers)
    declared = _declared(request)
    body = headers.content_length(request.headers)
    with_upload = request.headers.get("content-type") == headers.CONTENT_TYPE and body != 0
    if with_upload and body is not None and body > length:
        raise RefusedError(413, "the body is longer than Upload-Length")
    checksum = headers.upload_checksum(request.headers) if with_upload else None
    upload = await blocking(collector_of(request).store.create, agent, declared, length)
    offset = await _receive(request, upload, 0, checksum) if with_upload else 0
    return _answer(201, {"Location": f"{BASE}/{upload.id}", **_progress(request, upload, offset)})


@route
async def head(request: Request) -> Response:
    """Say where to go on; a writer whose connection died is stopped first, so that the answer is final."""
    agent = await identity(request)
    headers.check_version(request.headers)
    upload = await _upload(request, agent)
    await live_of(request).preempt(upload.id)
    upload = await _upload(request, agent)
    words = _progress(request, upload, upload.offset)
    words["Upload-Length"] = str(upload.length)
    words["Upload-Metadata"] = _words(upload).encode()
    return _answer(200, words)


@route
async def patch(request: Request) -> Response:
    """Take bytes at the durable offset; 204 says that all of them are durable."""
    agent = await identity(request)
    headers.check_version(request.headers)
    headers.check_content_type(request.headers)
    offset = headers.upload_offset(request.headers)
    checksum = headers.upload_checksum(request.headers)
    upload = await _upload(request, agent)
    body = headers.content_length(request.headers)
    if body is not None and offset + body > upload.length:
        raise RefusedError(413, "the body goes beyond Upload-Length")
    reached = await _receive(request, upload, offset, checksum)
    return _answer(204, _progress(request, upload, reached))


@route
async def delete(request: Request) -> Response:
    """Give an unfinished upload up. What was received whole is evidence and stays."""
    agent = await identity(request)
    headers.check_version(request.headers)
    upload = await _upload(request, agent)
    await live_of(request).preempt(upload.id)
    if (await _upload(request, agent)).state in store.FINISHED:
        raise RefusedError(403, "a finished upload is evidence and is not deleted")
    await blocking(collector_of(request).store.end, upload.id, store.TERMINATED)
    return _answer(204, {})


@route
async def state(request: Request) -> Response:
    """Say what became of an upload."""
    upload = await _upload(request, await identity(request))
    reasons = json.loads(upload.reasons)
    return ok(
        {
            "state": upload.state,
            "offset": upload.offset,
            "length": upload.length,
            "reasons": [en for en, _ in reasons],
            "reasons_ja": [ja for _, ja in reasons],
            "receipt_url": f"/api/v1/receipts/{upload.sha256}"
            if upload.state == store.ACCEPTED
            else None,
        }
    )


async def overridden(request: Request) -> Response:
    """Serve clients that cannot send PATCH or DELETE (tus: X-HTTP-Method-Override)."""
    wanted = request.headers.get("x-http-method-override", "")
    handler = {"PATCH": patch, "DELETE": delete, "HEAD": head}.get(wanted.upper())
    return await (handler or _no_method)(request)


@route
async def _no_method(request: Request) -> Response:
    await identity(request)
    raise RefusedError(
        405, "this method is not served here", headers={"Allow": "GET, HEAD, PATCH, DELETE"}
    )


async def _receive(
    request: Request, upload: Upload, offset: int, checksum: headers.Checksum | None
) -> int:
    """Take the body as the only writer; give the durable offset."""
    live = live_of(request)
    async with live.turn(upload.id) as turn:
        upload = await _fresh(request, upload.id, upload.agent_id)
        if upload.state != store.RECEIVING or upload.offset != offset:
            raise RefusedError(
                409,
                f"the upload stands at {upload.offset}, not at {offset}",
                hint="Ask with HEAD, then go on from there.",
                headers={"Upload-Offset": str(upload.offset)},
            )
        if offset == upload.length:
            return offset
        digest = live.take_digest(upload.id, offset)
        sink = _sink(request, upload, digest, checksum)
        try:
            outcome = await _fill(request, sink, turn, upload.length - offset)
            reached = await _settle(sink, outcome, checksum)
        finally:
            await blocking(sink.close)
        if digest is not None and digest.size == reached:
            live.keep_digest(upload.id, digest)
        if outcome is not None:
            raise outcome
        if reached == upload.length:
            request.app.state.wake()
        return reached


def _sink(
    request: Request, upload: Upload, digest: Digest | None, checksum: headers.Checksum | None
) -> Sink:
    collector = collector_of(request)
    return Sink(
        collector.store.path(upload.id),
        upload.offset,
        digest=digest,
        checksum=checksum,
        commit=lambda end: collector.store.commit(upload.id, end),
        share=live_of(request).share,
        commit_bytes=collector.settings.commit_bytes,
        commit_seconds=collector.settings.commit_seconds,
    )


async def _fill(request: Request, sink: Sink, turn: Turn, room: int) -> RefusedError | None:
    """Move the body into the sink; give why it ended early, or None."""
    loop = asyncio.get_running_loop()
    idle = collector_of(request).settings.idle_timeout
    try:
        async with asyncio.timeout(idle) as deadline:
            turn.watch(deadline)
            async for chunk in request.stream():
                if len(chunk) > room:
                    return RefusedError(413, "the body goes beyond Upload-Length")
                room -= len(chunk)
                if chunk:
                    await sink.put(chunk)
                if not turn.stopped:
                    deadline.reschedule(loop.time() + idle)
    except TimeoutError:
        if turn.stopped:
            words = (409, "a later request goes on with this upload")
        else:
            words = (408, "no byte came for too long")
        return RefusedError(*words, hint="Ask with HEAD, then go on from there.", wait=False)
    except ClientDisconnect:
        return RefusedError(400, "the connection was lost")
    return None


async def _settle(sink: Sink, early: RefusedError | None, checksum: headers.Checksum | None) -> int:
    """End the sink: all that came is made durable, or nothing of it where the checksum does not allow it."""
    if checksum is not None and (early is not None or not await blocking(sink.join_hash)):
        raise early or RefusedError(
            _MISMATCH, "the body does not have the checksum that came with it"
        )
    return await blocking(sink.finish)


async def _upload(request: Request, agent: str) -> Upload:
    return await _fresh(request, request.path_params["upload_id"], agent)


async def _fresh(request: Request, upload_id: str, agent: str) -> Upload:
    return await blocking(collector_of(request).store.get, upload_id, agent_id=agent)


def _declared(request: Request) -> Declared:
    try:
        return parse_metadata(request.headers.get("upload-metadata", ""))
    except FormatError as error:
        raise RefusedError(400, str(error), hint=error.hint) from error


def _words(upload: Upload) -> Declared:
    return Declared(
        bundle=upload.bundle,
        case=upload.case_id,
        seal=upload.seal,
        sha256=upload.sha256,
        filename=upload.filename,
        kind=upload.kind,
    )


def _progress(request: Request, upload: Upload, offset: int) -> dict[str, str]:
    expires = http_date(collector_of(request).store.expires(upload))
    return {"Upload-Offset": str(offset), "Upload-Expires": expires}


def _answer(status: int, words: dict[str, str]) -> Response:
    words = {"Tus-Resumable": headers.VERSION, "Cache-Control": "no-store", **words}
    return Response(status_code=status, headers=words)


routes = [
    Route(BASE, create, methods=["POST"]),
    Route(BASE, options, methods=["OPTIONS"]),
    Route(BASE + "/{upload_id}", head, methods=["HEAD"]),
    Route(BASE + "/{upload_id}", patch, methods=["PATCH"]),
    Route(BASE + "/{upload_id}", delete, methods=["DELETE"]),
    Route(BASE + "/{upload_id}", options, methods=["OPTIONS"]),
    Route(BASE + "/{upload_id}", overridden, methods=["POST"]),
    Route(BASE + "/{upload_id}", state, methods=["GET"]),
]
