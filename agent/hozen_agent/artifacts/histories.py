"""Histories of shells, interpreters, database clients, pagers and editors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.reading import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt


@artifact(
    name="shell_histories",
    rank=62,
    personal="personal",
    en=(
        "Histories show commands typed under an account, often without times; they do not "
        "prove who typed them, that they ran, or that nothing else was typed."
    ),
    ja=(
        "履歴は、あるアカウントで入力されたコマンドを示します（時刻がないことが多い）。誰が入力したか、実行さ"
        "れたか、他に入力がなかったかは証明しません。"
    ),
    reads=definitions.own("HozenShellHistories"),
    needs_root=True,
    over_time=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every history file of every home in passwd, /home and /root."""
    yield from files.capture(
        ctx,
        artifact="shell_histories",
        definition="HozenShellHistories",
        personal="personal",
    )
