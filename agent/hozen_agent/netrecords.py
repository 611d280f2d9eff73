"""rtnetlink replies as records: links, addresses, routes, rules, neighbours (linux/rtnetlink.h, if_link.h)."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

from hozen_agent.netlink import attributes, messages
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.netlink import Dump

    Fields = dict[str, object]
    Attributes = dict[int, bytes]

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


def records(table: Dump, raw: bytes) -> Iterator[Fields]:
    """Yield one record a message; a message too short for its fixed part becomes `unparsed`."""
    parse = _PARSERS[table.name]
    for kind, _, payload in messages(raw):
        # A reply's type is one of the three before the request's: RTM_NEW… = RTM_GET… - 2.
        if kind != table.request - 2:
            continue
        if len(payload) < table.fixed:
            yield {"kind": table.name, "unparsed": payload.hex()}
            continue
        yield {"kind": table.name, **parse(payload, attributes(payload[table.fixed :]))}


def _link(fixed: bytes, found: Attributes) -> Fields:
    _, hardware, index, flags, _ = struct.unpack_from("=BxHiII", fixed)
    state = found.get(16, b"\xff")[0]
    details = attributes(found.get(18, b""))
    return {
        "index": index,
        "name": _text(found.get(3)),
        "alias": _text(found.get(20)),
        "hardware": hardware,
        "address": _mac(found.get(1)),
        "broadcast": _mac(found.get(2)),
        "permanent_address": _mac(found.get(54)),
        "mtu": _u32(found.get(4)),
        "state": _OPERSTATES[state] if state < len(_OPERSTATES) else None,
        "flags": [name for bit, name in enumerate(_LINK_FLAGS) if flags >> bit & 1],
        "promiscuity": _u32(found.get(30)),
        "driver_kind": _text(details.get(1)),
        "link": _u32(found.get(5)),
        "master": _u32(found.get(10)),
        "link_netns": _u32(found.get(37)),
        "group": _u32(found.get(27)),
    }


def _address(fixed: bytes, found: Attributes) -> Fields:
    family, prefix, flags, scope, index = struct.unpack_from("=BBBBI", fixed)
    return {
        "index": index,
        "family": _FAMILIES.get(family, str(family)),
        "address": _ip(found.get(2) or found.get(1)),
        "peer": _ip(found.get(1)) if found.get(2) not in {None, found.get(1)} else None,
        "prefix": prefix,
        "broadcast": _ip(found.get(4)),
        "label": _text(found.get(3)),
        "scope": _SCOPES.get(scope, str(scope)),
        "flags": f"0x{_u32(found.get(8)) or flags:x}",
    }


def _route(fixed: bytes, found: Attributes) -> Fields:
    family, to, source, tos, table, protocol, scope, kind, flags = struct.unpack_from(
        "=BBBBBBBBI", fixed
    )
    number = _u32(found.get(15))
    number = table if number is None else number
    return {
        "family": _FAMILIES.get(family, str(family)),
        "destination": _network(found.get(1), to, family),
        "source": _network(found.get(2), source, family) if source else None,
        "gateway": _ip(found.get(5)) or _via(found.get(18)),
        "preferred_source": _ip(found.get(7)),
        "interface": _u32(found.get(4)),
        "in_interface": _u32(found.get(3)),
        "metric": _u32(found.get(6)),
        "table": _TABLES.get(number, str(number)),
        "protocol": _PROTOCOLS.get(protocol, str(protocol)),
        "scope": _SCOPES.get(scope, str(scope)),
        "type": _ROUTES[kind] if kind < len(_ROUTES) else str(kind),
        "tos": tos,
        "flags": f"0x{flags:x}",
        "multipath": list(_hops(found.get(9, b""))),
    }


def _rule(fixed: bytes, found: Attributes) -> Fields:
    family, to, source, tos, table, _, _, action, flags = struct.unpack_from("=BBBBBBBBI", fixed)
    number = _u32(found.get(15))
    number = table if number is None else number
    return {
        "family": _FAMILIES.get(family, str(family)),
        "priority": _u32(found.get(6)) or 0,
        "source": _network(found.get(2), source, family) if source else None,
        "destination": _network(found.get(1), to, family) if to else None,
        "in_interface": _text(found.get(3)),
        "out_interface": _text(found.get(17)),
        "mark": _u32(found.get(10)),
        "mask": _u32(found.get(16)),
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
        "address": _ip(found.get(1)),
        "link_address": _mac(found.get(2)),
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
            "gateway": _ip(found.get(5)) or _via(found.get(18)),
            "interface": index,
            "weight": weight + 1,
            "flags": f"0x{flags:x}",
        }
        at += (length + 3) & ~3


def _via(raw: bytes | None) -> str | None:
    return _ip(raw[2:]) if raw and len(raw) > 2 else None  # noqa: PLR2004 - struct rtvia


def _network(raw: bytes | None, prefix: int, family: int) -> str:
    if raw is None:
        return {2: "0.0.0.0/0", 10: "::/0"}.get(family, "default") if not prefix else f"?/{prefix}"
    return f"{_ip(raw)}/{prefix}"


def _ip(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    return str(ip_address(raw)) if len(raw) in {4, 16} else raw.hex()


def _mac(raw: bytes | None) -> str | None:
    return raw.hex(":") if raw else None


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else percent_encode(raw.rstrip(b"\0"))


def _u32(raw: bytes | None) -> int | None:
    return struct.unpack("=I", raw)[0] if raw is not None and len(raw) == 4 else None  # noqa: PLR2004


_PARSERS: dict[str, Callable[[bytes, Attributes], Fields]] = {
    "link": _link,
    "address": _address,
    "route": _route,
    "rule": _rule,
    "neighbour": _neighbour,
}
