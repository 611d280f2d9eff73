"""The old rule tables of iptables, ip6tables and arptables as the kernel holds them (linux/netfilter/x_tables.h).

Asked by getsockopt(2) on a raw socket that sends and receives nothing. A name that has no table yet would make the
kernel create or load one, so only names that /proc/net/*_tables_names lists are asked for.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = 32
_INFO_SIZE: Final = (
    84  # struct ipt_getinfo: name, valid hooks, 5 hook entries, 5 underflows, entries, size
)
_ARP_INFO_SIZE: Final = 68  # three hooks
_ENTRIES: Final = struct.Struct("=32sI4x")  # struct ipt_get_entries, its table 8-byte aligned
ENTRIES_MAX: Final = 15 << 19  # of one table, so that it fits a record of the ring when cut
# Family to (address family, level, option of INFO, size of INFO); ENTRIES is the next option.
_FAMILIES: Final = {
    "iptables": (2, 0, 64, _INFO_SIZE),
    "ip6tables": (10, 41, 64, _INFO_SIZE),
    "arptables": (2, 0, 96, _ARP_INFO_SIZE),
}


def ask(family: str, table: bytes) -> Iterator[bytes]:
    """Yield pieces `family table NUL part`: the info, then the entries in pieces of half a mebibyte.

    Raises:
        OSError: not permitted, the table is gone, or larger than ENTRIES_MAX (EFBIG).
    """
    import socket

    address_family, level, option, size = _FAMILIES[family]
    head = family.encode() + b" " + table[:NAME] + b"\0"
    name = table[: NAME - 1].ljust(NAME, b"\0")
    with socket.socket(
        address_family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW
    ) as link:
        info = _get(link.fileno(), level, option, name + bytes(size - NAME))
        yield head + info
        length = struct.unpack_from("=I", info, size - 4)[0]
        if length > ENTRIES_MAX:
            raise OSError(27, "File too large")
        raw = _get(link.fileno(), level, option + 1, _ENTRIES.pack(name, length) + bytes(length))
        for at in range(0, len(raw), 1 << 19):
            yield head + raw[at : at + (1 << 19)]


def _get(fd: int, level: int, option: int, content: bytes) -> bytes:
    """Return what getsockopt(2) writes over `content`; Python's own method cannot pass anything in."""
    import ctypes
    import os

    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(content, len(content))
    length = ctypes.c_uint(len(content))
    if libc.getsockopt(fd, level, option, buffer, ctypes.byref(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "getsockopt")
    return buffer.raw[: length.value]
