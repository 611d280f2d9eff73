"""Files of systemd-journald, raw: their own format carries more than any export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent import definitions, files
from hozen_agent.artifacts.registry import artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt


@artifact(
    name="systemd_journal",
    rank=61,
    personal="personal",
    en=(
        "Journal files hold the messages of services, kernel and logins with boot, process and "
        "user as journald saw them; they do not hold what was rotated or vacuumed away, and they "
        "are seldom sealed by journald itself."
    ),
    ja=(
        "ジャーナルは、サービス、カーネル及びログインのメッセージを、journaldが見た起動・プロセス・利"
        "用者の情報とともに保持します。journald自身による封印はまれであり、整理された記録は残りません"
        "。"
    ),
    reads=definitions.own("HozenSystemdJournal"),
    needs_root=True,
    over_time=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every journal file, whole and raw."""
    yield from files.capture(
        ctx,
        artifact="systemd_journal",
        definition="HozenSystemdJournal",
        personal="personal",
    )
