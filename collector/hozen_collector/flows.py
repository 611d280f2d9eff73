"""Who spoke with whom: flows decoded from the packet file of a bundle, by scapy (extra `packets`).

Pure: a stream of pcapng bytes in, records out. scapy is GPL-2.0-only and therefore an extra, used on the receiving side
alone: nothing but `hozen flows` imports this module.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from scapy.error import Scapy_Exception
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, Ether
from scapy.utils import RawPcapNgReader

from hozen_hashes.errors import FormatError
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PACKETS: Final = 5_000_000
MAX_FLOWS: Final = 200_000
_ETHERNET, _RAW, _COOKED = 1, 101, 113
_TRANSPORTS: Final = (("TCP", "tcp"), ("UDP", "udp"), ("ICMP", "icmp"), ("SCTP", "sctp"))
# What scapy raises over foreign bytes.
_DAMAGED: Final = (
    struct.error,
    ValueError,
    LookupError,
    TypeError,
    OSError,
    EOFError,
    Scapy_Exception,
)

Key = tuple[str, str, str, int, str, int]


@dataclass(slots=True)
class Flow:
    """One exchange; the first packet's sender is the source.

    Attributes:
        first, last: nanoseconds since 1970.
        sent, received: packets and bytes on the wire, from the source and to it.
        flags: TCP flags seen from the source, and to it.
    """

    interface: str
    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int
    first: int
    last: int
    sent: list[int] = field(default_factory=lambda: [0, 0])
    received: list[int] = field(default_factory=lambda: [0, 0])
    flags: list[int] = field(default_factory=lambda: [0, 0])

    def as_json(self) -> dict[str, object]:
        """Return the record; counts as texts, ports 0 where the protocol has none."""
        return {
            "interface": self.interface,
            "protocol": self.protocol,
            "source": self.source,
            "source_port": self.source_port,
            "destination": self.destination,
            "destination_port": self.destination_port,
            "first": rfc3339(self.first),
            "last": rfc3339(self.last),
            "packets_sent": str(self.sent[0]),
            "bytes_sent": str(self.sent[1]),
            "packets_received": str(self.received[0]),
            "bytes_received": str(self.received[1]),
            "tcp_flags_sent": _letters(self.flags[0]),
            "tcp_flags_received": _letters(self.flags[1]),
        }


@dataclass(slots=True)
class Flows:
    """What a packet file holds.

    Attributes:
        packets: read.
        others: packets without an IP header, by what they are.
        problem: why not all of the file is in here; empty when it is.
    """

    flows: list[Flow] = field(default_factory=list)
    packets: int = 0
    others: dict[str, int] = field(default_factory=dict)
    problem: str = ""


class _Stream(io.RawIOBase):
    """Chunks as a file that is read forward."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._left:
            try:
                self._left = next(self._chunks)
            except StopIteration:
                return 0
        count = min(len(into), len(self._left))
        into[:count], self._left = self._left[:count], self._left[count:]
        return count


def read_flows(chunks: Iterator[bytes]) -> Flows:
    """Return the flows of a pcapng file, in the order of their first packets.

    Raises:
        FormatError: this is no pcapng file.
    """
    found = Flows()
    known: dict[Key, Flow] = {}
    try:
        file: Any = io.BufferedReader(_Stream(chunks), 1 << 18)
        reader = RawPcapNgReader(file)
    except _DAMAGED as error:
        raise FormatError(f"this is no pcapng file: {type(error).__name__}") from error
    try:
        for data, about in reader:
            if found.packets >= MAX_PACKETS or len(known) >= MAX_FLOWS:
                found.problem = f"only the first {found.packets} packets were decoded"
                break
            found.packets += 1
            _take(found, known, data, about)
    except _DAMAGED as error:
        found.problem = f"the file is damaged after {found.packets} packets: {type(error).__name__}"
    found.flows = list(known.values())
    return found


def _take(found: Flows, known: dict[Key, Flow], data: bytes, about: Any) -> None:
    packet = _decoded(data, about.linktype)
    ends = None if packet is None else _ends(packet)
    if ends is None:
        name = f"link type {about.linktype}" if packet is None else str(packet.lastlayer().name)
        name = name if len(found.others) < 1000 else "more"  # noqa: PLR2004 - names come from the file
        found.others[name] = found.others.get(name, 0) + 1
        return
    when = ((about.tshigh << 32) + about.tslow) * 1_000_000_000 // max(1, int(about.tsresol))
    interface = _text(about.ifname)
    protocol, here, here_port, there, there_port, flags = ends
    back = known.get((interface, protocol, there, there_port, here, here_port))
    flow = back or known.setdefault(
        (interface, protocol, here, here_port, there, there_port),
        Flow(interface, protocol, here, here_port, there, there_port, when, when),
    )
    flow.first, flow.last = min(flow.first, when), max(flow.last, when)
    counts = flow.sent if back is None else flow.received
    counts[0] += 1
    counts[1] += about.wirelen
    flow.flags[back is not None] |= flags


def _decoded(data: bytes, link: int) -> Any:
    if link == _ETHERNET:
        return Ether(data)
    if link == _COOKED:
        return CookedLinux(data)
    if link == _RAW and data:
        return IPv6(data) if data[0] >> 4 == 6 else IP(data)  # noqa: PLR2004 - RFC 8200
    return None


def _ends(packet: Any) -> tuple[str, str, int, str, int, int] | None:
    """Return protocol, source, its port, destination, its port and TCP flags; None without an IP header."""
    network = packet.getlayer("IP") or packet.getlayer("IPv6")
    if network is None:
        return None
    for layer, name in _TRANSPORTS:
        transport = network.getlayer(layer)
        if transport is not None:
            ports = (getattr(transport, "sport", 0) or 0, getattr(transport, "dport", 0) or 0)
            flags = int(transport.flags) if layer == "TCP" else 0
            return name, str(network.src), ports[0], str(network.dst), ports[1], flags
    number = getattr(network, "proto", getattr(network, "nh", 0))
    return f"ip {number}", str(network.src), 0, str(network.dst), 0, 0


def _letters(flags: int) -> str:
    return "".join(letter for bit, letter in enumerate("FSRPAUECN") if flags >> bit & 1)


def _text(name: object) -> str:
    raw = name if isinstance(name, bytes) else str(name or "").encode()
    return raw.decode("utf-8", "backslashreplace")
