"""A secret that `cmswrap` enveloped is opened with the private key of the certificate (envelope-v1 §2).

Only that profile is read: one recipient by issuer and serial number, RSA key transport of PKCS #1 v1.5 or
ephemeral-static ECDH with SHA-256 and AES-256 key wrap, AES-256-CBC content of at most 4096 bytes. What is of another
form is told without a key. With a key there is one answer to everything that does not open: which step failed is not
told (RFC 3218 §2.3).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.padding import PKCS7

from hozen_hashes import cmsnames, der
from hozen_hashes.cmswrap import MAX_SECRET
from hozen_hashes.envelope.enveloped import MAX_BYTES, check_enveloped
from hozen_hashes.errors import FormatError, NotVerifiableError

if TYPE_CHECKING:
    from hozen_hashes.keyfile import Key

_RSA: Final = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null())
_AES256_CBC: Final = der.oid("2.16.840.1.101.3.4.1.42")
_AES256_WRAP: Final = der.sequence(der.oid("2.16.840.1.101.3.4.1.45"))
_ECDH: Final = der.sequence(der.oid("1.3.132.1.11.1"), _AES256_WRAP)
_EC_KEY: Final = der.sequence(der.oid("1.2.840.10045.2.1"))
_KEY_BYTES: Final = 32
_WRAPPED_BYTES: Final = _KEY_BYTES + 8
_BLOCK: Final = 16
_INFO: Final = der.sequence(
    _AES256_WRAP, der.tlv(der.context(2), der.octets((_KEY_BYTES * 8).to_bytes(4, "big")))
)


@dataclass(frozen=True, slots=True)
class Enveloped:
    """The parts of an enveloped secret; `point` is empty for RSA.

    Attributes:
        issuer, serial: of the certificate whose holder can open it, the first as DER.
        wrapped: the content key, for the holder.
        point: the ephemeral key as an uncompressed point.
        vector, sealed: of the content.
    """

    issuer: bytes
    serial: int
    wrapped: bytes
    point: bytes
    vector: bytes
    sealed: bytes


def parse(data: bytes) -> Enveloped:
    """Return the parts of `data`.

    Raises:
        FormatError: it is anything else than what `cmswrap` writes.
        LimitError: larger than 16 KiB, or nested too deep.
    """
    check_enveloped(data)  # the form; below, that it is this profile of it
    explicit = der.read(data, der.SEQUENCE, "ContentInfo", max_bytes=MAX_BYTES).open()
    explicit.take_any("contentType")
    at = explicit.take_any("content").open().take_any("EnvelopedData").open()
    version = der.read_integer(at.take_any("version"))
    recipient = at.take_any("recipientInfos").open().take_any("recipient")
    agreed = recipient.tag == der.context(1)
    if version != (2 if agreed else 0):
        raise FormatError("EnvelopedData of a version that does not fit its recipient")
    name, wrapped, point = (_agreement if agreed else _transport)(recipient.open())
    vector, sealed = _content(at.take_any("encryptedContentInfo").open())
    issuer, serial = _name(name)
    return Enveloped(issuer, serial, wrapped, point, vector, sealed)


def _transport(at: der.Cursor) -> tuple[der.Element, bytes, bytes]:
    """Return name, wrapped key and no point."""
    if der.read_integer(at.take_any("version")) != 0:
        raise FormatError("KeyTransRecipientInfo that names its recipient by key identifier")
    name = at.take(der.SEQUENCE, "issuer and serial number")
    _expect(at.take_any("key encryption algorithm"), _RSA, "RSA PKCS #1 v1.5")
    return name, at.take_any("encrypted key").content, b""


def _agreement(at: der.Cursor) -> tuple[der.Element, bytes, bytes]:
    """Return name, wrapped key and ephemeral point."""
    at.take_any("version")
    key = at.take_any("originator").open().take_any("originatorKey").open()
    _expect(key.take_any("algorithm of the ephemeral key"), _EC_KEY, "an EC key")
    bits = key.take_any("ephemeral key").content
    _expect(at.take(der.SEQUENCE, "key agreement algorithm"), _ECDH, "ECDH with SHA-256")
    one = at.take_any("recipientEncryptedKeys").open().take_any("recipientEncryptedKey").open()
    name = one.take(der.SEQUENCE, "issuer and serial number")
    wrapped = one.take_any("encrypted key").content
    if bits[:2] != b"\x00\x04" or len(wrapped) != _WRAPPED_BYTES:
        raise FormatError("KeyAgreeRecipientInfo with a point or a wrapped key of another form")
    return name, wrapped, bits[1:]


def _name(element: der.Element) -> tuple[bytes, int]:
    inside = element.open()
    issuer = inside.take(der.SEQUENCE, "issuer").whole
    return issuer, der.read_integer(inside.take(der.INTEGER, "serial number"))


def _content(at: der.Cursor) -> tuple[bytes, bytes]:
    _expect(at.take_any("content type"), cmsnames.DATA, "id-data")
    algorithm = at.take_any("content encryption algorithm").open()
    _expect(algorithm.take_any("algorithm"), _AES256_CBC, "AES-256-CBC")
    vector = algorithm.take(der.OCTET_STRING, "initialisation vector").content
    sealed = at.take_any("encrypted content").content
    whole = len(vector) == _BLOCK and not len(sealed) % _BLOCK
    if not whole or len(sealed) > MAX_SECRET + _BLOCK:
        raise FormatError("an enveloped content of a size that no writer makes")
    return vector, sealed


def _expect(element: der.Element, wanted: bytes, what: str) -> None:
    if element.whole != wanted:
        raise FormatError(f"the envelope uses something else than {what}")


def open_enveloped(data: bytes, key: Key) -> bytes:
    """Return the secret.

    Not every form authenticates its content: what comes out of a changed envelope can be other bytes. An age
    identity has a checksum, and what it opens is authenticated.

    Raises:
        FormatError, LimitError: as `parse`; told by the bytes alone.
        NotVerifiableError: the key does not open it, for whatever reason.
    """
    parts = parse(data)
    content_key = secrets.token_bytes(_KEY_BYTES)
    if isinstance(key, rsa.RSAPrivateKey) and not parts.point:
        content_key = _decrypted(parts, key) or content_key
    elif isinstance(key, ec.EllipticCurvePrivateKey) and parts.point:
        content_key = _agreed(parts, key) or content_key
    # A key that does not fit goes on with one by chance: there is one end for all of them.
    decryptor = Cipher(algorithms.AES256(content_key), modes.CBC(parts.vector)).decryptor()
    padded = decryptor.update(parts.sealed) + decryptor.finalize()
    unpadder = PKCS7(_BLOCK * 8).unpadder()
    try:
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise not_opened() from None


def not_opened() -> NotVerifiableError:
    """Return the one error of every envelope that a key does not open."""
    return NotVerifiableError(
        "検証不能: the given key does not open the envelope",
        hint="Give the private key of a certificate that the capture was made for.",
    )


def _decrypted(parts: Enveloped, key: rsa.RSAPrivateKey) -> bytes | None:
    try:
        found = key.decrypt(parts.wrapped, padding.PKCS1v15())
    except ValueError:
        return None
    return found if len(found) == _KEY_BYTES else None


def _agreed(parts: Enveloped, key: ec.EllipticCurvePrivateKey) -> bytes | None:
    try:
        # from_encoded_point refuses what does not lie on the curve (invalid-curve attack).
        public = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, parts.point)
        shared = key.exchange(ec.ECDH(), public)
        wrapping = X963KDF(hashes.SHA256(), _KEY_BYTES, _INFO).derive(shared)
        return aes_key_unwrap(wrapping, parts.wrapped)
    except (ValueError, InvalidUnwrap):
        return None
