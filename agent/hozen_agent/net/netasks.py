"""What is asked of the kernel in each network namespace, and how one answer leads to the next question.

The same names travel to the reading process, back with its answers, and into the records (`kind`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.net.netlink import GENERIC, NETFILTER, ROUTE, XFRM, attributes, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Body = tuple[int, bytes]

_INGRESS: Final = 0xFFFF_0000
MOST_BODIES: Final = 4096  # questions that one answer may lead to


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One table of the kernel.

    Attributes:
        name: as in `netlink:route`.
        protocol: of the netlink socket.
        request: message type; for a generic family 0, its number is learnt.
        reply: message type of the answers, -1 for any above 15.
        body: what follows the header of the request.
        fixed: bytes before the attributes in each reply.
        modules: any one of them answers; see `netguard`.
        bodies: makes the questions from what was learnt before; without it `body` is the one question.
    """

    name: str
    protocol: int
    request: int
    reply: int
    body: bytes
    fixed: int
    modules: tuple[str, ...] = ()
    bodies: Callable[[Learnt], Iterator[Body]] | None = None


class Learnt:
    """What the answers so far hold that later questions need; bounded, first come first kept."""

    __slots__ = ("families", "links", "qdiscs", "sets", "wifi")

    def __init__(self) -> None:
        self.families: dict[bytes, int] = {}
        self.links: dict[int, bytes] = {}
        self.qdiscs: dict[tuple[int, int], None] = {}
        self.sets: dict[tuple[int, bytes, bytes], None] = {}
        self.wifi: dict[int, None] = {}

    def learn(self, ask: Ask, datagram: bytes) -> None:
        """Take from an answer what other questions need."""
        take = _LEARN.get(ask.name)
        if take is None:
            return
        for kind, _, payload in messages(datagram):
            if len(payload) >= ask.fixed and kind > 15:  # noqa: PLR2004 - below are control messages
                take(self, payload[: ask.fixed], attributes(payload[ask.fixed :]))

    def questions(self, ask: Ask) -> Iterator[Body]:
        """Yield (message type, body) of each question."""
        if ask.bodies is None:
            yield ask.request, ask.body
            return
        for number, question in enumerate(ask.bodies(self)):
            if number == MOST_BODIES:
                return
            yield question


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _learn_link(learnt: Learnt, fixed: bytes, found: dict[int, bytes]) -> None:
    if len(learnt.links) < MOST_BODIES:
        kind = attributes(found.get(18, b"")).get(1, b"").rstrip(b"\0")
        learnt.links[struct.unpack_from("=4xi", fixed)[0]] = kind


def _learn_qdisc(learnt: Learnt, fixed: bytes, found: dict[int, bytes]) -> None:
    index, handle = struct.unpack_from("=4xiI", fixed)
    parents = [handle]
    if handle == _INGRESS:  # clsact and ingress: filters hang on their two hooks
        parents = [0xFFFF_FFF2, 0xFFFF_FFF3, handle]
    for parent in parents if found else ():
        if len(learnt.qdiscs) < MOST_BODIES:
            learnt.qdiscs[index, parent] = None


def _learn_family(learnt: Learnt, _fixed: bytes, found: dict[int, bytes]) -> None:
    number = found.get(1, b"")
    if len(number) == 2:  # noqa: PLR2004 - u16
        learnt.families[found.get(2, b"").rstrip(b"\0")] = struct.unpack("=H", number)[0]


def _learn_set(learnt: Learnt, fixed: bytes, found: dict[int, bytes]) -> None:
    if len(learnt.sets) < MOST_BODIES:
        learnt.sets[fixed[0], found.get(1, b""), found.get(2, b"")] = None


def _learn_wifi(learnt: Learnt, _fixed: bytes, found: dict[int, bytes]) -> None:
    index = found.get(3, b"")
    if len(index) == 4 and len(learnt.wifi) < MOST_BODIES:  # noqa: PLR2004 - u32
        learnt.wifi[struct.unpack("=I", index)[0]] = None


def _classes(learnt: Learnt) -> Iterator[Body]:
    for index in dict.fromkeys(index for index, _ in learnt.qdiscs):
        yield 42, struct.pack("=4xiIII", index, 0, 0, 0)


def _filters(learnt: Learnt) -> Iterator[Body]:
    for index, parent in learnt.qdiscs:
        yield 46, struct.pack("=4xiIII", index, 0, parent, 0)


def _elements(learnt: Learnt) -> Iterator[Body]:
    for family, table, name in learnt.sets:
        body = bytes((family, 0, 0, 0)) + _attribute(1, table) + _attribute(2, name)
        yield 10 << 8 | 13, body


def _wireguard(learnt: Learnt) -> Iterator[Body]:
    family = learnt.families.get(b"wireguard")
    for index, kind in learnt.links.items() if family else ():
        if kind == b"wireguard":
            yield family or 0, b"\x00\x01\0\0" + _attribute(1, struct.pack("=I", index))


def _wifi_interfaces(learnt: Learnt) -> Iterator[Body]:
    family = learnt.families.get(b"nl80211")
    if family:
        yield family, b"\x05\x01\0\0"


def _wifi_stations(learnt: Learnt) -> Iterator[Body]:
    for index in learnt.wifi:
        yield learnt.families[b"nl80211"], b"\x11\x01\0\0" + _attribute(3, struct.pack("=I", index))


def _wifi_networks(learnt: Learnt) -> Iterator[Body]:
    """Networks that the last scan of the host itself found; asking starts none."""
    for index in learnt.wifi:
        yield learnt.families[b"nl80211"], b"\x20\x01\0\0" + _attribute(3, struct.pack("=I", index))


def _hooks(learnt: Learnt) -> Iterator[Body]:
    """Functions on each netfilter hook; those of a network device are asked with its index as `dev` is unknown."""
    del learnt
    for family, count in ((2, 5), (10, 5), (3, 3), (7, 5)):
        for number in range(count):
            yield 12 << 8, bytes((family, 0, 0, 0)) + _attribute(2, struct.pack(">I", number))


_LEARN: Final[dict[str, Callable[[Learnt, bytes, dict[int, bytes]], None]]] = {
    "link": _learn_link,
    "qdisc": _learn_qdisc,
    "generic_family": _learn_family,
    "nft_set": _learn_set,
    "wifi_interface": _learn_wifi,
}


def _route(name: str, get: int, body: bytes, fixed: int) -> Ask:
    return Ask(name=name, protocol=ROUTE, request=get, reply=get - 2, body=body, fixed=fixed)


def _nft(name: str, get: int, new: int, modules: tuple[str, ...] = ("nf_tables",)) -> Ask:
    return Ask(
        name=name, protocol=NETFILTER, request=10 << 8 | get, reply=10 << 8 | new, body=bytes(4), fixed=4,
        modules=modules,
    )  # fmt: skip


def _generic(name: str, bodies: Callable[[Learnt], Iterator[Body]]) -> Ask:
    return Ask(name=name, protocol=GENERIC, request=0, reply=-1, body=b"", fixed=4, bodies=bodies)


# linux/rtnetlink.h, if_bridge.h, nexthop.h, netconf.h: every family, unless the name says otherwise.
INTERFACES: Final = (
    _route("link", 18, bytes(16), 16),
    _route("bridge_port", 18, b"\x07" + bytes(15) + _attribute(29, struct.pack("=I", 4)), 16),
    _route("address", 22, bytes(8), 8),
    _route("route", 26, bytes(12), 12),
    _route("rule", 34, bytes(12), 12),
    _route("neighbour", 30, bytes(12), 12),
    _route("proxy_neighbour", 30, bytes(10) + b"\x08\0", 12),
    _route("forwarding_entry", 30, b"\x07" + bytes(11), 12),
    _route("multicast_entry", 86, b"\x07" + bytes(7), 8),
    _route("nexthop", 106, bytes(8), 8),
    _route("namespace_id", 90, bytes(1), 4),
    _route("configuration", 82, bytes(1), 4),
    Ask(name="generic_family", protocol=GENERIC, request=16, reply=16, body=b"\x03\x02\0\0", fixed=4),
    _generic("wireguard", _wireguard),
    _generic("wifi_interface", _wifi_interfaces),
    _generic("wifi_station", _wifi_stations),
    _generic("wifi_network", _wifi_networks),
)  # fmt: skip

# linux/netfilter/nf_tables.h, nfnetlink_conntrack.h, nfnetlink_hook.h, ipset/ip_set.h, linux/xfrm.h, pkt_sched.h
FIREWALL: Final = (
    _nft("nft_table", 1, 0),
    _nft("nft_chain", 4, 3),
    _nft("nft_rule", 7, 6),
    _nft("nft_set", 10, 9),
    Ask(
        name="nft_element", protocol=NETFILTER, request=10 << 8 | 13, reply=10 << 8 | 12, body=b"", fixed=4,
        modules=("nf_tables",), bodies=_elements,
    ),
    _nft("nft_object", 19, 18),
    _nft("nft_flowtable", 23, 22),
    Ask(
        name="netfilter_hook", protocol=NETFILTER, request=12 << 8, reply=12 << 8, body=b"", fixed=4,
        modules=("nfnetlink_hook",), bodies=_hooks,
    ),
    Ask(
        name="ipset", protocol=NETFILTER, request=6 << 8 | 7, reply=6 << 8 | 7, body=bytes(4) + _attribute(1, b"\x06"),
        fixed=4, modules=("ip_set",),
    ),
    Ask(
        name="conntrack", protocol=NETFILTER, request=1 << 8 | 1, reply=1 << 8, body=bytes(4), fixed=4,
        modules=("nf_conntrack_netlink",),
    ),
    Ask(
        name="expectation", protocol=NETFILTER, request=2 << 8 | 1, reply=2 << 8, body=bytes(4), fixed=4,
        modules=("nf_conntrack_netlink",),
    ),
    Ask(name="xfrm_state", protocol=XFRM, request=0x12, reply=0x10, body=b"", fixed=224),
    Ask(name="xfrm_policy", protocol=XFRM, request=0x15, reply=0x13, body=b"", fixed=168),
    _route("qdisc", 38, bytes(20), 20),
    Ask(name="class", protocol=ROUTE, request=42, reply=40, body=b"", fixed=20, bodies=_classes),
    Ask(name="filter", protocol=ROUTE, request=46, reply=44, body=b"", fixed=20, bodies=_filters),
)  # fmt: skip
# The files that list the tables of iptables that exist in a namespace: only those are asked for.
XTABLES: Final = {
    "iptables": b"ip_tables_names",
    "ip6tables": b"ip6_tables_names",
    "arptables": b"arp_tables_names",
}
ASKS: Final = {ask.name: ask for ask in (*INTERFACES, *FIREWALL)}
