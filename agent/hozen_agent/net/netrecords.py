"""rtnetlink replies as records: links, addresses, routes, rules, neighbours and more (linux/rtnetlink.h)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hozen_agent.net import genericrecords, netlinks
from hozen_agent.net.netlink import attribute_list, attributes, messages
from hozen_agent.net.netvalues import i32, ip, mac, text, u16, u32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_agent.net.netasks import Ask
    from hozen_agent.net.netvalues import Attributes, Fields

_FAMILIES = {
    2: "inet",
    10: "inet6",
    7: "bridge",
    17: "packet",
    28: "mpls",
    128: "ipmr",
    129: "ip6mr",
}
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_TABLES = {0: "unspecified", 253: "default", 254: "main", 255: "local"}
_ROUTES = (
    "unspecified", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit",
    "throw", "nat", "xresolve",
)  # fmt: skip
_PROTOCOLS = {
    0: "unspecified", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 16: "dhcp", 186: "bgp",
    187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}  # fmt: skip
_STATES = {
    0x01: "incomplete", 0x02: "reachable", 0x04: "stale", 0x08: "delay", 0x10: "probe", 0x20: "failed",
    0x40: "noarp", 0x80: "permanent",
}  # fmt: skip
_LINK_FLAGS = (
    "up", "broadcast", "debug", "loopback", "pointopoint", "notrailers", "running", "noarp", "promisc", "allmulti",
    "master", "slave", "multicast", "portsel", "automedia", "dynamic", "lower_up", "dormant", "echo",
)  # fmt: skip
_OPERSTATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
_ACTIONS = {1: "to_table", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}


def records(ask: Ask, answers: Iterable[bytes], parsers: Parsers | None = None) -> Iterator[Fields]:
    """Yield one record a message; a message too short for its fixed part becomes `unparsed`.

    Args:
        ask: the question.
        answers: the kernel's datagrams; any bytes will do.
        parsers: by the question's name, those of this module unless given.
    """
    parse = (PARSERS if parsers is None else parsers)[ask.name]
    for datagram in answers:
        for kind, _, payload in messages(datagram):
            if kind != ask.reply and (ask.reply >= 0 or kind < 16):  # noqa: PLR2004 - control messages
                continue
            if len(payload) < ask.fixed:
                yield {"kind": ask.name, "unparsed": payload.hex()}
                continue
            yield {
                "kind": ask.name,
                **parse(payload[: ask.fixed], attributes(payload[ask.fixed :])),
            }


def _link(fixed: bytes, found: Attributes) -> Fields:
    _, hardware, index, flags, _ = struct.unpack_from("=BxHiII", fixed)
    state = found.get(16, b"\xff")[0]
    details = attributes(found.get(18, b""))
    return {
        "index": index,
        "name": text(found.get(3)),
        "alias": text(found.get(20)),
        "hardware": hardware,
        "address": mac(found.get(1)),
        "broadcast": mac(found.get(2)),
        "permanent_address": mac(found.get(54)),
        "mtu": u32(found.get(4)),
        "state": _OPERSTATES[state] if state < len(_OPERSTATES) else None,
        "flags": [name for bit, name in enumerate(_LINK_FLAGS) if flags >> bit & 1],
        "promiscuity": u32(found.get(30)),
        "driver_kind": text(details.get(1)),
        "link": u32(found.get(5)),
        "master": u32(found.get(10)),
        "link_netns": u32(found.get(37)),
        "group": u32(found.get(27)),
        **netlinks.link_details(found),
    }


def _address(fixed: bytes, found: Attributes) -> Fields:
    family, prefix, flags, scope, index = struct.unpack_from("=BBBBI", fixed)
    return {
        "index": index,
        "family": _FAMILIES.get(family, str(family)),
        "address": ip(found.get(2) or found.get(1)),
        "peer": ip(found.get(1)) if found.get(2) not in {None, found.get(1)} else None,
        "prefix": prefix,
        "broadcast": ip(found.get(4)),
        "label": text(found.get(3)),
        "scope": _SCOPES.get(scope, str(scope)),
        "flags": f"0x{u32(found.get(8)) or flags:x}",
    }


def _route(fixed: bytes, found: Attributes) -> Fields:
    family, to, source, tos, table, protocol, scope, kind, flags = struct.unpack_from(
        "=BBBBBBBBI", fixed
    )
    number = u32(found.get(15))
    number = table if number is None else number
    return {
        "family": _FAMILIES.get(family, str(family)),
        "destination": _network(found.get(1), to, family),
        "source": _network(found.get(2), source, family) if source else None,
        "gateway": ip(found.get(5)) or _via(found.get(18)),
        "preferred_source": ip(found.get(7)),
        "interface": u32(found.get(4)),
        "in_interface": u32(found.get(3)),
        "metric": u32(found.get(6)),
        "table": _TABLES.get(number, str(number)),
        "protocol": _PROTOCOLS.get(protocol, str(protocol)),
        "scope": _SCOPES.get(scope, str(scope)),
        "type": _ROUTES[kind] if kind < len(_ROUTES) else str(kind),
        "tos": tos,
        "flags": f"0x{flags:x}",
        "multipath": list(_hops(found.get(9, b""))),
        "nexthop": u32(found.get(30)),
        "encapsulation": u16(found.get(21)),
    }


def _rule(fixed: bytes, found: Attributes) -> Fields:
    family, to, source, tos, table, _, _, action, flags = struct.unpack_from("=BBBBBBBBI", fixed)
    number = u32(found.get(15))
    number = table if number is None else number
    return {
        "family": _FAMILIES.get(family, str(family)),
        "priority": u32(found.get(6)) or 0,
        "source": _network(found.get(2), source, family) if source else None,
        "destination": _network(found.get(1), to, family) if to else None,
        "in_interface": text(found.get(3)),
        "out_interface": text(found.get(17)),
        "mark": u32(found.get(10)),
        "mask": u32(found.get(16)),
        "table": _TABLES.get(number, str(number)),
        "action": _ACTIONS.get(action, str(action)),
        "tos": tos,
        "flags": f"0x{flags:x}",
    }


def _neighbour(fixed: bytes, found: Attributes) -> Fields:
    family, index, state, flags, kind = struct.unpack_from("=BxxxiHBB", fixed)
    return {
        "family": _FAMILIES.get(family, str(family)),
        "interface": index,
        "address": ip(found.get(1)),
        "link_address": mac(found.get(2)),
        "state": [name for bit, name in _STATES.items() if state & bit],
        "flags": f"0x{flags:x}",
        "type": _ROUTES[kind] if kind < len(_ROUTES) else str(kind),
    }


def _hops(raw: bytes) -> Iterator[Fields]:
    at = 0
    while at + 8 <= len(raw):
        length, flags, weight, index = struct.unpack_from("=HBBi", raw, at)
        if length < 8 or at + length > len(raw):  # noqa: PLR2004 - struct rtnexthop
            return
        found = attributes(raw[at + 8 : at + length])
        yield {
            "gateway": ip(found.get(5)) or _via(found.get(18)),
            "interface": index,
            "weight": weight + 1,
            "flags": f"0x{flags:x}",
        }
        at += (length + 3) & ~3


def _via(raw: bytes | None) -> str | None:
    return ip(raw[2:]) if raw and len(raw) > 2 else None  # noqa: PLR2004 - struct rtvia


def _network(raw: bytes | None, prefix: int, family: int) -> str:
    if raw is None:
        return {2: "0.0.0.0/0", 10: "::/0"}.get(family, "default") if not prefix else f"?/{prefix}"
    return f"{ip(raw)}/{prefix}"


def _proxy(fixed: bytes, found: Attributes) -> Fields:
    return {**_neighbour(fixed, found), "proxy": True}


def _forwarding_entry(fixed: bytes, found: Attributes) -> Fields:
    """An address that a bridge or VXLAN has learnt or was told."""
    return {
        **_neighbour(fixed, found),
        "vlan": u16(found.get(5)),
        "master": u32(found.get(9)),
        "remote": ip(found.get(1)),
        "network_id": u32(found.get(7)),
    }


def _multicast_entry(fixed: bytes, found: Attributes) -> Fields:
    """Groups that ports of a bridge have joined (linux/if_bridge.h, struct br_mdb_entry)."""
    groups = []
    for _, entry in attribute_list(found.get(1, b"")):
        for _, raw in attribute_list(entry):
            if len(raw) >= 28:  # noqa: PLR2004
                index, vlan, address, protocol = struct.unpack_from("=IxxH16s2s", raw)
                size = {b"\x08\x00": 4, b"\x86\xdd": 16}.get(protocol, 6)
                group = ip(address[:size]) if size != 6 else mac(address[:6])  # noqa: PLR2004
                groups.append({"interface": index, "vlan": vlan, "group": group})
    return {"interface": struct.unpack_from("=4xI", fixed)[0], "groups": groups}


def _nexthop(fixed: bytes, found: Attributes) -> Fields:
    family, scope, protocol, flags = struct.unpack_from("=BBBxI", fixed)
    members = found.get(2, b"")
    return {
        "id": u32(found.get(1)),
        "family": _FAMILIES.get(family, str(family)),
        "gateway": ip(found.get(6)),
        "interface": u32(found.get(5)),
        "blackhole": found.get(4) is not None,
        "members": [n for n, _, _ in struct.iter_unpack("=IB3s", members[: len(members) // 8 * 8])],
        "protocol": _PROTOCOLS.get(protocol, str(protocol)),
        "scope": _SCOPES.get(scope, str(scope)),
        "flags": f"0x{flags:x}",
    }


def _namespace_id(_fixed: bytes, found: Attributes) -> Fields:
    """By which number this namespace knows another one (`link_netns` of a link)."""
    return {"id": i32(found.get(1))}


def _configuration(fixed: bytes, found: Attributes) -> Fields:
    """Forwarding and filters of an interface; `interface` -1 stands for all, -2 for new ones (linux/netconf.h)."""
    return {
        "family": _FAMILIES.get(fixed[0], str(fixed[0])),
        "interface": i32(found.get(1)),
        "forwarding": i32(found.get(2)),
        "reverse_path_filter": i32(found.get(3)),
        "multicast_forwarding": i32(found.get(4)),
        "proxy_neighbour": i32(found.get(5)),
    }


Parsers = Mapping[str, "Callable[[bytes, Attributes], Fields]"]
PARSERS: Parsers = {
    "link": _link,
    "address": _address,
    "route": _route,
    "rule": _rule,
    "neighbour": _neighbour,
    "proxy_neighbour": _proxy,
    "bridge_port": netlinks.bridge_port,
    "forwarding_entry": _forwarding_entry,
    "multicast_entry": _multicast_entry,
    "nexthop": _nexthop,
    "namespace_id": _namespace_id,
    "configuration": _configuration,
    **genericrecords.PARSERS,
}
