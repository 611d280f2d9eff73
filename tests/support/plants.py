"""Secrets that a test plants, and the search for them in every form in which they could leave a host.

Nothing here is shared with the product: it must find what the product's own rules would miss.
"""

from __future__ import annotations

import base64
import json
import random
import string
from dataclasses import dataclass, field
from urllib.parse import quote

ALPHANUMERIC = string.ascii_letters + string.digits
_MARK = "47190263"  # in every secret, so that a search need not look for each one everywhere


@dataclass
class Plants:
    """The secrets of one test.

    Attributes:
        secrets: by a name that says where each was planted.
    """

    seed: int
    secrets: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the secrets the same in every run of the test."""
        self._chance = random.Random(self.seed)

    def new(
        self, name: str, *, alphabet: str = ALPHANUMERIC, length: int = 24, before: str = ""
    ) -> str:
        """Return a new secret; what stands before its random part is no secret."""
        assert name not in self.secrets
        first, last = (length - len(_MARK)) // 2, (length - len(_MARK) + 1) // 2
        parts = ["".join(self._chance.choice(alphabet) for _ in range(n)) for n in (first, last)]
        text = _MARK.join(parts)
        self.secrets[name] = text.encode()
        return before + text

    def found(self, blobs: dict[str, bytes]) -> dict[str, set[str]]:
        """Return for each secret that occurs, in any form, the names of the blobs where it does."""
        marks = forms(_MARK.encode())
        blobs = {n: blob for n, blob in blobs.items() if any(form in blob for form in marks)}
        hits: dict[str, set[str]] = {}
        for name, secret in self.secrets.items():
            for form in forms(secret):
                for place, blob in blobs.items():
                    if form in blob:
                        hits.setdefault(name, set()).add(place)
        return hits


def forms(secret: bytes) -> set[bytes]:
    """Return the secret raw, in base64 at each alignment, hexadecimal, percent-encoded and JSON-escaped."""
    text = secret.decode("utf-8", "surrogateescape")
    percent = {
        quote(secret, safe=keep).encode()
        for keep in ("", "/", "/:@!$&'()*+,;=", string.punctuation)
    }
    every = "".join(f"%{byte:02X}" for byte in secret).encode()
    escaped = json.dumps(text)[1:-1].encode()
    twice = json.dumps(json.dumps(text)[1:-1])[1:-1].encode()
    unicode = "".join(f"\\u{ord(c):04x}" for c in text).encode()
    wide = secret.decode("latin-1").encode("utf-16-le")
    digits = secret.hex().encode()
    return {
        secret, secret[::-1], wide, *percent, every, every.lower(), escaped, twice, unicode, digits, digits.upper(),
        *_base64(secret), *_base64(wide),
    }  # fmt: skip


def _base64(secret: bytes) -> set[bytes]:
    """Return what stays the same of the encoded secret whatever is before and after it."""
    found = set()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret)
        whole = (shift + len(secret)) // 3 * 4
        inner = encoded[-(-shift * 8 // 6) : whole]
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return found
