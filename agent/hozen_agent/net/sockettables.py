"""The socket tables of /proc/PID/net as records (proc_pid_net(5), Documentation/networking/proc_net_tcp.rst).

The kernel prints these tables as text of fixed columns; a unix socket's name alone is free bytes and may even hold a
newline. What does not fit the form becomes a record `unparsed`, so that nothing is dropped in silence.
"""

from __future__ import annotations

import re
import sys
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Fields = dict[str, object]

# include/net/tcp_states.h
TCP_STATES = (
    "", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
    "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV", "BOUND_INACTIVE",
)  # fmt: skip
# A datagram socket borrows two of these words.
_DATAGRAM_STATES = {1: "ESTABLISHED", 7: "UNCONNECTED"}
# include/uapi/linux/net.h, SS_*
_UNIX_STATES = ("FREE", "UNCONNECTED", "CONNECTING", "CONNECTED", "DISCONNECTING")
_TYPES = {1: "stream", 2: "dgram", 3: "raw", 4: "rdm", 5: "seqpacket", 6: "dccp", 10: "packet"}
_ACCEPTING = 0x10000  # __SO_ACCEPTCON
_INET = re.compile(
    rb"\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) "
    rb"([0-9A-F]{2}) ([0-9A-F]{8,16}):([0-9A-F]{8,16}) \S+ \S+\s+(\d+)\s+\d+ (\d+)(?: |$)"
)
_UNIX = re.compile(
    rb"[0-9a-f]+: ([0-9A-F]{8}) ([0-9A-F]{8}) ([0-9A-F]{8}) ([0-9A-F]{4}) ([0-9A-F]{2})\s+(\d+)(?: (.*))?",
    re.DOTALL,
)


def parse_table(table: str, data: bytes) -> Iterator[Fields]:
    """Yield one record a socket; `table` is the file's name below net/, as in `tcp6` or `sctp/eps`."""
    parse = _PARSERS.get(table)
    if parse is None:
        return
    for line in data.split(b"\n")[1:]:
        if line.strip():
            yield parse(table, line) or {
                "proto": table,
                "unparsed": percent_encode(line[:4096]),
                "inode": None,
            }


def address(text: bytes) -> str:
    """Return an address that the kernel printed as 32-bit words of the host's byte order."""
    raw = b"".join(
        int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)
    )
    if len(raw) == 4:  # noqa: PLR2004
        return ".".join(map(str, raw))
    return str(IPv6Address(raw))


def _inet(table: str, line: bytes) -> Fields | None:
    found = _INET.match(line)
    if found is None:
        return None
    number = int(found[5], 16)
    if table.startswith("tcp"):
        state = TCP_STATES[number] if number < len(TCP_STATES) else str(number)
    else:
        state = _DATAGRAM_STATES.get(number, str(number))
    return {
        "proto": table,
        "local": {"address": address(found[1]), "port": int(found[2], 16)},
        "remote": {"address": address(found[3]), "port": int(found[4], 16)},
        "state": state,
        "tx_queue": int(found[6], 16),
        "rx_queue": int(found[7], 16),
        "uid": int(found[8]),
        "inode": found[9].decode(),
    }


def _unix(table: str, line: bytes) -> Fields | None:
    found = _UNIX.fullmatch(line)
    if found is None:
        return None
    kind, state, name = int(found[4], 16), int(found[5], 16), found[7]
    listening = bool(int(found[3], 16) & _ACCEPTING)
    word = _UNIX_STATES[state] if state < len(_UNIX_STATES) else str(state)
    return {
        "proto": table,
        "type": _TYPES.get(kind, str(kind)),
        "state": "LISTEN" if listening else word,
        "references": int(found[1], 16),
        # The kernel prints the NUL in front of an abstract name, and those within, as `@`.
        "name": None if name is None else percent_encode(name),
        "abstract": None if name is None else name.startswith(b"@"),
        "inode": found[6].decode(),
    }


def _packet(table: str, line: bytes) -> Fields | None:
    words = line.split()
    try:
        kind = int(words[2])
        return {
            "proto": table,
            "type": _TYPES.get(kind, str(kind)),
            "protocol": f"0x{int(words[3], 16):04x}",
            "interface": int(words[4]),
            "uid": int(words[7]),
            "inode": str(int(words[8])),
        }
    except (IndexError, ValueError):
        return None


def _netlink(table: str, line: bytes) -> Fields | None:
    words = line.split()
    try:
        return {
            "proto": table,
            "protocol": int(words[1]),
            "port_id": int(words[2]),
            "groups": f"0x{int(words[3], 16):x}",
            "inode": str(int(words[9])),
        }
    except (IndexError, ValueError):
        return None


def _sctp_endpoint(table: str, line: bytes) -> Fields | None:
    words = line.split()
    try:
        return {
            "proto": table,
            "state": "LISTEN" if int(words[3]) == 10 else words[3].decode(),  # noqa: PLR2004
            "local": {"addresses": _texts(words[8:]), "port": int(words[5])},
            "uid": int(words[6]),
            "inode": str(int(words[7])),
        }
    except (IndexError, ValueError):
        return None


def _sctp_association(table: str, line: bytes) -> Fields | None:
    left, arrow, right = line.partition(b"<->")
    words = left.split()
    try:
        if not arrow:
            return None
        return {
            "proto": table,
            "state": words[4].decode("ascii"),
            "local": {"addresses": _texts(words[13:]), "port": int(words[11])},
            "remote": {"addresses": _addresses(right), "port": int(words[12])},
            "uid": int(words[9]),
            "inode": str(int(words[10])),
        }
    except (IndexError, ValueError):
        return None


def _addresses(text: bytes) -> list[str]:
    """The addresses come before the first plain number; the primary one carries a `*`."""
    found = []
    for word in text.split():
        if word.isdigit():
            break
        found.append(word)
    return _texts(found)


def _texts(words: list[bytes]) -> list[str]:
    return [percent_encode(word.removeprefix(b"*")) for word in words]


_PARSERS: dict[str, Callable[[str, bytes], Fields | None]] = {
    **dict.fromkeys(
        ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6"), _inet
    ),
    "unix": _unix,
    "packet": _packet,
    "netlink": _netlink,
    "sctp/eps": _sctp_endpoint,
    "sctp/assocs": _sctp_association,
}
