"""The collector's time: nanoseconds since 1970 UTC, and its text forms."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime

SECOND = 10**9


def now_ns() -> int:
    """Give the time in nanoseconds since 1970 UTC."""
    return time.time_ns()


def seconds_text(ns: int) -> str:
    """Give RFC 3339 UTC with whole seconds, as receipts have it."""
    return datetime.fromtimestamp(ns // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def http_date(ns: int) -> str:
    """Give the form that HTTP headers have (RFC 9110 §5.6.7)."""
    return format_datetime(datetime.fromtimestamp(ns // SECOND, UTC), usegmt=True)
