r"""What tools need of procfs files and the kernel did not promise them; only the derived view is repaired.

One item that a tool does not expect ends its whole listing (Dissect 3.25: a byte that is no UTF-8 in one command line,
a connecting UNIX socket, a name with a blank, an absent table when IPv6 is off). The sealed bytes lie beside the view.
"""

from __future__ import annotations

import re
from typing import Final

_INET: Final = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
_INET6: Final = (
    b"  sl  local_address                         remote_address                        st tx_queue rx_queue"
    b" tr tm->when retrnsmt   uid  timeout inode\n"
)
HEADERS: Final = {
    b"tcp": _INET, b"udp": _INET, b"raw": _INET, b"tcp6": _INET6, b"udp6": _INET6, b"raw6": _INET6,
    b"unix": b"Num       RefCount Protocol Flags    Type St Inode Path\n",
    b"packet": b"sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n",
}  # fmt: skip
_TEXTS: Final = frozenset({b"stat", b"status", b"cmdline", b"environ", b"comm"})
_STAT: Final = re.compile(rb"([0-9]+) \((.*)\) (\S) (-?[0-9]+) ", re.DOTALL)
_UNIX: Final = re.compile(
    rb"([0-9a-fA-F]+: [0-9A-F]+ [0-9A-F]+ [0-9A-F]+ 000[125] 0[13] +[0-9]+)( .*)?"
)
# The numbers that Dissect knows; any other one ends its listing.
_PACKET: Final = re.compile(
    rb"[0-9a-fA-F]+ +[0-9]+ +[0-9]+ +(?:000[1-9]|001[15679]) +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ *"
)
_OF_PROCESS: Final = re.compile(rb"proc/[0-9]+/(?:task/[0-9]+/)?stat")
_STARTED: Final = 19  # fields between the parent and the start time of stat(5)
STUB: Final = b"(hozen-stub)"


def parent_of(stat: bytes) -> tuple[int, str] | None:
    """Return the parent's number and the start in ticks from the text of `stat`; None when it is not whole."""
    found = _STAT.match(stat)
    rest = stat[found.end() :].split() if found else []
    if found is None or len(rest) < _STARTED:
        return None
    return int(found[4]), rest[_STARTED - 2].decode("ascii", "replace")


def stub(pid: int) -> bytes:
    """Return a `stat` that stands for a parent of which nothing was captured; its name says so."""
    return b"%d %s X 0 0 0 0 -1" % (pid, STUB) + b" 0" * 44 + b"\n"


def repaired(name: bytes, data: bytes) -> tuple[bytes, str]:
    """Return the form for tools and why it differs; an empty reason when it does not."""
    last = name.rpartition(b"/")[2]
    if name.rpartition(b"/")[0].endswith(b"/net"):
        return _table(last, data)
    if last not in _TEXTS:
        return data, ""
    fixed, reasons = _text(data)
    if _OF_PROCESS.fullmatch(name) and b"\n" in fixed[:-1]:
        fixed = fixed[:-1].replace(b"\n", b"\\x0a") + fixed[-1:]
        reasons.append("a line break in the name")
    return fixed, "; ".join(reasons)


def _text(data: bytes) -> tuple[bytes, list[str]]:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace").encode(), ["bytes that are no UTF-8"]
    return data, []


def _table(table: bytes, data: bytes) -> tuple[bytes, str]:
    if table not in HEADERS:
        return data, ""
    if table not in (b"unix", b"packet"):
        fixed, reasons = _text(data)
        return fixed, "; ".join(reasons)
    head, *rows = data.splitlines(keepends=False) or [HEADERS[table].rstrip(b"\n")]
    kept = [one for row in rows if (one := _row(table, row)) is not None]
    fixed = b"".join(row + b"\n" for row in (_text(head)[0], *kept))
    if fixed == data:
        return data, ""
    left_out = len(rows) - len(kept)
    return (
        fixed,
        f"blanks and odd bytes of names; {left_out} lines left out that the tool cannot read",
    )


def _row(table: bytes, row: bytes) -> bytes | None:
    """Return a line that the tool can read, or None."""
    if table == b"packet":
        return row if _PACKET.fullmatch(row) else None
    found = _UNIX.fullmatch(row)
    if found is None:
        return None
    path = (found[2] or b"")[1:]
    shown = b"".join(
        bytes((byte,)) if 0x20 < byte < 0x7F else b"\\x%02x" % byte  # noqa: PLR2004 - ASCII
        for byte in path
    )
    return found[1] + (b" " + (shown if _other(path) else path) if path else b"")


def _other(path: bytes) -> bool:
    """Return whether a name has blanks, controls, or is no UTF-8."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return len(text.split()) != 1 or not text.isprintable()
