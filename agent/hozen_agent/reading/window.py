"""The span of time that a capture is asked for: which files of a kind that grows over time lie outside it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hozen_config.quantities import parse_duration
from hozen_hashes.errors import FormatError, UsageError
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from hozen_agent.items import FileStat

_RELATIVE = re.compile(r"[0-9]{1,6}\s?(?:s|min|m|h|d)", re.ASCII)
_SECOND = 10**9
# What these call changed of late is what changed within the window; they leave out no file because of it.
MARKED = ("executables", "filesystem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `since` to `until`, nanoseconds since 1970 (UTC); None where it is open.

    A file is a stretch of time from its making to its last change: it is outside when that stretch is. A log that was
    rotated within the window is therefore kept whole, and so is one whose time of making the file system does not know.
    """

    since: int | None = None
    until: int | None = None

    def outside(self, stat: FileStat) -> str:
        """Return why the file lies outside, or an empty string."""
        if self.since is not None and stat.mtime < self.since:
            return f"last changed {_shown(stat.mtime)}, before the window"
        if self.until is not None and stat.btime is not None and stat.btime > self.until:
            return f"made {_shown(stat.btime)}, after the window"
        return ""

    def as_json(self) -> dict[str, object]:
        """Return the `window` value of plan.json."""
        return {
            "since": None if self.since is None else rfc3339(self.since),
            "until": None if self.until is None else rfc3339(self.until),
        }


def since(window: Window | None, usual: int, *, now: int) -> int:
    """Return the moment (ns) after which a change is recent: the window's, or `usual` seconds before its end or now."""
    if window is not None and window.since is not None:
        return window.since
    end = now if window is None or window.until is None else window.until
    return max(0, end - usual * _SECOND)


def parse_window(since: str | None, until: str | None, *, now: int | None = None) -> Window | None:
    """Return the window that the options ask for, None without any; `7d` counts back from now.

    Raises:
        UsageError: no time, a time without a zone, or an end before the beginning.
    """
    if not since and not until:
        return None
    moment = time.time_ns() if now is None else now
    window = Window(
        since=_moment(since, moment, "--since") if since else None,
        until=_moment(until, moment, "--until") if until else None,
    )
    if window.since is not None and window.until is not None and window.until <= window.since:
        raise UsageError("--until is not after --since", hint="exchange them")
    return window


def _moment(text: str, now: int, option: str) -> int:
    word = text.strip()
    if _RELATIVE.fullmatch(word):
        return max(0, now - int(parse_duration(word) * _SECOND))
    try:
        found = datetime.fromisoformat(word)
    except ValueError:
        raise UsageError(
            f"{option}: {text[:40]!r} is no time", hint="write 7d, or 2026-11-16T00:00:00+09:00"
        ) from None
    if found.tzinfo is None:
        raise UsageError(
            f"{option}: {text[:40]!r} has no time zone",
            hint="write it as 2026-11-16T00:00:00+09:00, or with Z for UTC",
        )
    return round(found.timestamp() * 1000) * 1_000_000


def _shown(moment: int) -> str:
    try:
        return f"{rfc3339(moment)[:19]}Z"
    except FormatError:
        return "at a time that is none"
