"""Log files, byte for byte: what the system and its services wrote down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent import definitions, files
from hozen_agent.artifacts.registry import artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

_JOURNALS = (b"/var/log/journal/",)


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
    """Yield every log, the newest first, so that a limit costs the oldest; journald files are `systemd_journal`."""
    yield from files.capture(
        ctx,
        artifact="linux_logs",
        definition="HozenLinuxLogs",
        personal="personal",
        newest=True,
        passed_over=_JOURNALS,
    )
