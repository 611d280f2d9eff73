"""Histories and bookmarks of web browsers; their stores of passwords, cookies and sessions are withheld."""

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
    name="browser_histories",
    rank=72,
    personal="sensitive",
    en="Pages visited and files downloaded with web browsers, as these wrote it down: shows what was opened under an "
    "account; not who sat there, and private windows and cleared histories leave nothing.",
    ja="ウェブブラウザーの閲覧・ダウンロード履歴。あるアカウントで開かれたものを示す。誰が操作したかは示さず、"
    "プライベートウィンドウ及び消去された履歴は残らない。",
    reads=definitions.own("HozenBrowserHistories"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every history that exists, raw with its write-ahead log."""
    yield from files.capture(
        ctx,
        artifact="browser_histories",
        definition="HozenBrowserHistories",
        personal="sensitive",
    )
