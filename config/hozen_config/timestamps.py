"""How a collector asks time-stamping authorities (the section `timestamps` of `collector.yaml`; timestamp-v1 §6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from hozen_config import bind as b

_URL = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]+(?:/[A-Za-z0-9._~/%?=&-]*)?")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,9})){1,20}")
_DAY_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOUR = 3600
_DAY = 24 * _HOUR
ALGORITHMS = (
    "sha256", "sha384", "sha512", "rsa-2048", "rsa-3072", "rsa-4096", "ec-256", "ec-384", "ec-521",
)  # fmt: skip


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY_TEXT.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampAuthority:
    """A time-stamping authority that the collector asks (RFC 3161 over HTTP)."""

    name: str = b.key(
        b.text(limit=40, pattern=_NAME.fullmatch, example="example-tsa"),
        "short name, part of the names of its stamps; keep it for as long as the authority is the same",
    )
    url: str = b.key(
        b.text(pattern=_URL.fullmatch, example="https://tsa.example/tsr"),
        "where it answers; redirects are not followed, proxies not used",
    )
    roots: tuple[str, ...] = b.key(
        b.listing(b.text(), limit=20),
        "files with its root certificates (PEM); a reply under none of them is refused",
    )
    policy: str | None = b.key(
        b.text(pattern=_OID.fullmatch, example="1.2.3.4.1"),
        "policy that is asked for, and must be in the reply",
        default=None,
    )
    tls_roots: str | None = b.key(
        b.text(),
        "file with the roots (PEM) that its https server is trusted by, instead of the system's",
        default=None,
    )
    timeout: float = b.key(
        b.duration(low=0.1, high=600), "time for the whole of one answer", default=20.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeingAlgorithm:
    """An algorithm that is no longer relied on from a day on."""

    algorithm: str = b.key(
        b.choice(*ALGORITHMS), "hash of a stamp's imprint or signature, or key of its authority"
    )
    ends: str = b.key(
        b.text(pattern=_is_day, example="2031-01-01"), "first day (UTC) without reliance on it"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampSettings:
    """What is stamped, by whom, and when; without authorities there are no time stamps."""

    authorities: tuple[TimestampAuthority, ...] = b.key(
        b.listing(b.section(TimestampAuthority), limit=16),
        "who is asked; each of them stamps every machine seal and the log",
        default=(),
    )
    tiers: str | None = b.key(
        b.text(),
        "file with the dated list of what kind of authority each one is (hozen-tsa-list/1)",
        default=None,
    )
    checkpoint_every: int = b.key(
        b.duration(low=1),
        "least time from one stamp over the log to the next by the same authority",
        default=_HOUR,
    )
    renew_before: int = b.key(
        b.duration(low=1),
        "time before an authority's certificate or an algorithm ends at which stamps are renewed",
        default=90 * _DAY,
    )
    ageing: tuple[AgeingAlgorithm, ...] = b.key(
        b.listing(b.section(AgeingAlgorithm), limit=20),
        "algorithms with the day from which they are not relied on",
        default=(),
    )
    skew: int = b.key(
        b.duration(low=1, high=_DAY),
        "most that an authority's time may lie outside question and answer by the collector's clock",
        default=300,
    )
    retry: float = b.key(
        b.duration(low=0.05, high=_HOUR),
        "pause after an authority failed; it doubles with each failure, up to 6 hours",
        default=30.0,
    )
