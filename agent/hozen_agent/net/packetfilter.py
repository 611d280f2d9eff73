"""What of each packet is kept, as a classic BPF program that the kernel runs (linux/filter.h, packet(7)).

A program returns how many bytes of a packet are kept, 0 for none. Loads beyond a packet's end would return 0 and so
hide short, odd packets: every load here stands behind a check of the length, and what is too short is kept whole.
"""

from __future__ import annotations

import struct
from typing import Final

WHOLE: Final = 0x40000
UNKNOWN: Final = (
    64  # bytes kept where the form of the headers is not known: link control, other kinds of link
)
ETHERNET, LOOPBACK = 1, 772
WITHOUT_LINK: Final = (
    0xFFFE,
    519,
    768,
    769,
    776,
)  # tun, raw IP and IP-in-IP devices: linux/if_arp.h
_FORM: Final = struct.Struct("=HBBI")
INSTRUCTION: Final = _FORM.size
NOTHING: Final = _FORM.pack(0x06, 0, 0, 0)
_LARGEST_JUMP: Final = 255

# Opcodes of linux/bpf_common.h, joined.
_LD_LEN, _LD_HALF_AT, _LD_WORD_AT, _LD_BYTE, _LD_HALF, _LD_MEM = 0x80, 0x28, 0x20, 0x50, 0x48, 0x60
_LD_NUMBER, _LDX_NUMBER, _ST, _TAX, _TXA = 0x00, 0x01, 0x02, 0x07, 0x87
_ADD, _ADD_X, _SUB_X, _AND, _LEFT, _RIGHT = 0x04, 0x0C, 0x1C, 0x54, 0x64, 0x74
_GO, _IF_EQUAL, _IF_AT_LEAST, _IF_BIT = 0x05, 0x15, 0x35, 0x45
_KEEP, _KEEP_A = 0x06, 0x16
# Loads from these offsets give what the kernel knows beside the bytes.
_PROTOCOL, _PACKET_TYPE, _HARDWARE = 0xFFFFF000, 0xFFFFF004, 0xFFFFF000 + 28

_OUTGOING = 4
_IP4, _ARP, _IP6, _VLANS = 0x0800, 0x0806, 0x86DD, (0x8100, 0x88A8)
_TCP, _SCTP, _FRAGMENT = 6, 132, 44
_EXTENSIONS = (0, 43, 60)  # hop by hop, routing, destination options
_MOST_EXTENSIONS: Final = 4
_NEXT, _HELD = 1, 2  # scratch memory: number of the next protocol, a value held for a moment
_ETHERNET_HEADER, _TAG, _ARP_BODY, _IP4_LEAST, _IP6_HEADER = 14, 4, 28, 20, 40
_TCP_LEAST, _SCTP_HEADER, _OTHER = (
    20,
    12,
    8,
)  # UDP, ICMP and most others begin with 8 bytes of header


class _Program:
    """Instructions with jumps by name; X always holds the offset of the header at hand."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, str, str]] = []
        self._places: dict[str, int] = {}

    def do(self, *pairs: tuple[int, int] | int) -> None:
        for pair in pairs:
            code, number = pair if isinstance(pair, tuple) else (pair, 0)
            self._lines.append((code, number, "", ""))

    def test(self, code: int, number: int, yes: str, no: str = "") -> None:
        """Jump to `yes` or `no`; an empty name goes on with the next instruction."""
        self._lines.append((code, number, yes, no))

    def go(self, where: str) -> None:
        self._lines.append((_GO, 0, where, ""))

    def mark(self, name: str) -> None:
        self._places[name] = len(self._lines)

    def needs(self, count: int) -> None:
        """Go to `short` unless `count` bytes follow; A is lost."""
        self.do(_LD_LEN, _SUB_X)
        self.test(_IF_BIT, 1 << 31, "short")  # X lies beyond the end
        self.test(_IF_AT_LEAST, count, "", "short")

    def advance(self, count: int) -> None:
        """Move X on by `count`; A is lost."""
        self.do(_TXA, (_ADD, count), _TAX)

    def keep_up_to_here(self, more: int = 0) -> None:
        self.do(_TXA, (_ADD, more), _KEEP_A)

    def pack(self) -> bytes:
        return b"".join(self._packed(at) for at in range(len(self._lines)))

    def _packed(self, at: int) -> bytes:
        code, number, yes, no = self._lines[at]
        steps = [self._places[name] - at - 1 if name else 0 for name in (yes, no)]
        if code == _GO:
            return _FORM.pack(code, 0, 0, steps[0])
        if not all(0 <= step <= _LARGEST_JUMP for step in steps):
            raise ValueError(f"a jump of {steps} instructions")
        return _FORM.pack(code, steps[0], steps[1], number)


def keep(*, payload: bool) -> bytes:
    """Return the program: packets whole, or their headers up to and with the transport's.

    The second sight of a packet on the loopback device, as outgoing, is left out: the first has all of it.
    """
    program = _Program()
    program.do((_LD_HALF_AT, _HARDWARE))
    program.test(_IF_EQUAL, LOOPBACK, "", "once")
    program.do((_LD_WORD_AT, _PACKET_TYPE))
    program.test(_IF_EQUAL, _OUTGOING, "", "once")
    program.do((_KEEP, 0))
    program.mark("once")
    if not payload:
        _link(program)
        _network4(program)
        _network6(program)
        _transport(program)
        program.mark("unknown")
        program.do((_KEEP, UNKNOWN))
        program.mark("short")
    program.do((_KEEP, WHOLE))
    return program.pack()


def _link(p: _Program) -> None:
    """X becomes the offset of the network header; go to `four` or `six`."""
    p.do((_LDX_NUMBER, 0), (_LD_HALF_AT, _HARDWARE))
    p.test(_IF_EQUAL, ETHERNET, "ethernet")
    p.test(_IF_EQUAL, LOOPBACK, "ethernet")
    for kind in WITHOUT_LINK:
        p.test(_IF_EQUAL, kind, "bare")
    p.go("unknown")
    p.mark("bare")
    p.do((_LD_HALF_AT, _PROTOCOL))
    p.go("which")
    p.mark("ethernet")
    p.needs(_ETHERNET_HEADER)
    p.do((_LD_HALF, 12), (_LDX_NUMBER, _ETHERNET_HEADER))
    for kind in _VLANS:
        p.test(_IF_EQUAL, kind, "tag")
    p.go("which")
    p.mark("tag")  # one that the device did not take off
    p.needs(_TAG)
    p.do((_LD_HALF, 2), (_LDX_NUMBER, _ETHERNET_HEADER + _TAG))
    p.mark("which")
    p.test(_IF_EQUAL, _IP4, "four")
    p.test(_IF_EQUAL, _IP6, "six")
    p.test(_IF_EQUAL, _ARP, "", "unknown")
    p.keep_up_to_here(_ARP_BODY)


def _network4(p: _Program) -> None:
    """RFC 791 §3.1: X moves behind the header and its options; a later fragment has no transport header."""
    p.mark("four")
    p.needs(_IP4_LEAST)
    p.do((_LD_BYTE, 9), (_ST, _NEXT), (_LD_HALF, 6), (_AND, 0x1FFF), (_ST, _HELD))
    p.do((_LD_BYTE, 0), (_AND, 0x0F), (_LEFT, 2), _ADD_X, _TAX, (_LD_MEM, _HELD))
    p.test(_IF_EQUAL, 0, "transport4")
    p.keep_up_to_here()
    p.mark("transport4")
    p.go("transport")


def _network6(p: _Program) -> None:
    """RFC 8200 §4: X moves behind the header and a few extension headers; the rest counts as transport."""
    p.mark("six")
    p.needs(_IP6_HEADER)
    p.do((_LD_BYTE, 6), (_ST, _NEXT))
    p.advance(_IP6_HEADER)
    for depth in range(_MOST_EXTENSIONS):
        p.do((_LD_MEM, _NEXT))
        for kind in _EXTENSIONS:
            p.test(_IF_EQUAL, kind, f"options{depth}")
        p.test(_IF_EQUAL, _FRAGMENT, f"fragment{depth}")
        p.go("transport")
        p.mark(f"options{depth}")
        p.needs(8)
        p.do((_LD_BYTE, 0), (_ST, _NEXT), (_LD_BYTE, 1), (_ADD, 1), (_LEFT, 3), _ADD_X, _TAX)
        p.go(f"next{depth}")
        p.mark(f"fragment{depth}")
        p.needs(8)
        p.do((_LD_BYTE, 0), (_ST, _NEXT), (_LD_HALF, 2), (_AND, 0xFFF8), (_ST, _HELD))
        p.advance(8)
        p.do((_LD_MEM, _HELD))
        p.test(_IF_EQUAL, 0, f"next{depth}")
        p.keep_up_to_here()
        p.mark(f"next{depth}")


def _transport(p: _Program) -> None:
    """X is at the transport header: keep it whole, and nothing behind it."""
    p.mark("transport")
    p.do((_LD_MEM, _NEXT))
    p.test(_IF_EQUAL, _TCP, "tcp")
    p.test(_IF_EQUAL, _SCTP, "", "other")
    p.keep_up_to_here(_SCTP_HEADER)
    p.mark("other")
    p.keep_up_to_here(_OTHER)
    p.mark("tcp")
    p.needs(_TCP_LEAST)
    p.do((_LD_BYTE, 12), (_AND, 0xF0), (_RIGHT, 2))
    p.test(_IF_AT_LEAST, _TCP_LEAST, "whole")
    p.do((_LD_NUMBER, _TCP_LEAST))  # a false length hides no flags
    p.mark("whole")
    p.do(_ADD_X, _KEEP_A)
