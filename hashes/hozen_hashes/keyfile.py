"""The private key of an identity file: PKCS #8, encrypted by PBES2 (RFC 5958, RFC 8018)."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)  # fmt: skip

from hozen_hashes import der
from hozen_hashes.errors import FormatError, SignatureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# cryptography writes PKCS #8 with OpenSSL's 2048 rounds; a stolen stick deserves today's figure.
ROUNDS: Final = 600_000
_MAX_PASSPHRASE: Final = 4096
_PLAIN = "PRIVATE KEY"
_ENCRYPTED = "ENCRYPTED PRIVATE KEY"

_PBES2: Final = der.oid("1.2.840.113549.1.5.13")
_PBKDF2: Final = der.oid("1.2.840.113549.1.5.12")
_HMAC_SHA256: Final = der.oid("1.2.840.113549.2.9")
_AES256_CBC: Final = der.oid("2.16.840.1.101.3.4.1.42")


def encode_key(key: Key, passphrase: bytes | None) -> bytes:
    """Return the key as PEM PKCS #8, encrypted with AES-256 when there is a passphrase.

    Raises:
        UsageError: an empty passphrase, or one of more than 4096 bytes.
    """
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if passphrase is None:
        return _pem(_PLAIN, plain)
    check_passphrase(passphrase)
    salt, vector = secrets.token_bytes(16), secrets.token_bytes(16)
    secret = PBKDF2HMAC(hashes.SHA256(), 32, salt, ROUNDS).derive(passphrase)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(secret), modes.CBC(vector)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    return _pem(_ENCRYPTED, der.sequence(_scheme(salt, vector), der.octets(sealed)))


def check_passphrase(passphrase: bytes) -> None:
    """Return when the passphrase can be used; raises UsageError."""
    if not 1 <= len(passphrase) <= _MAX_PASSPHRASE:
        raise UsageError(
            f"a passphrase of {len(passphrase)} bytes",
            hint=f"A passphrase has 1 to {_MAX_PASSPHRASE} bytes, in one line.",
        )


def _scheme(salt: bytes, vector: bytes) -> bytes:
    derivation = der.sequence(
        der.octets(salt), der.integer(ROUNDS), der.sequence(_HMAC_SHA256, der.null())
    )
    return der.sequence(
        _PBES2,
        der.sequence(
            der.sequence(_PBKDF2, derivation), der.sequence(_AES256_CBC, der.octets(vector))
        ),
    )


def _pem(label: str, body: bytes) -> bytes:
    text = base64.b64encode(body).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def decode_key(blocks: Sequence[tuple[str, bytes]], passphrase: bytes | None) -> Key:
    """Return the private key among the PEM blocks.

    Raises:
        FormatError: no key or several, an old form, or bytes that are no key.
        UsageError: no passphrase, or not the right one.
        SignatureError: a key of a kind that bundle-v1 §9 does not have.
    """
    found = [(label, body) for label, body in blocks if label.endswith("PRIVATE KEY")]
    if len(found) != 1:
        raise FormatError(f"the identity file has {len(found)} private keys; exactly one is wanted")
    label, body = found[0]
    if label not in (_PLAIN, _ENCRYPTED):
        raise FormatError(
            f"the private key is in an older form ({label})",
            hint="Convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW",
        )
    return accepted(_load(body, passphrase, encrypted=label == _ENCRYPTED))


def _load(body: bytes, passphrase: bytes | None, *, encrypted: bool) -> object:
    if encrypted and passphrase is None:
        raise UsageError(
            "the identity file is encrypted and no passphrase was given",
            hint="Give it by --passphrase-file FILE, by - for standard input, or at the prompt.",
        )
    try:
        return load_der_private_key(body, passphrase if encrypted else None)
    except (ValueError, TypeError):
        if encrypted:
            raise UsageError(
                "the passphrase does not open the identity file",
                hint="Look for a wrong keyboard layout, and for a passphrase file that holds another line.",
            ) from None
        raise FormatError("the private key of the identity file is damaged") from None
    except UnsupportedAlgorithm as error:
        raise FormatError(f"the private key cannot be read here: {error}") from None


def accepted(key: object) -> Key:
    """Return the key when bundle-v1 §9 has its kind; raises SignatureError if not."""
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return key
    raise SignatureError(
        "a private key of a kind that is not accepted",
        hint="Accepted are ECDSA P-256, ECDSA P-384 and RSA of 3072 bits or more.",
    )
