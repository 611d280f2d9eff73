"""Certificates are loaded from foreign bytes, and what CMS needs of one is read (RFC 5280 §4.1)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hozen_hashes import der
from hozen_hashes.errors import FormatError, LimitError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CERTIFICATE_BYTES: Final = 64 * 1024
MAX_PEM_BYTES: Final = 1024 * 1024
MAX_CERTIFICATES: Final = 64
MIN_RSA_BITS: Final = 3072
MAX_RSA_BITS: Final = 16384

# What cryptography raises for bytes that are no usable certificate. A warning is raised only where a test asks for it.
PARSE_ERRORS: Final = (
    ValueError, TypeError, KeyError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, Warning,
)  # fmt: skip
_VERSION_3: Final = 2  # the version number is one less than the version
_CURVES: Final = {"secp256r1": "ecdsa-p256-sha256", "secp384r1": "ecdsa-p384-sha256"}
_BEGIN: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n")


def load_der(data: bytes) -> x509.Certificate:
    """Return the certificate that `data` is.

    Raises:
        FormatError: not strict DER, or not a certificate of version 3 with a positive serial number.
        LimitError: more than MAX_CERTIFICATE_BYTES.
    """
    _issuer_and_serial(data)
    try:
        certificate = x509.load_der_x509_certificate(data)
        # These are parsed when they are asked for; asked here, so that nothing is raised later.
        for name in (certificate.subject, certificate.issuer):
            name.rfc4514_string()
        _ = (
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            certificate.signature_algorithm_oid,
        )
    except PARSE_ERRORS as error:
        raise FormatError(f"not a usable certificate: {error}") from None
    return certificate


def load_certificates(pem: bytes) -> list[x509.Certificate]:
    """Return all certificates of a PEM text, in order; other PEM blocks are passed over.

    Raises:
        FormatError: no certificate, or one that is not usable.
        LimitError: more than 1 MiB or 64 certificates.
    """
    found = [load_der(body) for label, body in pem_blocks(pem) if label == "CERTIFICATE"]
    if not found:
        raise FormatError(
            "no certificate in the PEM text", hint="Give a file with -----BEGIN CERTIFICATE-----."
        )
    return found


def pem_blocks(pem: bytes, *, max_bytes: int = MAX_PEM_BYTES) -> Iterator[tuple[str, bytes]]:
    """Yield label and decoded bytes of each PEM block (RFC 7468); raises FormatError, LimitError."""
    if len(pem) > max_bytes:
        raise LimitError(f"PEM text of {len(pem)} bytes, the limit is {max_bytes}")
    at = 0
    for _ in range(MAX_CERTIFICATES + 1):
        begin = _BEGIN.search(pem, at)
        if begin is None:
            return
        # Not one expression for the whole block: many a BEGIN without END would be searched for again and again.
        end_line = b"-----END %s-----" % begin[1]
        end = pem.find(end_line, begin.end())
        if end < 0:
            raise FormatError(f"a PEM block without its end: {begin[1].decode('ascii')}")
        yield begin[1].decode("ascii"), _base64(pem[begin.end() : end])
        at = end + len(end_line)
    raise LimitError(f"more than {MAX_CERTIFICATES} PEM blocks")


def _base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        raise FormatError("a PEM block that is not base64") from None


def issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """Return the DER IssuerAndSerialNumber (RFC 5652 §10.2.4), with the issuer's bytes as they lie.

    Raises:
        FormatError: the certificate is not strict DER.
    """
    return _issuer_and_serial(certificate.public_bytes(Encoding.DER))


def _issuer_and_serial(data: bytes) -> bytes:
    whole = der.read(data, der.SEQUENCE, "certificate", max_bytes=MAX_CERTIFICATE_BYTES).open()
    fields = whole.take(der.SEQUENCE, "tbsCertificate").open()
    version = fields.take(der.context(0), "certificate version").open()
    if der.read_integer(version.take(der.INTEGER, "certificate version")) != _VERSION_3:
        raise FormatError("a certificate that is not of version 3")
    serial = fields.take(der.INTEGER, "serial number")
    if der.read_integer(serial) == 0:
        raise FormatError("a certificate with serial number 0")
    algorithm = fields.take(der.SEQUENCE, "signature algorithm")
    issuer = fields.take(der.SEQUENCE, "issuer")
    _check_outside(whole, algorithm)
    return der.sequence(issuer.whole, serial.whole)


def _check_outside(at: der.Cursor, algorithm: der.Element) -> None:
    """Check what the issuer's signature does not cover, so that a certificate has one spelling (RFC 5280 §4.1.1)."""
    if at.take(der.SEQUENCE, "signature algorithm").whole != algorithm.whole:
        raise FormatError("a certificate that names two signature algorithms")
    if at.take(der.BIT_STRING, "signature").content[:1] != b"\0":
        raise FormatError("a certificate whose signature is not whole bytes")
    at.end("certificate")


def key_algorithm(certificate: x509.Certificate) -> str:
    """Return the name of the signature algorithm that bundle-v1 §9 fixes for the certificate's key.

    Raises:
        SignatureError: a key of another kind or size.
    """
    try:
        key = certificate.public_key()
    except PARSE_ERRORS as error:
        raise SignatureError(f"a certificate with a key that cannot be used: {error}") from None
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return "rsa-pkcs1v15-sha256"
    raise SignatureError(
        "a key of a kind or size that is not accepted",
        hint="Accepted are ECDSA P-256, ECDSA P-384 and RSA of 3072 bits or more.",
    )
