"""Packets of a ring as one pcapng file, written while they come; an interface block stands before its first packet."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_agent.net import packetfilter, pcapng

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hozen_agent.net.packetring import Seen

_OUTGOING: Final = 4
_ETHERNET_ADDRESSES: Final = 12
_MOST_INTERFACES: Final = 4096
HEADERS: Final = (
    "link, network and transport headers are kept, the payload is cut off by the kernel; of what is neither IP nor ARP "
    f"the first {packetfilter.UNKNOWN} bytes are kept"
)
WHOLE: Final = "packets are kept whole"
RULE: Final = (
    "{kept}; not filtered by address, port or protocol, so our own traffic to a collector is among it; of the loopback "
    "device each packet once (its second sight, as outgoing, is left out); promiscuous mode was not set"
)


@dataclass(slots=True)
class _Known:
    number: int
    name: str
    link: int
    packets: int = 0
    octets: int = 0


@dataclass(slots=True)
class PacketFile:
    """Turns packets into pcapng blocks and counts them.

    Attributes:
        payload: whether packets are kept whole.
        packets, octets: written so far; octets are those of the file.
    """

    payload: bool
    packets: int = 0
    octets: int = 0
    _known: dict[int, _Known] = field(default_factory=dict)

    def begin(self, comments: Iterable[str], *, hardware: str, system: str, agent: str) -> bytes:
        """Return the section header."""
        return self._out(
            pcapng.section(comments=comments, hardware=hardware, system=system, application=agent)
        )

    def packet(self, seen: Seen) -> bytes:
        """Return the packet's block, behind its interface's when that is new."""
        before = b""
        known = self._known.get(seen.interface)
        if known is None:
            before, known = self._interface(seen)
        known.packets += 1
        known.octets += seen.length
        self.packets += 1
        data, more = _bytes(seen, known.link)
        direction = pcapng.OUTBOUND if seen.kind == _OUTGOING else pcapng.INBOUND
        block = pcapng.packet(
            known.number,
            when=seen.when,
            data=data,
            original=seen.length + more,
            direction=direction,
        )
        return self._out(before + block)

    def end(self, *, started: int, ended: int, counts: tuple[int, int]) -> bytes:
        """Return the statistics: packets by interface, and the kernel's counters, which are of all together."""
        if not self._known:  # the counters must stand somewhere
            self._known[0] = _Known(0, "any", pcapng.LINK_ETHERNET)
            head = pcapng.interface(
                pcapng.Interface(name=b"any", link=pcapng.LINK_ETHERNET, rule=self.rule)
            )
        else:
            head = b""
        comment = (
            "received and lost are counted by the kernel for all interfaces of this window together"
        )
        blocks = [
            pcapng.statistics(
                one.number,
                pcapng.Statistics(
                    started=started,
                    ended=ended,
                    received=counts[0] if one.number == 0 else None,
                    lost=counts[1] if one.number == 0 else None,
                    delivered=one.packets,
                    comments=(comment,) if one.number == 0 else (),
                ),
            )
            for one in self._known.values()
        ]
        return self._out(head + b"".join(blocks))

    @property
    def rule(self) -> str:
        """What is kept and what is left out, in words."""
        return RULE.format(kept=WHOLE if self.payload else HEADERS)

    def interfaces(self) -> list[dict[str, object]]:
        """Return each interface with what came through it."""
        return [
            {
                "interface": one.number,
                "index": index,
                "name": one.name,
                "link": one.link,
                "packets": str(one.packets),
                "bytes_on_wire": str(one.octets),
            }
            for index, one in self._known.items()
        ]

    def _interface(self, seen: Seen) -> tuple[bytes, _Known]:
        if len(self._known) >= _MOST_INTERFACES:  # the rest shares one description
            return b"", next(iter(self._known.values()))
        try:
            name = socket.if_indextoname(seen.interface)
        except OSError:  # already gone
            name = f"index {seen.interface}"
        known = self._known[seen.interface] = _Known(len(self._known), name, _link_of(seen))
        about = pcapng.Interface(
            name=name.encode("utf-8", "surrogateescape"), link=known.link, rule=self.rule
        )
        return pcapng.interface(about), known

    def _out(self, data: bytes) -> bytes:
        self.octets += len(data)
        return data


def _link_of(seen: Seen) -> int:
    if seen.hardware in {packetfilter.ETHERNET, packetfilter.LOOPBACK}:
        return pcapng.LINK_ETHERNET
    return pcapng.LINK_RAW if seen.hardware in packetfilter.WITHOUT_LINK else pcapng.LINK_SLL


def _bytes(seen: Seen, link: int) -> tuple[bytes | memoryview, int]:
    """Return the bytes in the form of their link type, and how many were added to those on the wire."""
    if (
        link == pcapng.LINK_SLL
    ):  # LINKTYPE_LINUX_SLL: no address, the kind of the packet, and what protocol follows
        head = b"".join(
            n.to_bytes(2, "big") for n in (seen.kind, seen.hardware, 0, 0, 0, 0, 0, seen.protocol)
        )
        return head + seen.data[seen.link :], len(head) - seen.link
    if seen.tag and link == pcapng.LINK_ETHERNET and len(seen.data) >= _ETHERNET_ADDRESSES:
        return (
            b"".join((seen.data[:_ETHERNET_ADDRESSES], seen.tag, seen.data[_ETHERNET_ADDRESSES:])),
            len(seen.tag),
        )
    return seen.data, 0
