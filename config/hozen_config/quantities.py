"""Sizes, durations and shares as people write them: `4GiB`, `24h`, `5%`."""

from __future__ import annotations

import re

SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
         "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}  # fmt: skip
DURATIONS = {"ms": 0.001, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}
_NUMBER = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,3}))?\s?([A-Za-z%]*)", re.ASCII)
_SIZE_LIMIT = 1 << 60
_SECONDS_LIMIT = 100 * 366 * 86_400


def parse_size(text: str) -> int:
    """Return bytes; KiB, MiB, GiB, TiB count by 1024 and kB, MB, GB, TB by 1000.

    Raises:
        ValueError: no size, or more than 1 EiB.
    """
    size = int(_times(text, SIZES))
    if size > _SIZE_LIMIT:
        raise ValueError(f"{text!r} is more than 1 EiB")
    return size


def parse_duration(text: str) -> float:
    """Return seconds; units ms, s, min (or m), h, d.

    Raises:
        ValueError: no duration, a number without a unit, or more than 100 years.
    """
    seconds = _times(text, DURATIONS)
    if seconds > _SECONDS_LIMIT:
        raise ValueError(f"{text!r} is more than 100 years")
    return seconds


def parse_share(text: str) -> float:
    """Return a share of one, from `5%`.

    Raises:
        ValueError: no percentage, or more than 100.
    """
    share = _times(text, {"%": 0.01})
    if share > 1:
        raise ValueError(f"{text!r} is more than the whole")
    return share


def _times(text: str, units: dict[str, int] | dict[str, float]) -> float:
    found = _NUMBER.fullmatch(text.strip())
    unit = found[3] if found else ""
    if found is None or unit not in units:
        raise ValueError(
            f"{text[:40]!r} is not a number with one of the units {', '.join(filter(None, units))}"
        )
    if found[2] is None:
        return int(found[1]) * units[unit]
    return float(f"{found[1]}.{found[2]}") * units[unit]


def format_size(size: int) -> str:
    """Return the shortest exact form, in the largest unit of 1024 that divides it."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % SIZES[unit] == 0:
            return f"{size // SIZES[unit]}{unit}"
    return f"{size}B"


def format_duration(seconds: float) -> str:
    """Return the shortest exact form, in the largest unit that divides it."""
    for unit in ("d", "h", "min", "s"):
        if seconds and seconds % DURATIONS[unit] == 0:
            return f"{int(seconds // DURATIONS[unit])}{unit}"
    return f"{seconds:g}s"
