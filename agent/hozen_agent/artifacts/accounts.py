"""Accounts, groups, who may act as somebody else, and where credentials lie; no secret leaves the reading process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest
from hozen_agent.reading import files
from hozen_agent.redaction import withheld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

_NAME: Final = "accounts"
# The reader leaves hashes out of all of these: shadow by its name, passwd and group where a line holds one.
_EXPECTED: Final = (b"/etc/passwd", b"/etc/group", b"/etc/shadow", b"/etc/sudoers")
_SHADOW: Final = b"/etc/shadow"
_STORES: Final = "HozenCredentialStores"


@artifact(
    name=_NAME,
    rank=63,
    personal="personal",
    en=(
        "Account files show which accounts, groups and privileges exist now and when a "
        "password was last changed; they do not show who used an account. Password hashes are"
        " not copied; stores of credentials are named, not copied."
    ),
    ja=(
        "アカウント、グループ及び権限の現在の設定と、パスワードの最終変更日を示します。誰がアカウントを使った"
        "かは示しません。パスワードハッシュは複製しません。認証情報の保存先は存在のみを記録し、複製しません。"
    ),
    reads=(
        *(path.decode() for path in _EXPECTED),
        *definitions.own("HozenAccounts"),
        *definitions.own(_STORES),
    ),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield account files without hashes, the age of passwords from shadow, and the existence of credential stores."""
    yield from files.capture(
        ctx,
        artifact=_NAME,
        definition="HozenAccounts",
        personal="personal",
        expected=_EXPECTED,
    )
    yield from ctx.files(
        [
            FileRequest(
                artifact=_NAME,
                path=_SHADOW,
                personal="personal",
                ext="txt",
                withheld=withheld.AGING,
            )
        ]
    )
    yield from ctx.files(_stores(ctx))


def _stores(ctx: Context) -> Iterator[FileRequest]:
    """Which credentials an intruder could have taken, and so must be changed (law P01: named, never read)."""
    patterns = definitions.expand(definitions.own(_STORES), files.homes(ctx))
    for path in files.found(ctx, patterns):
        yield FileRequest(
            artifact=_NAME, path=path, withheld=withheld.by_name(path) or "credential"
        )
