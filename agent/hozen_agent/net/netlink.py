"""Questions to the kernel by netlink(7) in the standard library: one dump request, its datagrams, nothing else.

The one place of the evidence side that opens AF_NETLINK sockets, which leave nothing on any wire. Replies are bytes of
the kernel; cutting them into messages and attributes accepts any bytes and never fails.
"""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_REPLY: Final = 64 << 20
SECONDS: Final = 10.0
ROUTE, XFRM, NETFILTER, GENERIC = 0, 6, 12, 16

HEADER: Final = struct.Struct("=IHHII")
INTERRUPTED: Final = 0x10  # NLM_F_DUMP_INTR: the table changed while it was dumped
_REQUEST_DUMP: Final = 0x1 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_BUFFER: Final = 256 << 10  # eight times the largest datagram of a dump
_INT: Final = struct.Struct("=i")


def request(kind: int, body: bytes, sequence: int) -> bytes:
    """Return the bytes of a dump request (linux/netlink.h, struct nlmsghdr)."""
    return HEADER.pack(HEADER.size + len(body), kind, _REQUEST_DUMP, sequence, 0) + body


def exchange(
    protocol: int, asked: bytes, *, seconds: float = SECONDS, most: int = MAX_REPLY
) -> Iterator[bytes]:
    """Yield the kernel's datagrams up to the end of the dump.

    Raises:
        OSError: no such protocol, an error reply (its datagram was yielded), EFBIG after `most` bytes,
            ETIMEDOUT after `seconds`, EMSGSIZE for a datagram that was cut.
    """
    import socket

    until = time.monotonic() + seconds
    buffer = bytearray(_BUFFER)
    total = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as link:
        link.bind((0, 0))
        link.sendto(asked, (0, 0))
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise _error(_ETIMEDOUT)
            link.settimeout(left)
            try:
                size, _, flags, sender = link.recvmsg_into([buffer])
            except TimeoutError:
                raise _error(_ETIMEDOUT) from None
            if sender[0] != 0:
                continue  # not from the kernel
            part = bytes(memoryview(buffer)[:size])
            total += size
            yield part
            if flags & socket.MSG_TRUNC:
                raise _error(_EMSGSIZE)
            if _ended(part):
                return
            if total > most:
                raise _error(_EFBIG)


_EFBIG, _EMSGSIZE, _ETIMEDOUT = 27, 90, 110  # asm-generic/errno.h


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _ended(datagram: bytes) -> bool:
    """Return whether the dump is over.

    Raises:
        OSError: it ended with an error.
    """
    for kind, _, payload in messages(datagram):
        if kind in {_DONE, _ERROR}:
            number = -_INT.unpack_from(payload)[0] if len(payload) >= _INT.size else 0
            if number > 0:
                raise _error(number)
            return True
    return False


def changed(datagram: bytes) -> bool:
    """Return whether the kernel says that the table changed between two parts of the dump."""
    return any(flags & INTERRUPTED for _, flags, _ in messages(datagram))


def messages(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type, flags, payload) of each message; ends quietly where the bytes make no sense."""
    at = 0
    while at + HEADER.size <= len(raw):
        length, kind, flags, _, _ = HEADER.unpack_from(raw, at)
        if length < HEADER.size or at + length > len(raw):
            return
        yield kind, flags, raw[at + HEADER.size : at + length]
        at += (length + 3) & ~3


def attributes(raw: bytes) -> dict[int, bytes]:
    """Return attribute values by type, without the flag bits of the type; the first of a type counts."""
    found: dict[int, bytes] = {}
    for kind, value in attribute_list(raw):
        found.setdefault(kind, value)
    return found


def attribute_list(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) of each attribute in order: a list of nested ones repeats its type."""
    for kind, start, end in spans(raw, 0, len(raw)):
        yield kind, raw[start:end]


def spans(raw: bytes | bytearray, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (type, begin, end) of each attribute between `at` and `end`; ends where the bytes make no sense."""
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", raw, at)
        if length < 4 or at + length > end:  # noqa: PLR2004 - a header
            return
        yield kind & 0x3FFF, at + 4, at + length
        at += (length + 3) & ~3
