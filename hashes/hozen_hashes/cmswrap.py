"""A small secret is enveloped for the holder of a certificate: CMS EnvelopedData (RFC 5652 §6, RFC 5753 §3).

RSA keys get key transport (PKCS #1 v1.5, which every tool and token opens), EC keys get ephemeral-static ECDH with
SHA-256 and AES-256 key wrap. The content is AES-256-CBC; what is inside is authenticated by its own form (an age
identity has a checksum, and the file that it opens is authenticated). `openssl cms -decrypt` opens it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hozen_hashes import der
from hozen_hashes.certificates import PARSE_ERRORS, load_certificates
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

MIN_RSA_BITS: Final = 2048
MAX_SECRET: Final = 4096
_ENVELOPED_DATA: Final = der.oid("1.2.840.113549.1.7.3")
_DATA: Final = der.oid("1.2.840.113549.1.7.1")
_AES256_CBC: Final = der.oid("2.16.840.1.101.3.4.1.42")
_AES256_WRAP: Final = der.sequence(der.oid("2.16.840.1.101.3.4.1.45"))
_RSA: Final = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null())
_ECDH_SHA256: Final = der.oid("1.3.132.1.11.1")  # dhSinglePass-stdDH-sha256kdf-scheme
_EC_KEY: Final = der.oid("1.2.840.10045.2.1")
_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_KEY_BYTES: Final = 32
_HINT: Final = (
    "Give a certificate for encryption: RSA of 2048 bits or more, or EC on P-256, P-384 or P-521."
)


def read_certificate(pem: bytes) -> x509.Certificate:
    """Return the recipient's certificate: the first of a PEM file.

    Raises:
        FormatError, LimitError: none there, or not a usable one.
        UsageError: its key is not for encryption.
    """
    certificate = load_certificates(pem)[0]
    check_usable(certificate)
    return certificate


def check_usable(certificate: x509.Certificate) -> None:
    """Return when a secret can be enveloped for the certificate's key (RFC 5280 §4.2.1.3).

    Raises:
        UsageError: its kind, size or key usage does not allow it.
    """
    try:
        key, usage = certificate.public_key(), _usage(certificate)
    except PARSE_ERRORS as error:
        raise UsageError(f"the certificate's key cannot be used: {error}", hint=_HINT) from None
    if not _fit(key):
        raise UsageError("the certificate's key is of a kind or size that is not used", hint=_HINT)
    transport = isinstance(key, rsa.RSAPublicKey)
    if usage is not None and not (usage.key_encipherment if transport else usage.key_agreement):
        raise UsageError("the certificate says that its key is not for encryption", hint=_HINT)


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _fit(key: CertificatePublicKeyTypes) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= MIN_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES


def envelop(secret: bytes, certificate: x509.Certificate) -> bytes:
    """Return `secret` as DER that only the holder of the certificate's key can open.

    Raises:
        UsageError: as `check_usable`, or a secret of more than 4096 bytes.
    """
    check_usable(certificate)
    if len(secret) > MAX_SECRET:
        raise UsageError(f"a secret of more than {MAX_SECRET} bytes is not enveloped")
    content_key, vector = secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(16)
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        version, recipient = 0, _transport(key, certificate, content_key)
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - check_usable
        version, recipient = 2, _agreement(key, certificate, content_key)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(content_key), modes.CBC(vector)).encryptor()
    sealed = encryptor.update(padder.update(secret) + padder.finalize()) + encryptor.finalize()
    content = der.sequence(
        _DATA,
        der.sequence(_AES256_CBC, der.octets(vector)),
        der.tlv(der.context(0, constructed=False), sealed),
    )
    data = der.sequence(der.integer(version), der.set_of(recipient), content)
    return der.sequence(_ENVELOPED_DATA, der.tlv(der.context(0), data))


def _named(certificate: x509.Certificate) -> bytes:
    """Return the IssuerAndSerialNumber."""
    return der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))


def _transport(key: rsa.RSAPublicKey, certificate: x509.Certificate, content_key: bytes) -> bytes:
    """Return a KeyTransRecipientInfo (RFC 5652 §6.2.1)."""
    wrapped = key.encrypt(content_key, padding.PKCS1v15())
    return der.sequence(der.integer(0), _named(certificate), _RSA, der.octets(wrapped))


def _agreement(
    key: ec.EllipticCurvePublicKey, certificate: x509.Certificate, content_key: bytes
) -> bytes:
    """Return a KeyAgreeRecipientInfo with an ephemeral key (RFC 5753 §3.1.1, §7.2)."""
    ephemeral = ec.generate_private_key(key.curve)
    shared = ephemeral.exchange(ec.ECDH(), key)
    bits = (_KEY_BYTES * 8).to_bytes(4, "big")
    info = der.sequence(_AES256_WRAP, der.tlv(der.context(2), der.octets(bits)))
    wrapping_key = X963KDF(hashes.SHA256(), _KEY_BYTES, info).derive(shared)
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    public = (der.sequence(_EC_KEY), der.tlv(der.BIT_STRING, b"\x00" + point))
    originator = der.tlv(
        der.context(0), der.tlv(der.context(1), *public)
    )  # originatorKey, implicit
    wrapped = der.octets(aes_key_wrap(wrapping_key, content_key))
    return der.tlv(
        der.context(1),
        der.integer(3),
        originator,
        der.sequence(_ECDH_SHA256, _AES256_WRAP),
        der.sequence(der.sequence(_named(certificate), wrapped)),
    )
