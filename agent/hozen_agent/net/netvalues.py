"""Values of netlink attributes: numbers, texts and addresses; None for what is not there or of another length."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Any

from hozen_hashes.names import percent_encode

Fields = dict[str, object]
Attributes = dict[int, bytes]


def ip(raw: bytes | None) -> str | None:
    """Return an IPv4 or IPv6 address, other lengths as hex."""
    if raw is None:
        return None
    return str(ip_address(raw)) if len(raw) in {4, 16} else raw.hex()


def mac(raw: bytes | None) -> str | None:
    """Return a hardware address as `02:00:…`."""
    return raw.hex(":") if raw else None


def text(raw: bytes | None) -> str | None:
    """Return a text, percent-encoded (bundle-v1 §2), without the NUL at its end."""
    return None if raw is None else percent_encode(raw.rstrip(b"\0"))


def hexed(raw: bytes | None, most: int = 4096) -> str | None:
    """Return bytes as hex, the first `most` of them."""
    return None if raw is None else raw[:most].hex()


def _number(form: str, raw: bytes | None) -> int | None:
    if raw is None or len(raw) != struct.calcsize(form):
        return None
    value: Any = struct.unpack(form, raw)[0]
    return int(value)


def u8(raw: bytes | None) -> int | None:
    """Return a byte."""
    return _number("=B", raw)


def u16(raw: bytes | None) -> int | None:
    """Return 16 bits of the host's byte order."""
    return _number("=H", raw)


def u32(raw: bytes | None) -> int | None:
    """Return 32 bits of the host's byte order."""
    return _number("=I", raw)


def i32(raw: bytes | None) -> int | None:
    """Return signed 32 bits of the host's byte order."""
    return _number("=i", raw)


def u64(raw: bytes | None) -> int | None:
    """Return 64 bits of the host's byte order."""
    return _number("=Q", raw)


def be16(raw: bytes | None) -> int | None:
    """Return 16 bits of network byte order."""
    return _number(">H", raw)


def be32(raw: bytes | None) -> int | None:
    """Return 32 bits of network byte order."""
    return _number(">I", raw)


def be64(raw: bytes | None) -> int | None:
    """Return 64 bits of network byte order."""
    return _number(">Q", raw)


def big(value: int | None) -> str | None:
    """Return a number that may be beyond 53 bits as text (bundle-v1 §7)."""
    return None if value is None else str(value)


def present(fields: Fields) -> Fields:
    """Return the fields that have a value: records of many optional attributes stay short."""
    return {key: value for key, value in fields.items() if value is not None}
