"""What a collector is called and what it answers: URLs, answers, and the errors they stand for (RFC 9457)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from hozen_hashes.errors import (
    DeniedError,
    FormatError,
    HozenError,
    LimitError,
    TryAgainError,
    UsageError,
)
from hozen_hashes.jsonl import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

API: Final = "/api/v1"
PATIENCE: Final = 8  # failures in a row until a call gives up
DELAYS: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
MAX_ANSWER: Final = 8 << 20
MAX_PROBLEM: Final = 64 << 10
BUSY: Final = "Try the same call again later; what was sent is kept."
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9a-fA-F:.]{2,45}")
_TRY_AGAIN: Final = frozenset({408, 423, 425, 429, 500, 502, 503, 504, 507})


class LostError(TryAgainError):
    """The connection could not be made, or ended before the answer."""


class RefusedError(HozenError):
    """The collector answered with an error that neither time nor another identity mends.

    Attributes:
        status: of the answer.
    """

    exit_code = 65

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a collector is."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The one spelling of its URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


def parse_url(url: str) -> Endpoint:
    """Return the collector that an URL names: `https://host[:port]`.

    Raises:
        UsageError: another scheme, a path, a user name, or no host.
    """
    try:
        parts = urlsplit(url)
        port = 443 if parts.port is None else parts.port
    except ValueError:
        parts, port = urlsplit(""), 0
    host = (parts.hostname or "").lower()
    extra = parts.path.strip("/") or parts.query or parts.fragment
    plain = (
        url.isascii() and url.isprintable() and " " not in url
    )  # urlsplit drops line ends silently
    if "@" in url:  # never quoted: a password may stand before it
        raise UsageError(
            "the URL of a collector holds a user name or password",
            hint="Write https://host:port; the enrolled certificate says who you are.",
        )
    if not plain or parts.scheme != "https" or extra or not port or not _HOST.fullmatch(host):
        raise UsageError(
            f"not the URL of a collector: {url[:200]!r}", hint="Write https://host:port."
        )
    return Endpoint(host, port)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the collector said; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """Return the JSON object in the body; FormatError when there is none."""
        return _object(self.body, MAX_ANSWER)


def delay(failures: int) -> float:
    """Return how many seconds to wait after so many failures in a row."""
    return DELAYS[min(max(failures, 1), len(DELAYS)) - 1]


def checked(answer: Answer) -> Answer:
    """Return a good answer; raises what `refusal` gives for any other."""
    if answer.status // 100 == 2:  # noqa: PLR2004
        return answer
    raise refusal(answer)


def refusal(answer: Answer) -> HozenError:
    """Return the error that an answer stands for, in the collector's words (RFC 9457), made harmless."""
    words: dict[str, object] = {}
    with suppress(FormatError, LimitError):
        words = _object(answer.body, MAX_PROBLEM)
    detail = _plain(words.get("detail")) or f"status {answer.status}"
    hint = _plain(words.get("hint"))
    if answer.status in (401, 403):
        return DeniedError(f"the collector refuses: {detail}", hint=hint)
    if answer.status in _TRY_AGAIN:
        return TryAgainError(f"the collector cannot now: {detail}", hint=hint or BUSY)
    return RefusedError(answer.status, f"the collector refuses: {detail}", hint=hint)


def receipt_of(answer: Answer) -> dict[str, bytes]:
    """Return the files of the receipt in an answer; FormatError when it has none."""
    files = answer.json().get("files")
    if not isinstance(files, dict):
        raise FormatError("the collector's answer has no receipt")
    try:
        return {str(name): base64.b64decode(data, validate=True) for name, data in files.items()}
    except (binascii.Error, ValueError, TypeError):
        raise FormatError("the collector's receipt is not base64") from None


def _object(body: bytes, limit: int) -> dict[str, object]:
    """Return the JSON object in a body of UTF-8; beyond ASCII it can only be in strings, where it may be escaped."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise FormatError("the collector's answer is not UTF-8") from None
    plain = re.sub("[^\x00-\x7f]+", lambda found: json.dumps(found[0])[1:-1], text)
    return parse_object(plain.encode("ascii"), what="the collector's answer", max_bytes=limit)


def _plain(text: object) -> str:
    """Return foreign text without control characters, at most 500 characters."""
    return "".join(c for c in text if c.isprintable())[:500] if isinstance(text, str) else ""
