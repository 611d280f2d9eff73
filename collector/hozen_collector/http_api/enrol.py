"""`POST /api/v1/enroll`: the one route that asks for no certificate but changes something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from starlette.routing import Route

from hozen_collector.clock import now_ns
from hozen_collector.http_api.common import blocking, collector_of, json_body, ok, route
from hozen_collector.identity import enrolment, tokens

if TYPE_CHECKING:
    from cryptography import x509
    from starlette.requests import Request
    from starlette.responses import Response

    from hozen_collector.runtime import Collector

MAX_BODY = 64 * 1024


@route
async def enroll(request: Request) -> Response:
    """Answer a token and two certificate requests with two certificates."""
    wanted = enrolment.read_request(await json_body(request, max_bytes=MAX_BODY))
    collector = collector_of(request)
    enrolled = await blocking(_enrol, collector, wanted)
    root = _pem(collector.keys.authority.root.certificate)
    return ok(
        {
            "agent_id": enrolled.agent_id,
            "transport_certificate": _pem(enrolled.transport),
            "evidence_certificate": _pem(enrolled.evidence),
            "chain": root,
            "ca": root,
            "log_vkey": collector.keys.log_key.line.decode(),
            "origin": collector.keys.log_key.name,
        },
        status=201,
    )


def _enrol(collector: Collector, wanted: enrolment.Request) -> enrolment.Enrolled:
    with collector.index.read() as session:  # strangers must not make writers wait
        tokens.authorise(session, wanted.token, host=wanted.host, now_ns=now_ns())
    with collector.index.write() as session:
        enrolled = enrolment.enrol(session, collector.keys, collector.settings, wanted)
    collector.log.publish()
    return enrolled


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


routes = [Route("/api/v1/enroll", enroll, methods=["POST"])]
