"""The kernel's tables of interfaces, addresses, routes, rules and neighbours by rtnetlink(7), in the standard library.

The one place of this part that opens a socket: AF_NETLINK, which leaves nothing on any wire. Replies are
bytes of the kernel, stored raw; parsing accepts any bytes and never fails.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_REPLY: Final = 64 << 20
SECONDS: Final = 10.0

_HEADER: Final = struct.Struct("=IHHII")
_REQUEST_DUMP: Final = 0x1 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_INTERRUPTED: Final = 0x10  # NLM_F_DUMP_INTR: the table changed while it was dumped
_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """One of the tables: which request asks for it, and how long the fixed part of a reply is.

    Attributes:
        name: as in `netlink:route`.
        request: message type; `body` what follows its header.
        fixed: bytes before the attributes in each reply.
    """

    name: str
    request: int
    body: bytes
    fixed: int


# linux/rtnetlink.h; the bodies are ifinfomsg, ifaddrmsg, rtmsg, fib_rule_hdr and ndmsg of zeros: every family.
DUMPS: Final = (
    Dump(name="link", request=18, body=bytes(16), fixed=16),
    Dump(name="address", request=22, body=bytes(8), fixed=8),
    Dump(name="route", request=26, body=bytes(12), fixed=12),
    Dump(name="rule", request=34, body=bytes(12), fixed=12),
    Dump(name="neighbour", request=30, body=bytes(12), fixed=12),
)


def dump(table: Dump, *, seconds: float = SECONDS) -> tuple[bytes, bool]:
    """Return the raw reply of the kernel and whether it is of one moment (not changed while it was read).

    Raises:
        OSError: no netlink, an error reply, more than MAX_REPLY bytes, or no end in `seconds`.
    """
    raw = b""
    for _ in range(_TRIES):
        raw = _exchange(table, seconds)
        if not any(flags & _INTERRUPTED for _, flags, _ in messages(raw)):
            return raw, True
    return raw, False


def _exchange(table: Dump, seconds: float) -> bytes:
    import socket

    until = time.monotonic() + seconds
    request = _HEADER.pack(16 + len(table.body), table.request, _REQUEST_DUMP, 1, 0) + table.body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as link:
        link.bind((0, 0))
        link.sendto(request, (0, 0))
        parts: list[bytes] = []
        total = 0
        while True:
            left = until - time.monotonic()
            if left <= 0 or total > MAX_REPLY:
                raise TimeoutError("the reply of the kernel did not end")
            link.settimeout(left)
            part, sender = link.recvfrom(1 << 18)
            if sender[0] != 0:
                continue  # not from the kernel
            parts.append(part)
            total += len(part)
            for kind, _, payload in messages(part):
                if kind == _DONE:
                    return b"".join(parts)
                if kind == _ERROR:
                    number = -int.from_bytes(
                        payload[:4], "little" if _little() else "big", signed=True
                    )
                    raise OSError(number, os.strerror(number))


def _little() -> bool:
    return struct.pack("=H", 1) == b"\x01\x00"


def messages(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield type, flags and payload of each message; stops at the first that does not fit."""
    at = 0
    while at + 16 <= len(raw):
        length, kind, flags, _, _ = _HEADER.unpack_from(raw, at)
        if length < _HEADER.size or at + length > len(raw):
            return
        yield kind, flags, raw[at + 16 : at + length]
        at += (length + 3) & ~3


def attributes(raw: bytes) -> dict[int, bytes]:
    """Return attribute values by type, without the flag bits of the type; the first of a type counts."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(raw):
        length, kind = struct.unpack_from("=HH", raw, at)
        if length < 4 or at + length > len(raw):  # noqa: PLR2004 - a header
            break
        found.setdefault(kind & 0x3FFF, raw[at + 4 : at + length])
        at += (length + 3) & ~3
    return found
