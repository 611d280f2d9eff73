"""Replies of generic netlink families as records: which there are, WireGuard without its keys, Wi-Fi."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Final

from hozen_agent.net.netlink import attribute_list, attributes
from hozen_agent.net.netvalues import be16, big, ip, mac, present, text, u8, u16, u32, u64
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from hozen_agent.net.netvalues import Attributes, Fields

_WIFI_TYPES: Final = (
    "unspecified", "adhoc", "station", "ap", "ap_vlan", "wds", "monitor", "mesh_point", "p2p_client", "p2p_go",
    "p2p_device", "ocb", "nan",
)  # fmt: skip
_MOST: Final = 4096


def _family(_fixed: bytes, found: Attributes) -> Fields:
    return {"id": u16(found.get(1)), "name": text(found.get(2)), "version": u32(found.get(3))}


def _wireguard(_fixed: bytes, found: Attributes) -> Fields:
    """One message of a device; a device with many peers comes in several (linux/wireguard.h)."""
    peers = [_peer(attributes(raw)) for _, raw in attribute_list(found.get(8, b""))]
    return {
        "interface": u32(found.get(1)),
        "name": text(found.get(2)),
        "public_key": _key(found.get(4)),
        "listen_port": u16(found.get(6)),
        "mark": u32(found.get(7)),
        "peers": peers[:_MOST],
    }


def _peer(found: Attributes) -> Fields:
    seconds = struct.unpack("=qq", found[6])[0] if len(found.get(6, b"")) == 16 else None  # noqa: PLR2004
    allowed = [attributes(raw) for _, raw in attribute_list(found.get(9, b""))]
    return {
        "public_key": _key(found.get(1)),
        "endpoint": _endpoint(found.get(4, b"")),
        "keepalive": u16(found.get(5)),
        "last_handshake": seconds,
        "rx_bytes": big(u64(found.get(7))),
        "tx_bytes": big(u64(found.get(8))),
        "allowed": [f"{ip(one.get(2))}/{u8(one.get(3))}" for one in allowed[:_MOST]],
    }


def _key(raw: bytes | None) -> str | None:
    """A public key in the form in which wg(8) shows it."""
    return base64.b64encode(raw).decode() if raw else None


def _endpoint(raw: bytes) -> Fields | None:
    """A struct sockaddr_in or sockaddr_in6."""
    if len(raw) == 16:  # noqa: PLR2004
        return {"address": ip(raw[4:8]), "port": be16(raw[2:4])}
    if len(raw) == 28:  # noqa: PLR2004
        return {"address": ip(raw[8:24]), "port": be16(raw[2:4])}
    return None


def _wifi_interface(_fixed: bytes, found: Attributes) -> Fields:
    kind = u32(found.get(5))
    known = kind is not None and kind < len(_WIFI_TYPES)
    return {
        "interface": u32(found.get(3)),
        "name": text(found.get(4)),
        "address": mac(found.get(6)),
        "type": _WIFI_TYPES[kind] if known and kind is not None else kind,
        "ssid": None if 52 not in found else percent_encode(found[52]),  # noqa: PLR2004 - free bytes
        "frequency": u32(found.get(38)),
    }


def _wifi_station(_fixed: bytes, found: Attributes) -> Fields:
    info = attributes(found.get(21, b""))
    signal = u8(info.get(7))
    return present({
        "interface": u32(found.get(3)),
        "address": mac(found.get(6)),
        "inactive_ms": u32(info.get(1)),
        "rx_bytes": u32(info.get(2)),
        "tx_bytes": u32(info.get(3)),
        "signal_dbm": None if signal is None else signal - 256 if signal > 127 else signal,  # noqa: PLR2004
        "connected_seconds": u32(info.get(16)),
    })  # fmt: skip


def _wifi_network(_fixed: bytes, found: Attributes) -> Fields:
    bss = attributes(found.get(47, b""))
    elements = bss.get(6, b"")
    return {
        "interface": u32(found.get(3)),
        "bssid": mac(bss.get(1)),
        "frequency": u32(bss.get(2)),
        "ssid": _ssid(elements),
        "associated": u32(bss.get(9)),
        "last_seen_ms": u32(bss.get(10)),
    }


def _ssid(elements: bytes) -> str | None:
    """The element of type 0 is the name of the network, any bytes (IEEE 802.11 §9.4.2)."""
    at = 0
    while at + 2 <= len(elements):
        kind, size = elements[at], elements[at + 1]
        if kind == 0:
            return percent_encode(elements[at + 2 : at + 2 + size])
        at += 2 + size
    return None


PARSERS: Final = {
    "generic_family": _family,
    "wireguard": _wireguard,
    "wifi_interface": _wifi_interface,
    "wifi_station": _wifi_station,
    "wifi_network": _wifi_network,
}
