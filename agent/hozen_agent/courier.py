"""Speaks to the collector: the only module of the agent that opens a network connection.

TLS 1.2 or later; the collector's root is pinned since the enrolment (nothing of the host's own certificate store is
believed), and the enrolled transport certificate says who we are. Every answer is bounded in size and time. What is
said over the connection is in `uploading` (tus 1.0), `enrolment` and `pushing`.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hozen_agent.sending.replies import (
    API,
    BUSY,
    MAX_ANSWER,
    Answer,
    Endpoint,
    LostError,
    checked,
    delay,
    receipt_of,
)
from hozen_hashes import checkpoint, receipt
from hozen_hashes.errors import (
    DeniedError,
    FormatError,
    HozenError,
    LimitError,
    MismatchError,
    SignatureError,
    TryAgainError,
    UsageError,
)
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hozen_agent.sending.enrolment import Enrolment

TIMEOUT: Final = 30.0  # seconds without a byte
CONNECT: Final = 5.0  # seconds until a connection stands: a capture must not wait long for a network that is gone
FORGET: Final = 60.0  # seconds for which a collector out of reach stays so, for a capture
WHOLE: Final = 300.0  # seconds for one answer
IDLE: Final = 10.0  # seconds after which a kept connection is not trusted any more
_ROUNDS: Final = 5
_CHAIN: Final = 8


def client_context(root: x509.Certificate, identity: Path | None) -> ssl.SSLContext:
    """Return TLS settings that believe this root alone and show this identity (key and certificate, PEM).

    Raises:
        UsageError: the identity's file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=root.public_bytes(Encoding.DER))
    if identity is not None:
        try:
            context.load_cert_chain(identity)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the transport key {identity} cannot be used: {error.strerror or error}",
                hint="Enrol this computer again.",
            ) from None
    return context


class Channel:
    """One kept connection to a collector; made again when it is lost or was idle."""

    def __init__(
        self, endpoint: Endpoint, context: ssl.SSLContext, *, timeout: float = TIMEOUT
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._timeout = timeout
        self._kept: http.client.HTTPSConnection | None = None
        self._used = 0.0

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer, whatever its status.

        Raises:
            LostError: no connection, or none until the end of the answer.
            SignatureError: the other side is not the pinned collector.
            DeniedError: it does not accept our certificate.
            LimitError: the answer is larger than 8 MiB or takes more than five minutes.
        """
        try:
            return self._exchange(method, path, dict(headers or {}), body)
        except HozenError:
            self.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._explained(error) from None

    def close(self) -> None:
        """Drop the connection."""
        if self._kept is not None:
            with suppress(OSError):
                self._kept.close()
            self._kept = None

    def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        connection = self._connection()
        with suppress(
            BrokenPipeError, ConnectionResetError
        ):  # a refusal may have come before all was sent
            connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        data = _read(response)
        self._used = time.monotonic()
        if response.will_close:
            self.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, data)

    def _connection(self) -> http.client.HTTPSConnection:
        if self._kept is not None and time.monotonic() - self._used > IDLE:
            self.close()
        if self._kept is None:
            self._kept = http.client.HTTPSConnection(
                self._endpoint.host,
                self._endpoint.port,
                context=self._context,
                timeout=min(CONNECT, self._timeout),
            )
            self._kept.connect()
            self._kept.sock.settimeout(self._timeout)
        return self._kept

    def _explained(self, error: Exception) -> HozenError:
        where = self._endpoint.url
        if isinstance(error, ssl.SSLCertVerificationError):
            return SignatureError(
                f"{where} is not the collector that this computer was enrolled with: {error.verify_message}",
                hint="Do not go on before the custodian has explained this; compare the collector's card.",
            )
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "").upper():
            return DeniedError(
                f"{where} does not accept our certificate ({error.reason})",
                hint="It may be expired or revoked; with a new token: hozen enroll --replace.",
            )
        reason = str(error) or type(error).__name__
        return LostError(f"no connection to {where}: {reason}", hint=BUSY)


def fetch_root(endpoint: Endpoint, sha256: str, *, timeout: float = TIMEOUT) -> x509.Certificate:
    """Return the certificate with this fingerprint out of those that the other side shows.

    Nothing is sent and nothing else is believed: the fingerprint came with the token, by another way.

    Raises:
        LostError: no connection.
        SignatureError: none of its certificates has the fingerprint.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the fingerprint decides, below
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout=timeout) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host) as tls,
        ):
            shown = _shown_certificates(tls)
    except OSError as error:
        raise LostError(f"no connection to {endpoint.url}: {error}", hint=BUSY) from None
    for der in shown:
        if hashlib.sha256(der).hexdigest() == sha256:
            return x509.load_der_x509_certificate(der)
    raise SignatureError(
        f"{endpoint.url} is not the collector that made the token",
        hint="Look whether the URL is right; if it is, somebody stands between.",
    )


class Courier:
    """An enrolled identity at its collector; what a capture and a push ask of it (`opening.CollectorPort`)."""

    def __init__(
        self, enrolment: Enrolment, *, timeout: float = TIMEOUT, attempts: int = 1
    ) -> None:
        """Load the keys now: later the capture may not see the host's files any more.

        Args:
            enrolment: who we are, and whom we believe.
            timeout: seconds without a byte.
            attempts: how often `get` and `post` ask; a capture does not wait, a push does.
        """
        self.enrolment = enrolment
        self._attempts = attempts
        self._lost: LostError | None = None
        self._lost_at = 0.0
        context = client_context(enrolment.root, enrolment.transport)
        self._channel = Channel(enrolment.endpoint, context, timeout=timeout)

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer, whatever its status; errors as `Channel.call`."""
        return self._channel.call(method, path, headers, body)

    def get(self, path: str) -> Answer:
        """Return the good answer to a GET, asked again when the connection is lost or the collector busy.

        Raises:
            HozenError: as `Channel.call` and `refusal`.
        """
        return self._again(lambda: checked(self.call("GET", path)))

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Return the good answer to a POST of JSON that may safely be sent twice; errors as `get`."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return self._again(lambda: checked(self.call("POST", path, headers, data)))

    def _again(self, call: Callable[[], Answer]) -> Answer:
        if self._attempts == 1:
            return self._at_once(call)
        for failures in range(1, self._attempts):
            try:
                return call()
            except TryAgainError:
                time.sleep(delay(failures))
        return call()

    def _at_once(self, call: Callable[[], Answer]) -> Answer:
        """Call once; a collector that was out of reach a moment ago is not waited for again."""
        if self._lost is not None and time.monotonic() - self._lost_at < FORGET:
            raise self._lost
        self._lost = None
        try:
            return call()
        except LostError as error:
            self._lost, self._lost_at = error, time.monotonic()
            raise

    def close(self) -> None:
        """Drop the connection."""
        self._channel.close()

    def checkpoint(self) -> Mapping[str, object]:
        """Return {origin, size, root, note, received}: the newest checkpoint, signed by the pinned log key.

        Raises:
            SignatureError, FormatError: another log's, or none.
            TryAgainError, DeniedError: as `get`.
        """
        answer = self.get(f"{API}/checkpoint")
        received = time.time_ns()
        signed = checkpoint.verify_checkpoint(answer.body, [self.enrolment.log_key])
        return {
            "origin": signed.checkpoint.origin,
            "size": str(signed.checkpoint.size),
            "root": signed.checkpoint.root.hex(),
            "note": signed.note.encode().decode(),
            "received": rfc3339(received),
        }

    def announce_start(
        self, *, bundle: str, segment: bytes, start_p7s: bytes, first_key_sha256: str
    ) -> int:
        """Have the start of a capture logged and return its leaf, its receipt verified.

        Raises:
            MismatchError, SignatureError, FormatError: the receipt is not for this start.
            TryAgainError, DeniedError: as `post`.
        """
        body = {
            "bundle": bundle,
            "segment": base64.b64encode(segment).decode(),
            "signature": base64.b64encode(start_p7s).decode(),
        }
        files = receipt_of(self.post(f"{API}/starts", body))
        found = self.verify(files, container=segment, signature=start_p7s, bundle=bundle)
        stated = found.statement
        if stated.event != "start" or stated.first_journal_key_sha256 != first_key_sha256:
            raise MismatchError("the collector's receipt is not for the start of this capture")
        if found.leaf_index is None:
            raise SignatureError("the collector's receipt for the start is not in its log")
        return found.leaf_index

    def verify(
        self, files: Mapping[str, bytes], *, container: bytes, signature: bytes, bundle: str | None
    ) -> receipt.VerifiedReceipt:
        """Return the receipt of a small signed file, by the pinned log or root; raises as verify_receipt."""
        return self.enrolment.verify_receipt(
            files,
            seal=None,
            container=hashlib.sha256(container).hexdigest(),
            signature=hashlib.sha256(signature).hexdigest(),
            bundle=bundle,
        )

    def measure_offset(self) -> tuple[float, float]:
        """Return (host clock minus collector clock, uncertainty) in milliseconds: of five rounds the quickest.

        The collector's clock was read within the round trip, so half of it bounds the error.

        Raises:
            FormatError: the answer is not a time.
            TryAgainError, DeniedError: as `get`.
        """
        self.get(f"{API}/time")  # the handshake is no round trip
        offset, uncertainty = min(
            (self._round() for _ in range(_ROUNDS)), key=lambda found: found[1]
        )
        return offset / 1e6, uncertainty / 1e6

    def _round(self) -> tuple[float, float]:
        wall, begin = time.time_ns(), time.perf_counter_ns()
        answer = self.get(f"{API}/time")
        half = (time.perf_counter_ns() - begin) / 2
        told = answer.json().get("unix_ns")
        if not isinstance(told, str) or not re.fullmatch(r"[0-9]{1,19}", told):
            raise FormatError("the collector's time is not one")
        return wall + half - int(told), half


def _read(response: http.client.HTTPResponse) -> bytes:
    """Return the body within the bounds of size and time."""
    data, deadline = bytearray(), time.monotonic() + WHOLE
    while piece := response.read1(1 << 16):
        data += piece
        if len(data) > MAX_ANSWER or time.monotonic() > deadline:
            raise LimitError("the collector's answer is too long")
    if response.length:
        raise http.client.IncompleteRead(bytes(data), response.length)
    response.close()  # read1 leaves an empty body open, and the connection could not be used again
    return bytes(data)


def _shown_certificates(tls: ssl.SSLSocket) -> list[bytes]:
    """Return the certificates of the other side as they came, DER."""
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:  # Python 3.13
        return list(public())[:_CHAIN]
    inner = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001 - until 3.13
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner or ()][:_CHAIN]
