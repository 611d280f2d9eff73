"""A window into the kernel's packets: AF_PACKET with a TPACKET_V3 ring, by the standard library (packet(7)).

Promiscuous mode is never asked for: it would change the state of the host's interfaces.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from hozen_agent.net import packetfilter

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK: Final = 256 << 10
BLOCKS: Final = 32  # 8 MiB: half a second of 50,000 packets/s with their headers, while we wait for the processor
_FRAME: Final = 2048
_RETIRE: Final = 50  # milliseconds after which the kernel hands over a block that is not full
_ALL: Final = 0x0003  # ETH_P_ALL
_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION = 263, 5, 6, 10
_TPACKET_V3: Final = 2
_SO_ATTACH_FILTER: Final = 26
_USER: Final = 1  # TP_STATUS_USER: the block is ours
_STATUS: Final = 8  # offset of block_status in a block
_HEADER: Final = struct.Struct(
    "=II"
)  # block_status is followed by number and offset of the packets
_COUNTS: Final = struct.Struct("=II")
# struct tpacket3_hdr and the beginning of struct sockaddr_ll, 48 bytes after it
_PACKET: Final = struct.Struct("=IIIIIIHHIIH10xHHiHBB")
_VLAN, _VLAN_TPID = 1 << 4, 1 << 6
_DEFAULT_TPID: Final = 0x8100


class _LinkAddress(ctypes.Structure):
    """struct sockaddr_ll of linux/if_packet.h."""

    _fields_ = (
        ("family", ctypes.c_uint16),
        ("protocol", ctypes.c_uint16),
        ("ifindex", ctypes.c_int32),
        ("hatype", ctypes.c_uint16),
        ("pkttype", ctypes.c_uint8),
        ("halen", ctypes.c_uint8),
        ("addr", ctypes.c_uint8 * 8),
    )


class _Filter(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_uint16), ("program", ctypes.c_char_p))


class Seen(NamedTuple):
    """One packet in the ring; `data` is valid until the next one is asked for.

    Attributes:
        when: nanoseconds since 1970, as the kernel took it.
        interface: its index.
        hardware: ARPHRD_ number of the interface.
        kind: PACKET_ number: 0 to us, 1 broadcast, 2 multicast, 3 to others, 4 outgoing.
        protocol: EtherType.
        data: from the link header on.
        link: length of the link header in `data`.
        length: on the wire.
        tag: the VLAN tag that the device took off, as four bytes; or empty.
    """

    when: int
    interface: int
    hardware: int
    kind: int
    protocol: int
    data: memoryview
    link: int
    length: int
    tag: bytes


def supported(proc: int) -> bool:
    """Return whether the kernel has packet sockets now: asking for one would load the module that makes them."""
    try:
        os.stat("self/net/packet", dir_fd=proc)
    except OSError:
        return False
    return True


class PacketRing:
    """All packets of this network namespace, from the moment it is made until it is closed."""

    def __init__(self, *, payload: bool, blocks: int = BLOCKS) -> None:
        """Open the window.

        Raises:
            OSError: EPERM without CAP_NET_RAW; the kernel has no packet sockets, or no memory for the ring.
        """
        # Protocol 0 receives nothing: filter and ring are in place before the first packet.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._at = 0
        self._blocks = blocks
        self._counted = [0, 0]
        try:
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
            _attach(self._socket, packetfilter.keep(payload=payload))
            request = struct.pack(
                "=7I", BLOCK, blocks, _FRAME, blocks * (BLOCK // _FRAME), _RETIRE, 0, 0
            )
            self._socket.setsockopt(_SOL_PACKET, _RX_RING, request)
            self._memory = mmap.mmap(self._socket.fileno(), blocks * BLOCK)  # the kernel's ring
            self._view = memoryview(self._memory)
            _bind(self._socket)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a block is complete."""
        return self._socket.fileno()

    def ready(self) -> bool:
        """Return whether a complete block waits."""
        return bool(self._word(self._at * BLOCK + _STATUS) & _USER)

    def take(self) -> Iterator[Seen]:
        """Yield the packets of the complete block that waits, then give it back to the kernel."""
        start = self._at * BLOCK
        if not self.ready():
            return
        count, first = _HEADER.unpack_from(self._view, start + _STATUS + 4)
        at = start + first
        for _ in range(count):
            step, seen = self._seen(at)
            yield seen
            at += step
        self._view[start + _STATUS : start + _STATUS + 4] = bytes(4)
        self._at = (self._at + 1) % self._blocks

    def counts(self) -> tuple[int, int]:
        """Return how many packets passed the filter so far, lost ones among them, and how many were lost."""
        # The kernel begins anew with each answer.
        new = _COUNTS.unpack(self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12)[:8])
        self._counted = [old + more for old, more in zip(self._counted, new, strict=True)]
        return self._counted[0], self._counted[1]

    def settle(self) -> None:
        """Let no new packet in; when this returns, every block with packets is ready."""
        _attach(self._socket, packetfilter.NOTHING)
        time.sleep(3 * _RETIRE / 1000)

    def close(self) -> None:
        """End the window."""
        self._view.release()
        self._memory.close()
        self._socket.close()

    def _word(self, at: int) -> int:
        return int.from_bytes(self._view[at : at + 4], "little")

    def _seen(self, at: int) -> tuple[int, Seen]:
        (
            step, seconds, nanoseconds, kept, length, status, mac, net,
            _, tci, tpid, _, protocol, index, hardware, kind, _,
        ) = _PACKET.unpack_from(self._view, at)  # fmt: skip
        tag = b""
        if status & _VLAN:
            tag = struct.pack("!HH", tpid if status & _VLAN_TPID else _DEFAULT_TPID, tci & 0xFFFF)
        begin = at + mac
        return step, Seen(
            seconds * 1_000_000_000 + nanoseconds,
            index,
            hardware,
            kind,
            socket.ntohs(protocol),
            self._view[begin : begin + kept],
            net - mac,
            length,
            tag,
        )


def _attach(sock: socket.socket, program: bytes) -> None:
    """Have the kernel keep of each packet what the program says, in place of the program before."""
    structure = _Filter(len(program) // packetfilter.INSTRUCTION, program)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(structure))


def _bind(sock: socket.socket) -> None:
    """Receive every protocol on every interface; Python's own bind(2) insists on the name of one."""
    address = _LinkAddress(family=socket.AF_PACKET, protocol=socket.htons(_ALL))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sock.fileno(), ctypes.byref(address), ctypes.sizeof(address)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "bind")
