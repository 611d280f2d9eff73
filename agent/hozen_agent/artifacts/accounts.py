"""Accounts, groups and who may act as somebody else; no password hash leaves the reading process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hozen_agent import definitions, files, withheld
from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

_NAME: Final = "accounts"
_HASH: Final = "password_hash"
# Old systems kept hashes here, and some still do for one account; looked at before it is stored.
_CHECKED: Final = (b"/etc/passwd", b"/etc/group", b"/etc/passwd-", b"/etc/group-")
_EXPECTED: Final = (b"/etc/shadow", b"/etc/sudoers")
_AGING: Final = b"/etc/shadow"


@artifact(
    name=_NAME,
    rank=63,
    personal="personal",
    en=(
        "Account files show which accounts, groups and privileges exist now and when a "
        "password was last changed; they do not show who used an account. Password hashes are"
        " not copied."
    ),
    ja=(
        "アカウント、グループ及び権限の現在の設定と、パスワードの最終変更日を示します。誰がアカウントを使った"
        "かは示しません。パスワードハッシュは複製しません。"
    ),
    reads=(*(path.decode() for path in (*_CHECKED, *_EXPECTED)), *definitions.own("HozenAccounts")),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield account files, hashes left out, and what shadow says of the age of passwords."""
    for path in _CHECKED:
        yield from _without_hashes(ctx, path)
    yield from files.capture(
        ctx,
        artifact=_NAME,
        definition="HozenAccounts",
        personal="personal",
        expected=_EXPECTED,
    )
    yield from ctx.files([_request(_AGING, secret=withheld.AGING)])


def _request(path: bytes, *, secret: str = "") -> FileRequest:
    return FileRequest(
        artifact=_NAME, path=path, ext="txt", max_bytes=files.PASSWD_MAX, withheld=secret
    )


def _without_hashes(ctx: Context, path: bytes) -> Iterator[Attempt]:
    """Yield the file as it is when its second field holds no hash, else its existence and the rest of it."""
    for attempt in ctx.files([_request(path)]):
        if attempt.data is None or attempt.kind != "file":
            yield attempt
            continue
        data, failure = files.whole(attempt)
        if withheld.holds_hash(data):
            yield from ctx.files(
                [_request(path, secret=_HASH), _request(path, secret=withheld.AGING)]
            )
        else:
            yield replace(attempt, data=files.again(data, failure))
