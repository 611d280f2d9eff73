"""Log files, byte for byte: what the system and its services wrote down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.reading import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

_JOURNALS = (b"/var/log/journal/",)


# Who logged in never yields to who visited a web site: these first, those last, whatever a limit cuts off.
_FIRST = tuple(
    b"/var/log/" + name
    for name in (
        b"auth.log",
        b"secure",
        b"audit/",
        b"wtmp",
        b"btmp",
        b"lastlog",
        b"faillog",
        b"sudo",
    )
)
_LAST = tuple(
    b"/var/log/" + name + b"/"
    for name in (
        b"nginx",
        b"apache2",
        b"httpd",
        b"lighttpd",
        b"caddy",
        b"haproxy",
        b"squid",
        b"varnish",
    )
)


@artifact(
    name="linux_logs",
    rank=60,
    personal="personal",
    en=(
        "Log files show what the system and its services wrote down and when; they do not "
        "show what was never logged or was removed, and whoever had root could alter them."
    ),
    ja=(
        "ログは、システム及びサービスが何をいつ記録したかを示します。記録されなかったこと及び削除されたことは"
        "示しません。また、root権限を得た者は改変できます。"
    ),
    reads=definitions.own("HozenLinuxLogs"),
    needs_root=True,
    over_time=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every log: logins first, web servers last, the newest first among them; journald has its own artifact."""
    yield from _named(ctx, _patterns(_FIRST))
    yield from files.capture(
        ctx,
        artifact="linux_logs",
        definition="HozenLinuxLogs",
        personal="personal",
        newest=True,
        passed_over=(*_JOURNALS, *_FIRST, *_LAST),
    )
    yield from _named(ctx, _patterns(_LAST))


def _patterns(prefixes: tuple[bytes, ...]) -> list[str]:
    """Return patterns for exactly the paths that begin so."""
    found = []
    for prefix in prefixes:
        text = prefix.decode()
        found += [text + "**"] if text.endswith("/") else [text + "*", text + "*/**"]
    return found


def _named(ctx: Context, patterns: list[str]) -> Iterator[Attempt]:
    yield from files.capture_patterns(
        ctx, artifact="linux_logs", patterns=patterns, personal="personal", newest=True
    )
