"""Package databases and histories of dpkg, rpm, apk, pacman."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent import definitions, files
from hozen_agent.artifacts.registry import artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt


@artifact(
    name="packages",
    rank=70,
    personal="none",
    en=(
        "Package databases show what the package managers believe is installed and when that "
        "changed; they do not show that the files are unaltered, nor programs installed in "
        "another way."
    ),
    ja=(
        "パッケージデータベースは、パッケージ管理が把握するインストール内容とその変更時期を示します。ファイル"
        "が改変されていないこと、別の方法で導入されたプログラムは示しません。"
    ),
    reads=definitions.own("HozenPackages"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every package database and history that exists."""
    yield from files.capture(
        ctx,
        artifact="packages",
        definition="HozenPackages",
        personal="none",
    )
