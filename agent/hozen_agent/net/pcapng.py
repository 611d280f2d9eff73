"""Blocks of the pcapng capture format, made as bytes (draft-ietf-opsawg-pcapng §4), little endian.

Pure: numbers and bytes in, one block out. A file is one section header, an interface block before the first packet of
each interface, packet blocks, and at the end one statistics block for each interface.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    Option = tuple[int, bytes]

LINK_NULL, LINK_ETHERNET, LINK_RAW, LINK_SLL = 0, 1, 101, 113
INBOUND, OUTBOUND = 1, 2

_BLOCK: Final = struct.Struct("<II")
_SECTION: Final = struct.Struct("<IHHq")
_INTERFACE: Final = struct.Struct("<HHI")
_PACKET: Final = struct.Struct(
    "<IIIIIII"
)  # type, length, interface, time high, time low, captured, original
_STATISTICS: Final = struct.Struct("<III")
_TRAILER: Final = struct.Struct("<HHIHHI")  # epb_flags, end of options, length again
_OPTION: Final = struct.Struct("<HH")
_U64: Final = struct.Struct("<Q")

_SHB, _IDB, _ISB, _EPB = 0x0A0D0D0A, 1, 5, 6
_BYTE_ORDER = 0x1A2B3C4D
_UNKNOWN_LENGTH = -1
_COMMENT, _HARDWARE, _SYSTEM, _APPLICATION = 1, 2, 3, 4
_NAME, _MAC, _RESOLUTION, _FILTER = 2, 6, 9, 11
_START, _END, _RECEIVED, _LOST, _DELIVERED = 2, 3, 4, 7, 8  # lost: by the operating system
_NANOSECONDS = b"\x09"
_TEXT_FILTER = b"\0"
_EPB_FLAGS = 2
_MOST = 0xFFFF
_MAC_LENGTH = 6
PACKET_OVERHEAD: Final = _PACKET.size + _TRAILER.size + 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What an interface block says.

    Attributes:
        name: as the kernel gave it; any bytes.
        link: LINKTYPE_ number of the packets.
        snaplen: most bytes kept of a packet, 0 for no limit.
        mac: six bytes, or empty.
        rule: in words, what is kept and what is left out.
    """

    name: bytes
    link: int
    snaplen: int = 0
    mac: bytes = b""
    rule: str = ""
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a statistics block says; None where nobody counted. Times in nanoseconds since 1970."""

    started: int
    ended: int
    received: int | None = None
    lost: int | None = None
    delivered: int | None = None
    comments: tuple[str, ...] = ()


def section(*, comments: Iterable[str] = (), hardware: str, system: str, application: str) -> bytes:
    """Return the section header block; its comments name the case."""
    options = [*_comments(comments), *_texts(_HARDWARE, hardware), *_texts(_SYSTEM, system)]
    options += _texts(_APPLICATION, application)
    return _block(_SHB, _SECTION.pack(_BYTE_ORDER, 1, 0, _UNKNOWN_LENGTH), options)


def interface(about: Interface) -> bytes:
    """Return the interface description block; its packets have nanosecond times."""
    options: list[Option] = [*_comments(about.comments), (_NAME, about.name[:_MOST])]
    if len(about.mac) == _MAC_LENGTH:
        options.append((_MAC, about.mac))
    options.append((_RESOLUTION, _NANOSECONDS))
    if about.rule:
        options.append((_FILTER, _TEXT_FILTER + _cut(about.rule)))
    return _block(_IDB, _INTERFACE.pack(about.link, 0, about.snaplen), options)


def packet(
    number: int, *, when: int, data: bytes | memoryview, original: int, direction: int = 0
) -> bytes:
    """Return one enhanced packet block.

    Args:
        number: of the interface block in this section, from 0.
        when: nanoseconds since 1970.
        data: what was kept.
        original: length of the packet on the wire.
        direction: INBOUND, OUTBOUND, or 0 for unknown.
    """
    kept = len(data)
    pad = -kept % 4
    length = _PACKET.size + kept + pad + _TRAILER.size
    head = _PACKET.pack(_EPB, length, number, when >> 32, when & 0xFFFFFFFF, kept, original)
    return b"".join(
        (head, data, b"\0\0\0"[:pad], _TRAILER.pack(_EPB_FLAGS, 4, direction, 0, 0, length))
    )


def statistics(number: int, about: Statistics) -> bytes:
    """Return the statistics block of interface `number`."""
    options: list[Option] = _comments(about.comments)
    options += [(_START, _time(about.started)), (_END, _time(about.ended))]
    counted = ((_RECEIVED, about.received), (_LOST, about.lost), (_DELIVERED, about.delivered))
    options += [(code, _U64.pack(value)) for code, value in counted if value is not None]
    fixed = _STATISTICS.pack(number, about.ended >> 32, about.ended & 0xFFFFFFFF)
    return _block(_ISB, fixed, options)


def _time(when: int) -> bytes:
    return struct.pack("<II", when >> 32, when & 0xFFFFFFFF)


def _comments(texts: Iterable[str]) -> list[Option]:
    return [(_COMMENT, _cut(text)) for text in texts]


def _texts(code: int, text: str) -> list[Option]:
    return [(code, _cut(text))] if text else []


def _cut(text: str) -> bytes:
    """Return the text as UTF-8 within an option's length, cut between characters."""
    data = text.encode("utf-8", "backslashreplace")
    return data if len(data) < _MOST else data[: _MOST - 1].decode("utf-8", "ignore").encode()


def _block(kind: int, fixed: bytes, options: Iterable[Option]) -> bytes:
    body = fixed + b"".join(
        _OPTION.pack(code, len(value)) + value + bytes(-len(value) % 4) for code, value in options
    )
    body += _OPTION.pack(0, 0)
    length = _BLOCK.size + len(body) + 4
    return _BLOCK.pack(kind, length) + body + length.to_bytes(4, "little")
