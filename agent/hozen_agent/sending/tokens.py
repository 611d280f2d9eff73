"""Enrolment tokens: a right to enrol, with the fingerprints that say whom to believe.

One line `hozen-token-1.<base64url JSON>`. It holds a secret: nobody gets it but the collector whose root it names.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from hozen_hashes.errors import FormatError
from hozen_hashes.jsonl import parse_object

PREFIX: Final = "hozen-token-1."
ASK: Final = "Ask the custodian for a new one: hozen collector token new."
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_MAX_TOKEN: Final = 4096


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A right to enrol, and what it says about the collector; its text holds a secret and is never shown.

    Attributes:
        text: the line to send.
        ca_sha256: of the collector's root (DER).
        log_sha256: of its log's vkey line.
        expires: seconds since 1970.
        url: of the collector, or None.
    """

    text: str
    ca_sha256: str
    log_sha256: str
    expires: int
    url: str | None


def parse_token(text: str) -> Token:
    """Return the token in a line `hozen-token-1.<base64url JSON>`.

    Raises:
        FormatError: not such a line; the message never quotes it.
    """
    text = text.strip()
    if not text.startswith(PREFIX) or len(text) > _MAX_TOKEN:
        raise FormatError("this is not a Hozen token", hint=ASK)
    encoded = text.removeprefix(PREFIX)
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("the token is damaged", hint=ASK) from None
    body = parse_object(raw, what="the token", max_bytes=_MAX_TOKEN)
    ca, log, expires, url = (body.get(key) for key in ("ca_sha256", "log_sha256", "expires", "url"))
    hexadecimal = (
        isinstance(ca, str) and isinstance(log, str) and _HEX.fullmatch(ca) and _HEX.fullmatch(log)
    )
    if not hexadecimal or not isinstance(expires, int) or not isinstance(url, str | None):
        raise FormatError("the token is damaged", hint=ASK)
    return Token(text, str(ca), str(log), expires, url)
