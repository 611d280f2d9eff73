"""The header of an age v1 file: who can open it (C2SP age §Header)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hozen_hashes.agekeys import KEY_BYTES, Identity, Recipient
from hozen_hashes.errors import FormatError, LimitError, NotVerifiableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FILE_KEY_BYTES: Final = 16
MAX_HEADER: Final = 64 * 1024
MAX_STANZAS: Final = 128
MAX_LINE: Final = 4096
_INTRO: Final = b"age-encryption.org/v1\n"
_X25519: Final = b"X25519"
_INFO: Final = b"age-encryption.org/v1/X25519"
_NONCE: Final = bytes(12)  # each wrapping key is used once
_COLUMNS: Final = 64
_WRAPPED_BYTES: Final = FILE_KEY_BYTES + 16
_ARGUMENT: Final = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class _Stanza:
    arguments: list[bytes]
    body: bytes


def make(file_key: bytes, recipients: Sequence[Recipient]) -> bytes:
    """Return the header that lets each recipient find the file key.

    Raises:
        UsageError: no recipients, too many, or one whose key is of no use.
    """
    if not 1 <= len(recipients) <= MAX_STANZAS:
        raise UsageError(f"{len(recipients)} recipients; 1 to {MAX_STANZAS} are possible")
    text = _INTRO + b"".join(_wrap(file_key, recipient) for recipient in recipients) + b"---"
    return text + b" " + _encode(_mac(file_key, text).finalize()) + b"\n"


def _wrap(file_key: bytes, recipient: Recipient) -> bytes:
    ephemeral = X25519PrivateKey.generate()
    share = ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    try:
        secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient.point))
    except ValueError:
        raise UsageError(
            "a recipient whose key protects nothing", hint="Ask for the recipient again."
        ) from None
    body = ChaCha20Poly1305(_wrapping_key(secret, share, recipient)).encrypt(_NONCE, file_key, None)
    return b"-> %s %s\n%s\n" % (_X25519, _encode(share), _encode(body))


def open_header(read_line: Callable[[], bytes], identities: Sequence[Identity]) -> bytes:
    """Return the file key.

    Args:
        read_line: gives the next line with its LF, at most MAX_LINE bytes.
        identities: tried one after the other.

    Raises:
        FormatError: not an age v1 header, or it was changed.
        LimitError: more than 64 KiB or 128 recipients.
        NotVerifiableError: none of the identities is a recipient.
    """
    text, stanzas, mac = _read(read_line)
    file_key = _find(stanzas, identities)
    try:
        _mac(file_key, text).verify(mac)
    except InvalidSignature:
        raise FormatError("the header of the encrypted file was changed") from None
    return file_key


def _read(read_line: Callable[[], bytes]) -> tuple[bytes, list[_Stanza], bytes]:
    if read_line() != _INTRO:
        raise FormatError(
            "not an age v1 file", hint="An encrypted bundle begins with age-encryption.org/v1."
        )
    text, stanzas = _INTRO, []
    while (line := read_line()).startswith(b"-> "):
        stanza, lines = _read_stanza(line, read_line)
        text += lines
        stanzas.append(stanza)
        if len(text) > MAX_HEADER or len(stanzas) > MAX_STANZAS:
            raise LimitError(
                f"an age header of more than {MAX_HEADER} bytes or {MAX_STANZAS} recipients"
            )
    if not line.startswith(b"--- ") or not stanzas:
        raise FormatError("the age header has a line that the format does not have")
    mac = _decode(line[4:])
    if len(mac) != KEY_BYTES:
        raise FormatError("the age header ends in a code of the wrong length")
    return text + b"---", stanzas, mac


def _read_stanza(first: bytes, read_line: Callable[[], bytes]) -> tuple[_Stanza, bytes]:
    arguments = first[3:-1].split(b" ")
    if first[-1:] != b"\n" or not all(_ARGUMENT.fullmatch(argument) for argument in arguments):
        raise FormatError("the age header names a recipient in a form that is not allowed")
    text, body = first, b""
    while True:
        line = read_line()
        text += line
        body += _decode(line)
        if len(line) <= _COLUMNS:  # with its LF: a short line ends the body
            return _Stanza(arguments, body), text
        if len(line) > _COLUMNS + 1 or len(text) > MAX_HEADER:
            raise FormatError("the age header has a line that is too long")


def _find(stanzas: list[_Stanza], identities: Sequence[Identity]) -> bytes:
    if len(stanzas) > 1 and any(stanza.arguments[0] == b"scrypt" for stanza in stanzas):
        raise FormatError("the age header has a passphrase beside other recipients")
    ours = [stanza for stanza in stanzas if stanza.arguments[0] == _X25519]
    shares = [_share(stanza) for stanza in ours]
    for identity in identities:
        for stanza, share in zip(ours, shares, strict=True):
            file_key = _unwrap(stanza.body, share, identity)
            if file_key is not None:
                return file_key
    raise NotVerifiableError(
        "none of the given identities can open this encrypted file",
        hint=f"It has {len(ours)} X25519 recipients; give the identity (AGE-SECRET-KEY-1…) of one of them.",
    )


def _share(stanza: _Stanza) -> bytes:
    share = _decode(stanza.arguments[1] + b"\n") if len(stanza.arguments) == 2 else b""  # noqa: PLR2004
    # The length of the body is checked before any key touches it (C2SP age: partitioning oracles).
    if len(share) != KEY_BYTES or len(stanza.body) != _WRAPPED_BYTES:
        raise FormatError("the age header names an X25519 recipient that is not whole")
    return share


def _unwrap(body: bytes, share: bytes, identity: Identity) -> bytes | None:
    try:
        secret = identity.key.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError:
        raise FormatError("the age header names a key that protects nothing") from None
    try:
        return ChaCha20Poly1305(_wrapping_key(secret, share, identity.recipient)).decrypt(
            _NONCE, body, None
        )
    except InvalidTag:
        return None


def _wrapping_key(secret: bytes, share: bytes, recipient: Recipient) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=share + recipient.point, info=_INFO).derive(secret)


def _mac(file_key: bytes, text: bytes) -> HMAC:
    key = HKDF(hashes.SHA256(), KEY_BYTES, salt=b"", info=b"header").derive(file_key)
    mac = HMAC(key, hashes.SHA256())
    mac.update(text)
    return mac


def payload_key(file_key: bytes, nonce: bytes) -> bytes:
    """Return the key of the payload (C2SP age §Payload)."""
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=nonce, info=b"payload").derive(file_key)


def _encode(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _decode(line: bytes) -> bytes:
    """Return the bytes of an unpadded, canonical base64 line with its LF; raises FormatError."""
    text = line[:-1]
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        data = b""
    if line[-1:] != b"\n" or _encode(data) != text:
        raise FormatError("the age header has a value that is not canonical base64")
    return data
