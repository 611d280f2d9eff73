"""The signed attributes of a CAdES-B-B signature are read (RFC 5652 §5.3 and §11, RFC 5035; bundle-v1 §9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes

from hozen_hashes import certificates, cmsnames, der
from hozen_hashes.cmsparts import check_digest_algorithm, expect, only
from hozen_hashes.errors import SignatureError

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

_ATTRIBUTES: Final = {
    cmsnames.CONTENT_TYPE: "contentType",
    cmsnames.MESSAGE_DIGEST: "messageDigest",
    cmsnames.SIGNING_TIME: "signingTime",
    cmsnames.SIGNING_CERTIFICATE_V2: "signingCertificateV2",
}


def read_attributes(element: der.Element, signer: x509.Certificate) -> tuple[bytes, datetime]:
    """Return message digest and signing time, after the check that the attributes are the four of CAdES-B-B.

    Raises:
        SignatureError: another attribute, one twice, one missing, not in DER order, or about another certificate.
        FormatError: not strict DER.
    """
    items = element.open().rest(der.SEQUENCE, "signed attributes")
    if [item.whole for item in items] != sorted(item.whole for item in items):
        raise SignatureError("signed attributes that are not in DER order")
    values: dict[bytes, der.Element] = {}
    for item in items:
        kind, value = _attribute(item)
        if kind in values:
            raise SignatureError("a signed attribute that occurs twice")
        values[kind] = value
    if missing := [name for kind, name in _ATTRIBUTES.items() if kind not in values]:
        raise SignatureError(f"signed attribute missing: {', '.join(missing)}")
    expect(
        _tagged(values, cmsnames.CONTENT_TYPE, der.OBJECT_IDENTIFIER),
        cmsnames.DATA,
        "content type attribute",
    )
    _check_signing_certificate(
        _tagged(values, cmsnames.SIGNING_CERTIFICATE_V2, der.SEQUENCE), signer
    )
    digest = _tagged(values, cmsnames.MESSAGE_DIGEST, der.OCTET_STRING).content
    if len(digest) != cmsnames.DIGEST_BYTES:
        raise SignatureError(f"a message digest of {len(digest)} bytes is no SHA-256")
    return digest, der.read_time(values[cmsnames.SIGNING_TIME])


def _attribute(item: der.Element) -> tuple[bytes, der.Element]:
    inside = item.open()
    kind = inside.take(der.OBJECT_IDENTIFIER, "attribute type")
    if kind.whole not in _ATTRIBUTES:
        raise SignatureError(f"signed attribute {der.dotted(kind)} is not one that the format has")
    name = _ATTRIBUTES[kind.whole]
    values = inside.take(der.SET, name)
    inside.end(name)
    one = values.open()
    value = one.take_any(name)
    one.end(name)
    return kind.whole, value


def _tagged(values: dict[bytes, der.Element], kind: bytes, tag: int) -> der.Element:
    if values[kind].tag != tag:
        raise SignatureError(f"signed attribute {_ATTRIBUTES[kind]} holds a value of another type")
    return values[kind]


def _check_signing_certificate(value: der.Element, signer: x509.Certificate) -> None:
    """Check the first ESSCertIDv2 (RFC 5035 §4): SHA-256, by default or named, and issuerSerial if it is there."""
    whole = value.open()
    first = only(
        whole.take(der.SEQUENCE, "signingCertificateV2"), "signingCertificateV2 certificates"
    ).open()
    whole.end("signingCertificateV2 (and no policies)")
    named = (
        first.optional(der.SEQUENCE, "certificate hash algorithm")
        if first.tag == der.SEQUENCE
        else None
    )
    if named is not None:
        check_digest_algorithm(named)
    if first.take(der.OCTET_STRING, "certificate hash").content != signer.fingerprint(
        hashes.SHA256()
    ):
        raise SignatureError("signingCertificateV2 names another certificate than the signer's")
    if first.tag is not None:
        _check_issuer_serial(first.take(der.SEQUENCE, "issuerSerial"), signer)
    first.end("ESSCertIDv2")


def _check_issuer_serial(element: der.Element, signer: x509.Certificate) -> None:
    wanted = der.read(
        certificates.issuer_and_serial(signer), der.SEQUENCE, "signer", max_bytes=1 << 20
    ).open()
    issuer = wanted.take(der.SEQUENCE, "issuer")
    serial = wanted.take(der.INTEGER, "serial number")
    # GeneralNames with one directoryName [4], then the serial number (RFC 5035 §4).
    if element.whole != der.sequence(
        der.sequence(der.tlv(der.context(4), issuer.whole)), serial.whole
    ):
        raise SignatureError("issuerSerial in signingCertificateV2 is not the signer's")
