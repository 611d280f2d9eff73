"""A detached signature is read and checked: exactly the form of bundle-v1 §9, nothing else.

Mathematics only: whether the certificate is trusted is `chain.verify_chain`'s question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from hozen_hashes import certificates, cmsnames, der
from hozen_hashes.errors import BadDataError, FormatError, SignatureError

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature whose mathematics holds.

    Attributes:
        certificate: the signer's.
        certificates: all that were embedded, the signer's too, in the order of the file.
        digest: SHA-256 of the content that was signed.
        signing_time: the signer's claim.
        algorithm: `ecdsa-p256-sha256`, `ecdsa-p384-sha256` or `rsa-pkcs1v15-sha256`.
    """

    certificate: x509.Certificate
    certificates: tuple[x509.Certificate, ...]
    digest: bytes
    signing_time: datetime
    algorithm: str


@dataclass(frozen=True, slots=True)
class _SignerInfo:
    signer_id: bytes
    attributes: der.Element
    algorithm: der.Element
    signature: bytes


def read_signature(p7s: bytes) -> Signature:
    """Return what the signature says, after the check that its key made it.

    Raises:
        SignatureError: it is not the form of bundle-v1 §9, or the key did not make it.
    """
    try:
        return _read(p7s)
    except SignatureError:
        raise
    except BadDataError as error:
        raise SignatureError(f"not a signature as bundle-v1 §9 has it: {error}") from None


def verify_detached(p7s: bytes, digest: bytes) -> Signature:
    """Return the signature, after the check that it is over content whose SHA-256 is `digest`.

    Raises:
        SignatureError: as `read_signature`, or it is over other content.
    """
    signature = read_signature(p7s)
    if signature.digest != digest:
        raise SignatureError(
            f"the signature is over content with SHA-256 {signature.digest.hex()}, not {digest.hex()}"
        )
    return signature


def _read(p7s: bytes) -> Signature:
    signed_data = _signed_data(p7s)
    embedded, signer_info = _signed_data_fields(signed_data)
    signer = _signer(embedded, signer_info.signer_id)
    algorithm = certificates.key_algorithm(signer)
    digest, when = _attributes(signer_info.attributes, signer)
    _check_algorithm(signer_info.algorithm, algorithm)
    # The attributes are signed as a SET OF, not under their [0] (RFC 5652 §5.4).
    signed = der.tlv(der.SET, signer_info.attributes.content)
    check_signature(signer, signer_info.signature, signed)
    return Signature(signer, embedded, digest, when, algorithm)


def _signed_data(p7s: bytes) -> der.Cursor:
    whole = der.read(
        p7s, der.SEQUENCE, "ContentInfo", max_bytes=cmsnames.MAX_SIGNATURE_BYTES
    ).open()
    _expect(whole.take(der.OBJECT_IDENTIFIER, "contentType"), cmsnames.SIGNED_DATA, "content type")
    explicit = whole.take(der.context(0), "content")
    whole.end("ContentInfo")
    inside = explicit.open()
    signed_data = inside.take(der.SEQUENCE, "SignedData")
    inside.end("content")
    return signed_data.open()


def _signed_data_fields(at: der.Cursor) -> tuple[tuple[x509.Certificate, ...], _SignerInfo]:
    _version(at, "SignedData")
    digests = _only(at.take(der.SET, "digestAlgorithms"), "digestAlgorithms")
    _check_digest_algorithm(digests)
    _check_detached(at.take(der.SEQUENCE, "encapContentInfo"))
    embedded = _certificates(at.take(der.context(0), "certificates"))
    signer_info = _only(at.take(der.SET, "signerInfos (and no CRLs)"), "signerInfos")
    at.end("SignedData")
    return embedded, _signer_info(signer_info)


def _version(at: der.Cursor, what: str) -> None:
    if der.read_integer(at.take(der.INTEGER, f"{what} version")) != 1:
        raise SignatureError(f"{what} of a version other than 1")


def _only(element: der.Element, what: str) -> der.Element:
    found = element.open().rest(der.SEQUENCE, what)
    if len(found) != 1:
        raise SignatureError(f"{what}: {len(found)} where the format has exactly one")
    return found[0]


def _expect(element: der.Element, wanted: bytes, what: str) -> None:
    if element.whole != wanted:
        raise SignatureError(f"{what} {der.dotted(element)} is not the one that the format has")


def _check_digest_algorithm(element: der.Element) -> None:
    inside = element.open()
    _expect(
        inside.take(der.OBJECT_IDENTIFIER, "digest algorithm"), cmsnames.SHA256, "digest algorithm"
    )
    _null_or_absent(inside, "digest algorithm")


def _null_or_absent(inside: der.Cursor, what: str) -> None:
    # RFC 5754 §2: both are to be accepted.
    parameters = inside.optional(der.NULL, what)
    if parameters is not None and parameters.content:
        raise FormatError(f"DER: {what}: a NULL with content")
    inside.end(what)


def _check_detached(element: der.Element) -> None:
    inside = element.open()
    _expect(
        inside.take(der.OBJECT_IDENTIFIER, "eContentType"), cmsnames.DATA, "signed content type"
    )
    if inside.tag is not None:
        raise SignatureError("the signature carries its content; it must be detached")


def _certificates(element: der.Element) -> tuple[x509.Certificate, ...]:
    found = element.open().rest(der.SEQUENCE, "certificates")
    if not 1 <= len(found) <= cmsnames.MAX_CERTIFICATES:
        raise SignatureError(
            f"{len(found)} certificates; the format has 1 to {cmsnames.MAX_CERTIFICATES}"
        )
    if len({item.whole for item in found}) != len(found):
        raise SignatureError("a certificate is embedded twice")
    return tuple(certificates.load_der(item.whole) for item in found)


def _signer_info(element: der.Element) -> _SignerInfo:
    at = element.open()
    _version(at, "SignerInfo")
    signer_id = at.take(der.SEQUENCE, "signer by issuer and serial number")
    _check_digest_algorithm(at.take(der.SEQUENCE, "digest algorithm"))
    attributes = at.take(der.context(0), "signed attributes")
    algorithm = at.take(der.SEQUENCE, "signature algorithm")
    signature = at.take(der.OCTET_STRING, "signature")
    if at.tag is not None:
        raise SignatureError("the signature has unsigned attributes; later proofs belong beside it")
    return _SignerInfo(signer_id.whole, attributes, algorithm, signature.content)


def _signer(embedded: tuple[x509.Certificate, ...], signer_id: bytes) -> x509.Certificate:
    found = [item for item in embedded if certificates.issuer_and_serial(item) == signer_id]
    if len(found) != 1:
        raise SignatureError(
            f"{len(found)} embedded certificates fit the signer's issuer and serial number"
        )
    return found[0]


def _attributes(element: der.Element, signer: x509.Certificate) -> tuple[bytes, datetime]:
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
    _expect(
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


_ATTRIBUTES: Final = {
    cmsnames.CONTENT_TYPE: "contentType",
    cmsnames.MESSAGE_DIGEST: "messageDigest",
    cmsnames.SIGNING_TIME: "signingTime",
    cmsnames.SIGNING_CERTIFICATE_V2: "signingCertificateV2",
}


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
    first = _only(
        whole.take(der.SEQUENCE, "signingCertificateV2"), "signingCertificateV2 certificates"
    ).open()
    whole.end("signingCertificateV2 (and no policies)")
    named = (
        first.optional(der.SEQUENCE, "certificate hash algorithm")
        if first.tag == der.SEQUENCE
        else None
    )
    if named is not None:
        _check_digest_algorithm(named)
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


def _check_algorithm(element: der.Element, algorithm: str) -> None:
    inside = element.open()
    kind = inside.take(der.OBJECT_IDENTIFIER, "signature algorithm")
    if algorithm.startswith("rsa"):
        if kind.whole not in (cmsnames.RSA, cmsnames.RSA_SHA256):
            raise SignatureError(
                f"signature algorithm {der.dotted(kind)} is not accepted for an RSA key"
            )
        _null_or_absent(inside, "signature algorithm")
        return
    _expect(kind, cmsnames.ECDSA_SHA256, "signature algorithm")
    inside.end("signature algorithm")  # RFC 5758 §3.2: parameters absent


def check_signature(certificate: x509.Certificate, signature: bytes, data: bytes) -> None:
    """Return when the certificate's key made `signature` over `data` with SHA-256.

    Raises:
        SignatureError: it did not, or the key is of a kind that bundle-v1 §9 does not have.
    """
    certificates.key_algorithm(certificate)
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            decode_dss_signature(signature)
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        raise SignatureError(
            "the signature was not made by the key of the signer's certificate"
        ) from None
