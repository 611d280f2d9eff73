"""What starts by itself: at boot, at login, at a time, on an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.reading import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

_EXPECTED = (b"/etc/ld.so.preload", b"/etc/crontab", b"/etc/rc.local")


@artifact(
    name="persistence",
    rank=65,
    personal="personal",
    en=(
        "These files show what would start by itself at boot, login, a time or an event, and "
        "when they were last changed; they do not show that it ran, nor what a kernel module "
        "or firmware hides."
    ),
    ja=(
        "起動時、ログイン時、定時又はイベント時に自動実行される設定と、その最終変更時刻を示します。実際に実行"
        "されたか、カーネルモジュールやファームウェアが隠すものは示しません。"
    ),
    reads=definitions.own("HozenPersistence"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every file that can start something, and the absence of /etc/ld.so.preload as a finding."""
    yield from files.capture(
        ctx,
        artifact="persistence",
        definition="HozenPersistence",
        personal="personal",
        expected=_EXPECTED,
    )
