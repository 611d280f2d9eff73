"""A time stamp is read and checked (RFC 3161; docs/format/timestamp-v1.md §3).

The reading and the mathematics are `rfc3161-client`'s; what is ours is the order of the questions, so that each
refusal has its own reason.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

import rfc3161_client
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client.errors import VerificationError

from hozen_hashes import certificates
from hozen_hashes.errors import FormatError, InternalError, SignatureError
from hozen_hashes.timestampder import in_der_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rfc3161_client import TimeStampResponse
    from rfc3161_client.tsp import Accuracy

_HASHES: Final = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_SECOND: Final = 10**9
_CHAIN: Final = "certificate verify error"


class TimestampError(SignatureError):
    """A time stamp does not hold.

    Attributes:
        kind: `untrusted` (no given root), `pre_dated` (before its certificate), `past_its_certificate`,
            `not_for_stamps` (the certificate is for something else), `changed` (the signature does not fit).
    """

    def __init__(self, message: str, *, kind: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a time stamp says; nothing of it is believed before `check`.

    Attributes:
        algorithm: `sha256`, `sha384` or `sha512`.
        imprint: digest of the stamped bytes.
        time: nanoseconds since 1970, as the authority wrote it.
        accuracy: nanoseconds the true time may be off, 0 when the authority says nothing.
        policy: object identifier of the authority's policy, dotted.
        signer: certificate of the authority's stamping key.
        certificates: all that came with it.
    """

    algorithm: str
    imprint: bytes
    time: int
    accuracy: int
    policy: str
    serial: int
    nonce: int | None
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]
    response: TimeStampResponse

    @property
    def latest(self) -> int:
        """The later end of the stated time: what was stamped existed then at the latest."""
        return self.time + self.accuracy

    def is_about(self, data: bytes) -> bool:
        """Return whether the imprint is that of `data`."""
        return hashlib.new(self.algorithm, data).digest() == self.imprint

    def valid_at(self, when: datetime) -> bool:
        """Return whether the authority's certificate is valid at `when`."""
        return self.signer.not_valid_before_utc <= when <= self.signer.not_valid_after_utc


def new_request(data: bytes) -> tuple[bytes, int]:
    """Return a `TimeStampReq` (DER) for the SHA-256 of `data`, which asks for the certificate, and its nonce."""
    builder = rfc3161_client.TimestampRequestBuilder().data(data).nonce(nonce=True)
    request = builder.cert_request(cert_request=True).build()
    if request.nonce is None:
        raise InternalError("a time-stamp request without nonce was made")
    return request.as_bytes(), request.nonce


def read_token(reply: bytes) -> Token:
    """Return what the authority's raw reply says.

    Raises:
        FormatError: it is no reply, was not granted, or has no single signer with its certificate.
        LimitError: it is larger or deeper than a reply can be.
    """
    ordered = in_der_order(reply)
    try:
        response = rfc3161_client.decode_timestamp_response(ordered)
        if response.status != rfc3161_client.tsp.PKIStatus.GRANTED:
            raise FormatError(
                f"the authority did not grant the time stamp (status {response.status})"
            )
        return _token(response)
    except (*certificates.PARSE_ERRORS, OverflowError) as error:
        # KeyError too: a name in the signer's identity is parsed when it is asked for.
        raise FormatError(f"not a time-stamp reply: {str(error)[:200]}") from None


def check(token: Token, roots: Sequence[x509.Certificate]) -> None:
    """Return when an authority under one of `roots` made this token, with a certificate valid at its time.

    Raises:
        TimestampError: with the reason as `kind`.
    """
    _check_dates(token)
    _check_purpose(token)
    if not roots:
        raise TimestampError("no root of a time-stamping authority was given", kind="untrusted")
    builder = rfc3161_client.VerifierBuilder(roots=list(roots))
    try:
        builder.build().verify(token.response, token.imprint)
    except VerificationError as error:
        raise _refusal(token, str(error)) from None


def _token(response: TimeStampResponse) -> Token:
    said, signed = response.tst_info, response.signed_data
    algorithm = _HASHES.get(said.message_imprint.hash_algorithm.dotted_string)
    if algorithm is None:
        raise FormatError("the imprint is of a hash other than SHA-256, SHA-384 and SHA-512")
    embedded = tuple(certificates.load_der(one) for one in sorted(signed.certificates))
    return Token(
        algorithm=algorithm,
        imprint=said.message_imprint.message,
        time=_nanoseconds(said.gen_time),
        accuracy=_accuracy(response),
        policy=said.policy.dotted_string,
        serial=said.serial_number,
        nonce=said.nonce,
        signer=_signer(response, embedded),
        certificates=embedded,
        response=response,
    )


def _signer(response: TimeStampResponse, embedded: Iterable[x509.Certificate]) -> x509.Certificate:
    signers = response.signed_data.signer_infos
    if len(signers) != 1:
        raise FormatError(f"{len(signers)} signers where a time stamp has exactly one")
    (info,) = signers
    for one in embedded:
        if one.issuer == info.issuer and one.serial_number == info.serial_number:
            return one
    raise FormatError("the reply does not carry the certificate of its signer")


def _accuracy(response: TimeStampResponse) -> int:
    # Optional in RFC 3161 §2.4.2; the library's annotation does not say so.
    stated = cast("Accuracy | None", response.tst_info.accuracy)
    if stated is None:
        return 0
    millis, micros = stated.millis or 0, stated.micros or 0
    return (stated.seconds or 0) * _SECOND + millis * 1_000_000 + micros * 1_000


def _nanoseconds(when: datetime) -> int:
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    whole = int(aware.replace(microsecond=0).timestamp())
    return whole * _SECOND + aware.microsecond * 1_000


def _check_dates(token: Token) -> None:
    when, signer = datetime.fromtimestamp(token.time // _SECOND, UTC), token.signer
    if when < signer.not_valid_before_utc:
        raise TimestampError(
            f"pre-dated: stamped {when:%Y-%m-%dT%H:%M:%SZ}, but the authority's certificate begins"
            f" {signer.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
            kind="pre_dated",
        )
    if when > signer.not_valid_after_utc:
        raise TimestampError(
            f"stamped {when:%Y-%m-%dT%H:%M:%SZ}, after the authority's certificate ended"
            f" {signer.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            kind="past_its_certificate",
        )


def _check_purpose(token: Token) -> None:
    """Check the extended key usage: critical, and for time stamping alone (RFC 3161 §2.3)."""
    try:
        usage = token.signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, *certificates.PARSE_ERRORS):
        usage = None
    wanted = [ExtendedKeyUsageOID.TIME_STAMPING]
    if usage is None or not usage.critical or list(usage.value) != wanted:
        raise TimestampError(
            "the signer's certificate is not one for time stamping alone", kind="not_for_stamps"
        )


def _refusal(token: Token, said: str) -> TimestampError:
    name = token.signer.subject.rfc4514_string()[:120]
    if _CHAIN in said:
        return TimestampError(
            f"no given root vouches for the authority {name!r}",
            kind="untrusted",
            hint="Give the root certificate of the time-stamping authority with --tsa-root.",
        )
    return TimestampError(
        f"the stamp was not made by the key of {name!r}, or was changed since", kind="changed"
    )
