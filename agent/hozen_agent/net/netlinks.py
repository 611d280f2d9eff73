"""What a network link is: kind and its settings, XDP programs, counters, bridge VLANs (linux/if_link.h)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from hozen_agent.net.netlink import attribute_list, attributes
from hozen_agent.net.netvalues import be16, be32, big, hexed, ip, present, text, u8, u16, u32

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_agent.net.netvalues import Attributes, Fields

    Decoder = Callable[[bytes | None], object]

_COUNTERS: Final = (
    "rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped",
)  # fmt: skip
_TUNNEL: Final = ((1, "link", u32), (2, "local", ip), (3, "remote", ip), (4, "ttl", u8))
_GRE: Final = (
    (1, "link", u32), (4, "in_key", be32), (5, "out_key", be32), (6, "local", ip), (7, "remote", ip), (8, "ttl", u8),
)  # fmt: skip
_VTI: Final = (
    (1, "link", u32),
    (2, "in_key", be32),
    (3, "out_key", be32),
    (4, "local", ip),
    (5, "remote", ip),
)
_MODE: Final = ((1, "mode", u32),)
# Kind to (attribute, name, decoder) of IFLA_INFO_DATA. The keys of GRE and VTI are numbers that tell tunnels apart.
_KINDS: Final[dict[str, tuple[tuple[int, str, Decoder], ...]]] = {
    "vlan": ((1, "id", u16), (5, "protocol", be16)),
    "vxlan": (
        (1, "id", u32), (2, "group", ip), (16, "group", ip), (3, "link", u32), (4, "local", ip), (17, "local", ip),
        (5, "ttl", u8), (7, "learning", u8), (15, "port", be16),
    ),
    "geneve": ((1, "id", u32), (2, "remote", ip), (7, "remote", ip), (3, "ttl", u8), (5, "port", be16)),
    "bridge": ((5, "stp_state", u32), (6, "priority", u16), (7, "vlan_filtering", u8), (4, "ageing_time", u32)),
    "bond": ((1, "mode", u8), (2, "active_member", u32), (3, "miimon", u32), (11, "primary", u32)),
    "macvlan": _MODE, "macvtap": _MODE, "ipvlan": ((1, "mode", u16),), "ipvtap": ((1, "mode", u16),),
    "vrf": ((1, "table", u32),),
    "tun": ((1, "owner", u32), (2, "group", u32), (3, "type", u8), (6, "persist", u8), (7, "multi_queue", u8)),
    "ipip": _TUNNEL, "sit": _TUNNEL, "ip6tnl": _TUNNEL,
    "gre": _GRE, "gretap": _GRE, "ip6gre": _GRE, "ip6gretap": _GRE, "erspan": _GRE,
    "vti": _VTI, "vti6": _VTI,
    "xfrm": ((1, "link", u32), (2, "if_id", u32)),
}  # fmt: skip
_XDP_MODES: Final = ("none", "driver", "generic", "offloaded", "multiple")


def link_details(found: Attributes) -> Fields:
    """Return the fields of a link beyond its name, address and state; `details` depend on `driver_kind`."""
    info = attributes(found.get(18, b""))
    names = [text(value) for kind, value in attribute_list(found.get(52, b"")) if kind == 53]  # noqa: PLR2004
    return {
        "alternative_names": names,
        "parent_device": text(found.get(56)),
        "qdisc": text(found.get(6)),
        "tx_queue_length": u32(found.get(13)),
        "xdp": _xdp(attributes(found.get(43, b""))),
        "details": _details(text(info.get(1)) or "", info.get(2)),
        "member_kind": text(info.get(4)),
        "counters": _counters(found.get(23, b"")),
    }


def _details(kind: str, raw: bytes | None) -> Fields | None:
    if raw is None:
        return None
    known = _KINDS.get(kind)
    if known is None:
        return {"data": hexed(raw)}
    found = attributes(raw)
    return present(
        {name: decode(found[number]) for number, name, decode in known if number in found}
    )


def _xdp(found: Attributes) -> Fields | None:
    """Programs that see every packet before the rest of the kernel does."""
    mode = u8(found.get(2))
    if not mode:
        return None
    return {
        "mode": _XDP_MODES[mode] if mode < len(_XDP_MODES) else str(mode),
        "programs": [number for kind in (4, 5, 6, 7) if (number := u32(found.get(kind)))],
    }


def _counters(raw: bytes) -> Fields | None:
    if len(raw) < 8 * len(_COUNTERS):
        return None
    return {
        name: big(value)
        for name, value in zip(_COUNTERS, struct.unpack_from("=8Q", raw), strict=True)
    }


def bridge_port(fixed: bytes, found: Attributes) -> Fields:
    """Return the VLANs of a bridge port (linux/if_bridge.h)."""
    vlans = []
    for kind, value in attribute_list(found.get(26, b"")):
        if kind == 2 and len(value) == 4:  # noqa: PLR2004 - struct bridge_vlan_info
            flags, vlan = struct.unpack("=HH", value)
            vlans.append({"vlan": vlan, "flags": f"0x{flags:x}"})
    return {
        "index": struct.unpack_from("=4xi", fixed)[0],
        "name": text(found.get(3)),
        "master": u32(found.get(10)),
        "vlans": vlans,
    }
