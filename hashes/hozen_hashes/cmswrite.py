"""A detached CAdES-B-B signature is made (RFC 5652, RFC 5035, ETSI EN 319 122-1 §6; bundle-v1 §9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hozen_hashes import certificates, cmsnames, der
from hozen_hashes.cmsread import verify_detached
from hozen_hashes.errors import InternalError

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from hozen_hashes.identity import Signer


def sign_detached(digest: bytes, signer: Signer, signing_time: datetime) -> bytes:
    """Return a DER CMS SignedData by `signer` over content whose SHA-256 is `digest`.

    The certificate and the chain are embedded. What comes out has been verified: a faulty token or memory gives an
    error here instead of a bundle that cannot be checked.

    Args:
        digest: 32 bytes.
        signer: the key that signs, with its certificate.
        signing_time: aware; the signer's own claim, kept in whole seconds.

    Raises:
        InternalError: the digest has another length or the time is not aware.
        SignatureError: the key is not one that bundle-v1 §9 allows, or made a signature that does not hold.
        HozenError: what the signer raises.
    """
    if len(digest) != cmsnames.DIGEST_BYTES or signing_time.tzinfo is None:
        raise InternalError("sign_detached needs a 32-byte digest and an aware time")
    certificates.key_algorithm(signer.certificate)
    attributes = _attributes(digest, signer.certificate, signing_time)
    # Signed as a SET OF, stored as [0] IMPLICIT (RFC 5652 §5.4).
    signature = signer.sign(der.set_of(*attributes))
    made = _content_info(signer, der.set_of(*attributes, tag=der.context(0)), signature)
    verify_detached(made, digest)
    return made


def _attributes(
    digest: bytes, certificate: x509.Certificate, signing_time: datetime
) -> tuple[bytes, ...]:
    # ESSCertIDv2 with the default SHA-256, which DER leaves out; no issuerSerial (EN 319 122-1 §5.2.2.3 advises so).
    certificate_id = der.sequence(der.octets(certificate.fingerprint(hashes.SHA256())))
    return (
        _attribute(cmsnames.CONTENT_TYPE, cmsnames.DATA),
        _attribute(cmsnames.SIGNING_TIME, der.time(signing_time)),
        _attribute(cmsnames.MESSAGE_DIGEST, der.octets(digest)),
        _attribute(cmsnames.SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(certificate_id))),
    )


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence(kind, der.set_of(value))


def _content_info(signer: Signer, attributes: bytes, signature: bytes) -> bytes:
    sha256 = der.sequence(cmsnames.SHA256)  # parameters absent (RFC 5754 §2)
    signer_info = der.sequence(
        der.integer(1),
        certificates.issuer_and_serial(signer.certificate),
        sha256,
        attributes,
        _signature_algorithm(signer.certificate),
        der.octets(signature),
    )
    embedded = (
        certificate.public_bytes(Encoding.DER)
        for certificate in (signer.certificate, *signer.chain)
    )
    signed_data = der.sequence(
        der.integer(1),
        der.set_of(sha256),
        der.sequence(cmsnames.DATA),
        der.set_of(*dict.fromkeys(embedded), tag=der.context(0)),
        der.set_of(signer_info),
    )
    return der.sequence(cmsnames.SIGNED_DATA, der.tlv(der.context(0), signed_data))


def _signature_algorithm(certificate: x509.Certificate) -> bytes:
    if isinstance(certificate.public_key(), rsa.RSAPublicKey):
        return der.sequence(cmsnames.RSA_SHA256, der.null())
    return der.sequence(cmsnames.ECDSA_SHA256)
