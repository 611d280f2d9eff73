"""SSH: who may come in, where people went; of private keys only their existence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest
from hozen_agent.reading import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

_SOCKETS = "HozenAgentSockets"
_EXPECTED = (b"/etc/ssh/sshd_config", b"/root/.ssh/authorized_keys")


@artifact(
    name="ssh_access",
    rank=64,
    personal="personal",
    en=(
        "SSH settings, authorised keys and known hosts show who could come in and where "
        "people connected to; they do not show that a key was used. Private keys are named, "
        "not copied."
    ),
    ja=(
        "SSHの設定、許可鍵及び既知ホストは、誰が接続可能であったか、どこへ接続したかを示します。鍵が使われ"
        "たことは示しません。秘密鍵は存在のみを記録し、複製しません。"
    ),
    reads=(*definitions.own("HozenSshAccess"), *definitions.own(_SOCKETS)),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield settings, keys that are public, the existence of those that are not, and the sockets of key agents."""
    yield from files.capture(
        ctx,
        artifact="ssh_access",
        definition="HozenSshAccess",
        personal="personal",
        expected=_EXPECTED,
    )
    patterns = definitions.expand(definitions.own(_SOCKETS), files.homes(ctx))
    yield from ctx.files(
        FileRequest(artifact="ssh_access", path=path, withheld="agent_socket")
        for path in files.found(ctx, patterns)
    )
