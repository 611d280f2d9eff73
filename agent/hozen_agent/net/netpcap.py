"""Netlink dialogues as a pcap file with link type NETLINK (253), which Wireshark and tcpdump open.

Each packet: direction (u16, 0 from the kernel, 4 to it), ARPHRD_NETLINK (u16), ten zero bytes, netlink protocol (u16),
all big-endian, then the datagram in the host's byte order (tcpdump.org, LINKTYPE_NETLINK).
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEAD: Final = struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 20, 253)
_PACKET: Final = struct.Struct("=IIII")
_COOKED: Final = struct.Struct(">HH10xH")
_SECOND: Final = 10**9


def pcap(datagrams: Iterable[tuple[int, bool, bytes]]) -> Iterator[bytes]:
    """Yield a pcap file of (protocol, sent by us, datagram), each with the time at which it came here; none of none."""
    head = HEAD
    for protocol, sent, datagram in datagrams:
        seconds, rest = divmod(time.time_ns(), _SECOND)
        length = len(datagram) + _COOKED.size
        cooked = _COOKED.pack(4 if sent else 0, 824, protocol)
        yield head + _PACKET.pack(seconds, rest, length, length) + cooked + datagram
        head = b""
