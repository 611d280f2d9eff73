"""Which witnesses a collector asks to cosign its log (the section `witnesses` of `collector.yaml`; log-v1 §9)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hozen_config import bind as b
from hozen_hashes.cosignature import parse_witness_vkey
from hozen_hashes.errors import BadDataError

_URL = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]+(?:/[A-Za-z0-9._~/%-]*)?")


def _is_key(text: str) -> bool:
    try:
        parse_witness_vkey(text.encode())
    except BadDataError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWitness:
    """A witness of the log; its name is in its key."""

    url: str = b.key(
        b.text(pattern=_URL.fullmatch, example="https://witness.example/w1"),
        "where it answers; `/add-checkpoint` is added, redirects are not followed, proxies not used",
    )
    key: str = b.key(
        b.text(pattern=_is_key, example="witness.example/w1+6cc06d49+BN…"),
        "its key (vkey line), compared with its card",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """Who is asked, and how long a receipt waits; without witnesses nobody is."""

    ask: tuple[LogWitness, ...] = b.key(
        b.listing(b.section(LogWitness), limit=16), "the witnesses", default=()
    )
    required: int = b.key(
        b.number(1, 16), "how many cosignatures make a receipt complete", default=1
    )
    wait: float = b.key(
        b.duration(low=0, high=30), "longest time that a receipt waits for them", default=2.0
    )
    timeout: float = b.key(
        b.duration(low=0.1, high=120), "time for the whole of one answer", default=10.0
    )
    retry: float = b.key(
        b.duration(low=0.05, high=3600),
        "pause after a witness failed; it doubles with each failure, up to an hour",
        default=5.0,
    )
