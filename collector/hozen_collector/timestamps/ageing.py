"""When a stamp is to be renewed: before its authority's certificate ends, or an algorithm it rests on (RFC 4998 §5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hozen_collector.certificates import nanoseconds
from hozen_collector.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509

    from hozen_config.timestamps import TimestampSettings
    from hozen_hashes.timestamp import Token

_SIGNED_WITH: Final = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_SIZES: Final = (4096, 3072, 2048)
HASHES: Final = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ageing:
    """The days of the settings, in nanoseconds since 1970; `renew_before` is a span in nanoseconds."""

    ends: Mapping[str, int] = field(default_factory=dict)
    renew_before: int = 90 * 86_400 * SECOND

    def end(self, certificate_ends: int, algorithms: str) -> int:
        """Give when a stamp ends: with the certificate, or with the first of its algorithms that has a day."""
        days = [self.ends[word] for word in algorithms.split() if word in self.ends]
        return min([certificate_ends, *days])

    def renew_at(self, certificate_ends: int, algorithms: str) -> int:
        """Give when a stamp is to be renewed."""
        return self.end(certificate_ends, algorithms) - self.renew_before

    def hash_for(self, now: int) -> str:
        """Give the first hash that does not end within `renew_before`; the strongest when all do."""
        limit = now + self.renew_before
        good = [name for name in HASHES if self.ends.get(name, limit + 1) > limit]
        return good[0] if good else HASHES[-1]


def read_ageing(settings: TimestampSettings) -> Ageing:
    """Give the settings' days; of two for one algorithm the earlier."""
    ends: dict[str, int] = {}
    for one in settings.ageing:
        day = nanoseconds(datetime.fromisoformat(one.ends).replace(tzinfo=UTC))
        ends[one.algorithm] = min(day, ends.get(one.algorithm, day))
    return Ageing(ends=ends, renew_before=settings.renew_before * SECOND)


def algorithms_of(token: Token) -> str:
    """Give the words, with blanks between, of what a stamp rests on: imprint, signature's hash, authority's key."""
    signed = {one.dotted_string for one in token.response.signed_data.digest_algorithms}
    words = {token.algorithm, *(_SIGNED_WITH[one] for one in signed if one in _SIGNED_WITH)}
    key = _key(token.signer)
    return " ".join(sorted(words | ({key} if key else set())))


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ec-{key.curve.key_size}"
    if isinstance(key, rsa.RSAPublicKey):
        # A key of an odd size is as good as the named size below it, never better.
        return f"rsa-{next((size for size in _SIZES if key.key_size >= size), _SIZES[-1])}"
    return ""
