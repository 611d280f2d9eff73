"""The reply of a time-stamping authority, brought into DER where nobody signed it (timestamp-v1 §3 point 1).

OpenSSL's own authority writes the SET OF certificates in the order of its configuration, not in DER order (X.690
§11.6). The set is not signed, so sorting it in memory changes nothing that anybody vouched for.
"""

from __future__ import annotations

from typing import Final

from hozen_hashes import cmsnames, der
from hozen_hashes.errors import FormatError

MAX_REPLY_BYTES: Final = 64 * 1024


def in_der_order(reply: bytes) -> bytes:
    """Return the `TimeStampResp` with its certificates in DER order; everything else byte for byte.

    Raises:
        FormatError: it is no `TimeStampResp` that carries a token.
        LimitError: it is larger or deeper than a reply can be.
    """
    whole = der.read(reply, der.SEQUENCE, "time-stamp reply", max_bytes=MAX_REPLY_BYTES).open()
    status = whole.take(der.SEQUENCE, "status")
    if whole.tag is None:
        raise FormatError("the reply carries no time stamp; the authority refused the request")
    token = whole.take(der.SEQUENCE, "time-stamp token").open()
    whole.end("time-stamp reply")
    kind = token.take(der.OBJECT_IDENTIFIER, "token type")
    if kind.whole != cmsnames.SIGNED_DATA:
        raise FormatError("the time-stamp token is no SignedData")
    explicit = token.take(der.context(0), "token content").open()
    token.end("time-stamp token")
    signed = _sorted(explicit.take(der.SEQUENCE, "SignedData").open())
    explicit.end("token content")
    return der.sequence(status.whole, der.sequence(kind.whole, der.tlv(der.context(0), signed)))


def _sorted(at: der.Cursor) -> bytes:
    parts = [
        at.take(der.INTEGER, "version").whole,
        at.take(der.SET, "digest algorithms").whole,
        at.take(der.SEQUENCE, "encapsulated content").whole,
    ]
    certificates = at.optional(der.context(0), "certificates")
    if certificates is not None:
        found = certificates.open().rest(der.SEQUENCE, "certificates")
        parts.append(der.set_of(*(one.whole for one in found), tag=der.context(0)))
    crls = at.optional(der.context(1), "revocation lists")
    parts.extend([] if crls is None else [crls.whole])
    parts.append(at.take(der.SET, "signer infos").whole)
    at.end("SignedData")
    return der.sequence(*parts)
