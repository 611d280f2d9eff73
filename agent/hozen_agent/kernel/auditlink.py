"""The kernel's audit system, asked over its own netlink family: status and rules, nothing set (linux/audit.h).

Only AUDIT_GET and AUDIT_LIST_RULES are sent; neither makes us the audit daemon, nor is either logged. The kernel
answers the first pid namespace alone, and only with CAP_AUDIT_CONTROL.
"""

from __future__ import annotations

import os
import struct
import time
from typing import Final

GET: Final = 1000
LIST_RULES: Final = 1013
SECONDS: Final = 5.0
MAX_REPLY: Final = 16 << 20

FAMILY: Final = 9  # NETLINK_AUDIT
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = 1
_ERROR, _DONE = 2, 3


def ask(kind: int, *, seconds: float = SECONDS) -> list[bytes]:
    """Return the payloads of the kernel's answers to AUDIT_GET (one) or AUDIT_LIST_RULES (one a rule).

    Raises:
        OSError: EPROTONOSUPPORT for a kernel without audit, EPERM, or ECONNREFUSED; TimeoutError when the answer does
            not end in `seconds` or within MAX_REPLY bytes.
    """
    import socket

    until = time.monotonic() + seconds
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, FAMILY) as link:
        link.bind((0, 0))  # joins no group: what others are told is not for us
        link.sendto(_HEADER.pack(_HEADER.size, kind, _REQUEST, 1, 0), (0, 0))
        found: list[bytes] = []
        total = 0
        while True:
            left = until - time.monotonic()
            if left <= 0 or total > MAX_REPLY:
                raise TimeoutError("the answer of the audit system did not end")
            link.settimeout(left)
            part, sender = link.recvfrom(1 << 16)
            total += len(part)
            if sender[0] == 0 and _take(part, kind, found):
                return found


def _take(part: bytes, kind: int, found: list[bytes]) -> bool:
    """Enter the payloads of a datagram; return whether it was the last.

    Raises:
        OSError: the kernel refused.
    """
    at = 0
    while at + _HEADER.size <= len(part):
        length, got, _, _, _ = _HEADER.unpack_from(part, at)
        if length < _HEADER.size:
            return True
        payload = part[at + _HEADER.size : at + length]
        if got == _ERROR and len(payload) >= 4:  # noqa: PLR2004 - the number
            number = -int(struct.unpack_from("=i", payload)[0])
            raise OSError(number, os.strerror(number), "audit")
        if got == kind:
            found.append(payload)
        if got == _DONE or (got == kind == GET):
            return True
        at += (length + 3) & ~3
    return False
