"""Enrolment tokens: `hozen-token-1.<base64url JSON>`, one-time or counted, expiring, bound to host names.

The token tells the agent which root and which log to expect, so nothing is trusted on first use. The collector keeps
only the hash of its secret (256 random bits, so a plain SHA-256 is enough).
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import json
import re
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import update

from hozen_collector.index.models import Token
from hozen_hashes.errors import DeniedError, FormatError

if TYPE_CHECKING:
    from sqlalchemy import CursorResult
    from sqlalchemy.orm import Session

PREFIX: Final = "hozen-token-1."
MAX_BYTES: Final = 4096
_REFUSED: Final = "the token is unknown, used up, expired, or not for this host"
_ASK: Final = "Ask the custodian for a new one: hozen collector token new."
_FIELDS: Final = {"ca_sha256": 64, "log_sha256": 64, "id": 32, "secret": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenText:
    """What a token says. `secret` is hexadecimal; `expires` is seconds since 1970."""

    ca_sha256: str
    log_sha256: str
    id: str
    secret: str
    expires: int

    def encode(self) -> str:
        """Give the one-line form."""
        body = {
            "ca_sha256": self.ca_sha256,
            "log_sha256": self.log_sha256,
            "id": self.id,
            "secret": self.secret,
            "expires": self.expires,
        }
        data = json.dumps(body, separators=(",", ":")).encode()
        return PREFIX + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parse_token(text: str) -> TokenText:
    """Read the one-line form.

    Raises:
        FormatError: not a token of this version.
    """
    text = text.strip()
    if not text.startswith(PREFIX) or len(text) > MAX_BYTES:
        raise FormatError("this is not a Hozen token", hint=_ASK)
    encoded = text[len(PREFIX) :]
    try:
        body = json.loads(
            base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        )
    except (binascii.Error, ValueError, RecursionError) as error:
        raise FormatError("the token is damaged", hint=_ASK) from error
    if not isinstance(body, dict):
        raise FormatError("the token is damaged", hint=_ASK)
    expires = body.get("expires")
    if not isinstance(expires, int) or isinstance(expires, bool):
        raise FormatError("the token is damaged", hint=_ASK)
    return TokenText(expires=expires, **{name: _hex(body, name) for name in _FIELDS})


def new_token(
    session: Session,
    *,
    ca_sha256: str,
    log_sha256: str,
    hosts: str,
    count: int,
    now_ns: int,
    seconds: int,
) -> TokenText:
    """Store the right to enrol `count` hosts matching `hosts` (a shell pattern), and give its text."""
    secret = secrets.token_hex(32)
    token = TokenText(
        ca_sha256=ca_sha256,
        log_sha256=log_sha256,
        id=uuid.uuid4().hex,
        secret=secret,
        expires=now_ns // 10**9 + seconds,
    )
    session.add(
        Token(
            id=token.id,
            secret_sha256=_hashed(secret),
            hosts=hosts,
            uses_left=count,
            expires=token.expires * 10**9,
            created=now_ns,
        )
    )
    return token


def authorise(session: Session, token: TokenText, *, host: str, now_ns: int) -> None:
    """Return if the token's secret is right for `host`; uses are counted by `spend`.

    Raises:
        DeniedError: for every refusal the same words, so that nothing can be learned by trying.
    """
    row = session.get(Token, token.id)
    # An unknown id costs the same comparison as a known one.
    expected = row.secret_sha256 if row else _hashed("")
    right = hmac.compare_digest(_hashed(token.secret), expected)
    if row is None or not right or row.expires <= now_ns:
        raise DeniedError(_REFUSED, hint=_ASK)
    if not fnmatch.fnmatchcase(host.lower(), row.hosts.lower()):
        raise DeniedError(_REFUSED, hint=_ASK)


def spend(session: Session, token: TokenText) -> None:
    """Count one use.

    Raises:
        DeniedError: it was used up.
    """
    taken = session.execute(
        update(Token)
        .where(Token.id == token.id, Token.uses_left > 0)
        .values(uses_left=Token.uses_left - 1)
    )
    if cast("CursorResult[object]", taken).rowcount != 1:
        raise DeniedError(_REFUSED, hint=_ASK)


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _hex(body: dict[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{_FIELDS[name]}}}", value):
        raise FormatError("the token is damaged", hint=_ASK)
    return value
