"""Connection tracking, address sets, IPsec and traffic control as records, IPsec without its keys."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from hozen_agent.net.netlink import attribute_list, attributes
from hozen_agent.net.netvalues import be16, be32, be64, big, hexed, ip, mac, present, text, u8, u32

if TYPE_CHECKING:
    from hozen_agent.net.netvalues import Attributes, Fields

_PROTOCOLS: Final = {
    1: "icmp",
    6: "tcp",
    17: "udp",
    33: "dccp",
    47: "gre",
    58: "icmpv6",
    132: "sctp",
    136: "udplite",
}
_TCP: Final = (
    "none", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close",
    "syn_sent2",
)  # fmt: skip
_STATUS: Final = (
    "expected", "seen_reply", "assured", "confirmed", "src_nat", "dst_nat", "seq_adjust", "src_nat_done",
    "dst_nat_done", "dying", "fixed_timeout", "template", "untracked", "helper", "offload", "hw_offload",
)  # fmt: skip
_XFRM_MODES: Final = ("transport", "tunnel", "route_optimisation", "in_trigger", "beet")
_XFRM_DIRECTIONS: Final = ("in", "out", "forward")
_XFRM_PROTOCOLS: Final = {50: "esp", 51: "ah", 108: "comp"}
_MOST: Final = 65_536
_INET6: Final = 10


def _tuple(raw: bytes | None) -> Fields | None:
    """Addresses and ports of one direction (linux/netfilter/nfnetlink_conntrack.h)."""
    if raw is None:
        return None
    found = attributes(raw)
    where, what = attributes(found.get(1, b"")), attributes(found.get(2, b""))
    number = u8(what.get(1))
    return present({
        "source": ip(where.get(1) or where.get(3)),
        "destination": ip(where.get(2) or where.get(4)),
        "protocol": None if number is None else _PROTOCOLS.get(number, str(number)),
        "source_port": be16(what.get(2)),
        "destination_port": be16(what.get(3)),
        "icmp_id": be16(what.get(4) or what.get(7)),
        "icmp_type": u8(what.get(5) or what.get(8)),
        "icmp_code": u8(what.get(6) or what.get(9)),
    })  # fmt: skip


def _counters(raw: bytes | None) -> Fields | None:
    if raw is None:
        return None
    found = attributes(raw)
    return {"packets": big(be64(found.get(1))), "bytes": big(be64(found.get(2)))}


def _connection(_fixed: bytes, found: Attributes) -> Fields:
    status = be32(found.get(3)) or 0
    state = u8(attributes(attributes(found.get(4, b"")).get(1, b"")).get(1))
    return {
        "original": _tuple(found.get(1)),
        "reply": _tuple(found.get(2)),
        "state": None if state is None else _TCP[state] if state < len(_TCP) else str(state),
        "status": [name for bit, name in enumerate(_STATUS) if status >> bit & 1],
        "timeout": be32(found.get(7)),
        "mark": be32(found.get(8)),
        "zone": be16(found.get(18)),
        "id": be32(found.get(12)),
        "original_counters": _counters(found.get(9)),
        "reply_counters": _counters(found.get(10)),
        "started_ns": big(be64(attributes(found.get(20, b"")).get(1))),
    }


def _expectation(_fixed: bytes, found: Attributes) -> Fields:
    return {
        "master": _tuple(found.get(1)),
        "expected": _tuple(found.get(2)),
        "mask": _tuple(found.get(3)),
        "timeout": be32(found.get(4)),
        "helper": text(found.get(6)),
    }


def _ipset(_fixed: bytes, found: Attributes) -> Fields:
    """One message of a set; a large one comes in several (linux/netfilter/ipset/ip_set.h)."""
    members = [_member(attributes(raw)) for _, raw in attribute_list(found.get(8, b""))]
    return {
        "name": text(found.get(2)),
        "type": text(found.get(3)),
        "revision": u8(found.get(4)),
        "members": members[:_MOST],
    }


def _member(found: Attributes) -> Fields:
    known = {1, 2, 3, 4, 5, 6, 7, 17, 18, 26}
    protocol = u8(found.get(7))
    return present({
        "address": _set_address(found.get(1)),
        "address_to": _set_address(found.get(2)),
        "prefix": u8(found.get(3)),
        "port": be16(found.get(4)),
        "port_to": be16(found.get(5)),
        "timeout": be32(found.get(6)),
        "protocol": None if protocol is None else _PROTOCOLS.get(protocol, str(protocol)),
        "hardware_address": mac(found.get(17)),
        "set": text(found.get(18)),
        "comment": text(found.get(26)),
        "more": {str(kind): hexed(raw) for kind, raw in found.items() if kind not in known} or None,
    })  # fmt: skip


def _set_address(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    found = attributes(raw)
    return ip(found.get(1) or found.get(2))


def _address(raw: bytes, family: int) -> str | None:
    return ip(raw if family == _INET6 else raw[:4])


def _selector(raw: bytes) -> Fields:
    """A struct xfrm_selector of 56 bytes (linux/xfrm.h)."""
    to_port, from_port, family, to, source, protocol = struct.unpack_from("=32x2s2x2s2xHBBB", raw)
    return {
        "source": f"{_address(raw[16:32], family)}/{source}",
        "destination": f"{_address(raw[:16], family)}/{to}",
        "source_port": be16(from_port),
        "destination_port": be16(to_port),
        "protocol": protocol,
    }


def _xfrm_state(fixed: bytes, found: Attributes) -> Fields:
    family, mode, window, flags = struct.unpack_from("=212xHBBB", fixed)
    size, packets, added, used = struct.unpack_from("=160x4Q", fixed)
    protocol = fixed[76]
    names = {
        "auth": found.get(20) or found.get(1),
        "crypt": found.get(2),
        "aead": found.get(18),
        "comp": found.get(3),
    }
    return {
        "selector": _selector(fixed[:56]),
        "source": _address(fixed[80:96], family),
        "destination": _address(fixed[56:72], family),
        "spi": "0x" + fixed[72:76].hex(),
        "protocol": _XFRM_PROTOCOLS.get(protocol, str(protocol)),
        "mode": _XFRM_MODES[mode] if mode < len(_XFRM_MODES) else str(mode),
        "request_id": struct.unpack_from("=208xI", fixed)[0],
        "replay_window": window,
        "flags": f"0x{flags:x}",
        "algorithms": {key: text(raw[:64].split(b"\0")[0]) for key, raw in names.items() if raw},
        "keys": "withheld",
        "bytes": str(size),
        "packets": str(packets),
        "added": added,
        "used": used,
        "if_id": u32(found.get(31)),
    }  # fmt: skip


def _xfrm_policy(fixed: bytes, found: Attributes) -> Fields:
    priority, index, direction, action = struct.unpack_from("=152xIIBB", fixed)
    raw = found.get(5, b"")
    templates = [_template(raw[at : at + 64]) for at in range(0, len(raw) - 63, 64)]
    return {
        "selector": _selector(fixed[:56]),
        "direction": _XFRM_DIRECTIONS[direction]
        if direction < len(_XFRM_DIRECTIONS)
        else str(direction),
        "action": "block" if action else "allow",
        "priority": priority,
        "index": index,
        "templates": templates[:64],
        "if_id": u32(found.get(31)),
    }


def _template(raw: bytes) -> Fields:
    family = struct.unpack_from("=24xH", raw)[0]
    return {
        "source": _address(raw[28:44], family),
        "destination": _address(raw[:16], family),
        "protocol": _XFRM_PROTOCOLS.get(raw[20], str(raw[20])),
        "mode": _XFRM_MODES[raw[48]] if raw[48] < len(_XFRM_MODES) else str(raw[48]),
        "request_id": struct.unpack_from("=44xI", raw)[0],
    }


def _handle(number: int) -> str:
    """A traffic control handle as tc(8) writes it."""
    minor = number & 0xFFFF
    return f"{number >> 16:x}:" + (f"{minor:x}" if minor else "")


def _control(fixed: bytes, found: Attributes) -> Fields:
    index, handle, parent, info = struct.unpack_from("=4xiIII", fixed)
    return {
        "interface": index,
        "type": text(found.get(1)),
        "handle": _handle(handle),
        "parent": "root" if parent == 0xFFFF_FFFF else _handle(parent),  # noqa: PLR2004 - TC_H_ROOT
        "info": info,
        "options": hexed(found.get(2)),
    }


def _filter(fixed: bytes, found: Attributes) -> Fields:
    """A filter; one of type `bpf` names the program that sees the packets (linux/pkt_cls.h)."""
    fields = _control(fixed, found)
    info = struct.unpack_from("=16xI", fixed)[0]
    fields["handle"] = f"0x{struct.unpack_from('=8xI', fixed)[0]:x}"
    fields["priority"] = info >> 16
    fields["protocol"] = f"0x{be16(struct.pack('=H', info & 0xFFFF)):04x}"
    fields["chain"] = u32(found.get(11))
    if found.get(1, b"").rstrip(b"\0") == b"bpf":
        options = attributes(found.get(2, b""))
        fields["program"] = {
            "name": text(options.get(7)),
            "id": u32(options.get(11)),
            "tag": hexed(options.get(10)),
        }
    return fields


PARSERS: Final = {
    "conntrack": _connection,
    "expectation": _expectation,
    "ipset": _ipset,
    "xfrm_state": _xfrm_state,
    "xfrm_policy": _xfrm_policy,
    "qdisc": _control,
    "class": _control,
    "filter": _filter,
}
