"""What decides over packets in each network namespace: rule sets, tracked connections, IPsec, traffic control."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

_NAME = "firewall"


@artifact(
    name=_NAME,
    rank=22,
    personal="personal",
    en="Filter rules, tracked connections, IPsec without keys and traffic control of each network namespace at this "
    "moment: proves which rules the kernel held and which flows it tracked; not who set them, nor earlier rules.",
    ja="現時点の、ネットワーク名前空間ごとのフィルタ規則、追跡中の接続、IPsec（鍵を除く）、トラフィック制御。"
    "カーネルが持っていた規則と追跡中の通信を示す。誰が設定したか、以前の規則は示さない。",
    reads=(
        "netlink:netfilter",
        "netlink:xfrm",
        "netlink:route (qdisc, class, filter)",
        "IPT_SO_GET_ENTRIES",
    ),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield for each namespace the dialogue, what could not be had, the records, and the rules as text."""
    from hozen_agent.net.firewallrecords import further, parse
    from hozen_agent.net.netasks import FIREWALL
    from hozen_agent.net.netattempts import namespace
    from hozen_agent.net.netspaces import Spaces

    refused: set[str] = set()
    for space in Spaces(ctx.sweep, ctx.proc).by_inode.values() or (None,):
        yield from namespace(
            ctx, _NAME, space, FIREWALL, parse=parse, extra=("xtables",), refused=refused,
            more=partial(further, _NAME, space),
        )  # fmt: skip
