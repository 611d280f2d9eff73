"""A detached signature is read and checked: exactly the form of bundle-v1 §9, nothing else.

Mathematics only: whether the certificate is trusted is `chain.verify_chain`'s question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from hozen_hashes import certificates, cmsnames, der
from hozen_hashes.cmsattributes import read_attributes
from hozen_hashes.cmsparts import check_digest_algorithm, expect, null_or_absent, only
from hozen_hashes.errors import BadDataError, SignatureError

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
    digest, when = read_attributes(signer_info.attributes, signer)
    _check_algorithm(signer_info.algorithm, algorithm)
    # The attributes are signed as a SET OF, not under their [0] (RFC 5652 §5.4).
    signed = der.tlv(der.SET, signer_info.attributes.content)
    check_signature(signer, signer_info.signature, signed)
    return Signature(signer, embedded, digest, when, algorithm)


def _signed_data(p7s: bytes) -> der.Cursor:
    whole = der.read(
        p7s, der.SEQUENCE, "ContentInfo", max_bytes=cmsnames.MAX_SIGNATURE_BYTES
    ).open()
    expect(whole.take(der.OBJECT_IDENTIFIER, "contentType"), cmsnames.SIGNED_DATA, "content type")
    explicit = whole.take(der.context(0), "content")
    whole.end("ContentInfo")
    inside = explicit.open()
    signed_data = inside.take(der.SEQUENCE, "SignedData")
    inside.end("content")
    return signed_data.open()


def _signed_data_fields(at: der.Cursor) -> tuple[tuple[x509.Certificate, ...], _SignerInfo]:
    _version(at, "SignedData")
    digests = only(at.take(der.SET, "digestAlgorithms"), "digestAlgorithms")
    check_digest_algorithm(digests)
    _check_detached(at.take(der.SEQUENCE, "encapContentInfo"))
    embedded = _certificates(at.take(der.context(0), "certificates"))
    signer_info = only(at.take(der.SET, "signerInfos (and no CRLs)"), "signerInfos")
    at.end("SignedData")
    return embedded, _signer_info(signer_info)


def _version(at: der.Cursor, what: str) -> None:
    if der.read_integer(at.take(der.INTEGER, f"{what} version")) != 1:
        raise SignatureError(f"{what} of a version other than 1")


def _check_detached(element: der.Element) -> None:
    inside = element.open()
    expect(inside.take(der.OBJECT_IDENTIFIER, "eContentType"), cmsnames.DATA, "signed content type")
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
    check_digest_algorithm(at.take(der.SEQUENCE, "digest algorithm"))
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


def _check_algorithm(element: der.Element, algorithm: str) -> None:
    inside = element.open()
    kind = inside.take(der.OBJECT_IDENTIFIER, "signature algorithm")
    if algorithm.startswith("rsa"):
        if kind.whole not in (cmsnames.RSA, cmsnames.RSA_SHA256):
            raise SignatureError(
                f"signature algorithm {der.dotted(kind)} is not accepted for an RSA key"
            )
        null_or_absent(inside, "signature algorithm")
        return
    expect(kind, cmsnames.ECDSA_SHA256, "signature algorithm")
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
