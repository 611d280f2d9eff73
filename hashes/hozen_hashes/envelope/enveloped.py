"""A secret enveloped for the holder of a certificate is read as far as it can be without the key (envelope-v1 §2).

CMS EnvelopedData (RFC 5652 §6): one recipient, RSA key transport or ephemeral-static ECDH (RFC 5753 §3.1.1). What is
inside, and for whose key, only the holder learns; here it is told that nothing else, more or less is there.
"""

from __future__ import annotations

from typing import Final

from hozen_hashes import cmsnames, der
from hozen_hashes.errors import FormatError

MAX_BYTES: Final = 16 * 1024
_ENVELOPED_DATA: Final = der.oid("1.2.840.113549.1.7.3")
_KEY_IDENTIFIER: Final = der.context(0, constructed=False)
_CONTENT: Final = der.context(0, constructed=False)
_BY_NAME, _BY_KEY, _AGREED = 0, 2, 3  # versions of RecipientInfo (RFC 5652 §6.2)


def check_enveloped(data: bytes) -> None:
    """Return when `data` is one enveloped secret for one recipient.

    Raises:
        FormatError: it is not DER, not EnvelopedData, or of another form than envelope-v1 §2 has.
        LimitError: it is larger than MAX_BYTES, or nested too deep.
    """
    whole = der.read(data, der.SEQUENCE, "ContentInfo", max_bytes=MAX_BYTES).open()
    _expect(whole.take(der.OBJECT_IDENTIFIER, "contentType"), _ENVELOPED_DATA, "EnvelopedData")
    explicit = whole.take(der.context(0), "content").open()
    whole.end("ContentInfo")
    at = explicit.take(der.SEQUENCE, "EnvelopedData").open()
    explicit.end("content")
    if der.read_integer(at.take(der.INTEGER, "EnvelopedData version")) not in (0, 2):
        raise FormatError("EnvelopedData of a version other than 0 or 2")
    _check_recipient(at.take(der.SET, "recipientInfos").open())
    _check_content(at.take(der.SEQUENCE, "encryptedContentInfo").open())
    at.end("EnvelopedData")


def _check_recipient(at: der.Cursor) -> None:
    if at.tag == der.context(1):
        _check_agreement(at.take(der.context(1), "KeyAgreeRecipientInfo").open())
    else:
        _check_transport(at.take(der.SEQUENCE, "KeyTransRecipientInfo").open())
    at.end("recipientInfos: more than one recipient")


def _check_transport(at: der.Cursor) -> None:
    """RFC 5652 §6.2.1."""
    version = der.read_integer(at.take(der.INTEGER, "version"))
    if version != (_BY_NAME if at.tag == der.SEQUENCE else _BY_KEY):
        raise FormatError(f"KeyTransRecipientInfo of version {version}")
    _check_identifier(at, _KEY_IDENTIFIER)
    _check_algorithm(at.take(der.SEQUENCE, "key encryption algorithm"))
    _check_filled(at.take(der.OCTET_STRING, "encrypted key"))
    at.end("KeyTransRecipientInfo")


def _check_agreement(at: der.Cursor) -> None:
    """RFC 5652 §6.2.2, with an ephemeral key of the originator (RFC 5753 §3.1.1)."""
    if der.read_integer(at.take(der.INTEGER, "version")) != _AGREED:
        raise FormatError("KeyAgreeRecipientInfo of a version other than 3")
    originator = at.take(der.context(0), "originator").open()
    key = originator.take(der.context(1), "the originator's ephemeral key").open()
    originator.end("originator")
    _check_algorithm(key.take(der.SEQUENCE, "algorithm of the ephemeral key"))
    _check_filled(key.take(der.BIT_STRING, "ephemeral key"))
    key.end("originatorKey")
    at.optional(der.context(1), "user keying material")
    _check_algorithm(at.take(der.SEQUENCE, "key agreement algorithm"))
    keys = at.take(der.SEQUENCE, "recipientEncryptedKeys").open()
    at.end("KeyAgreeRecipientInfo")
    one = keys.take(der.SEQUENCE, "recipientEncryptedKey").open()
    keys.end("recipientEncryptedKeys: more than one recipient")
    _check_identifier(one, der.context(0))
    _check_filled(one.take(der.OCTET_STRING, "encrypted key"))
    one.end("recipientEncryptedKey")


def _check_identifier(at: der.Cursor, by_key: int) -> None:
    """Step over the recipient's name: issuer and serial number, or the identifier of the key."""
    if at.tag != der.SEQUENCE:
        _check_filled(at.take(by_key, "recipient by key identifier"))
        return
    name = at.take(der.SEQUENCE, "recipient by issuer and serial number").open()
    name.take(der.SEQUENCE, "issuer")
    name.take(der.INTEGER, "serial number")
    name.end("issuer and serial number")


def _check_content(at: der.Cursor) -> None:
    _expect(at.take(der.OBJECT_IDENTIFIER, "content type"), cmsnames.DATA, "id-data")
    _check_algorithm(at.take(der.SEQUENCE, "content encryption algorithm"))
    _check_filled(at.take(_CONTENT, "encrypted content"))
    at.end("encryptedContentInfo")


def _check_algorithm(element: der.Element) -> None:
    inside = element.open()
    inside.take(der.OBJECT_IDENTIFIER, "algorithm")
    if inside.tag is not None:
        inside.take_any("parameters")
    inside.end("algorithm")


def _check_filled(element: der.Element) -> None:
    if not element.content:
        raise FormatError("DER: an element that must hold something is empty")


def _expect(element: der.Element, wanted: bytes, what: str) -> None:
    if element.whole != wanted:
        raise FormatError(f"the content type {der.dotted(element)} is not {what}")
