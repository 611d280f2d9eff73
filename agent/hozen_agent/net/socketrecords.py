"""One record a socket: what the kernel's table says, its network namespace, and the processes that hold it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hozen_agent.net.sockettables import parse_table
from hozen_agent.proc.sweep import FILE, LINK
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_agent.proc.sweep import Entry, Sweep

    Holder = tuple[int, int]
    Names = Callable[[dict[str, list[Holder]]], dict[str, bytes]]


def _no_names(_unlisted: dict[str, list[Holder]]) -> dict[str, bytes]:
    return {}


def socket_records(
    sweep: Sweep, more: Iterable[Entry] = (), *, names: Names = _no_names
) -> Iterator[bytes]:
    """Yield a line a socket: the table's fields, then `netns` (inode number) and `holders`.

    Args:
        sweep: the first sweep.
        more: tables read later, as `proc/PID/net/TABLE` or `netns/INODE/net/TABLE`.
        names: gives the protocol names of sockets that a process holds and no table lists.
    """
    spaces, holders, starts = _links(sweep)
    listed: set[str] = set()
    for entries in (sweep.entries, more):
        for name, kind, data, _ in entries:
            parts = name.split(b"/", 3)
            if kind != FILE or len(parts) != 4 or parts[2] != b"net":  # noqa: PLR2004
                continue
            pinned = parts[0] == b"netns"
            netns = parts[1].decode("ascii", "replace") if pinned else spaces.get(parts[1])
            for fields in parse_table(parts[3].decode("ascii", "replace"), data):
                inode = str(fields["inode"])
                listed.add(inode)
                fields["netns"] = netns
                fields["holders"] = _holders(holders.get(inode, ()), starts)
                yield dump_line(fields)
    left = {inode: held for inode, held in holders.items() if inode not in listed}
    found = names(left)
    for inode, held in left.items():
        yield dump_line(
            {
                "proto": "unlisted",
                "name": percent_encode(found[inode]) if inode in found else None,
                "inode": inode,
                "netns": None,
                "holders": _holders(held, starts),
            }
        )


def _holders(found: Iterable[Holder], starts: dict[int, str]) -> list[dict[str, object]]:
    return [{"pid": pid, "fd": fd, "start_ticks": starts.get(pid)} for pid, fd in found]


def _links(
    sweep: Sweep,
) -> tuple[dict[bytes, str], dict[str, list[Holder]], dict[int, str]]:
    """Return network namespace by pid, (pid, descriptor) by socket inode, start time by pid; there may be very many."""
    spaces: dict[bytes, str] = {}
    holders: dict[str, list[Holder]] = {}
    starts: dict[int, str] = {}
    for name, kind, data, _ in sweep.entries:
        if kind == LINK:
            if data.startswith(b"socket:["):
                _, pid, _, descriptor = name.split(b"/")
                inode = data[8:-1].decode("ascii", "replace")
                holders.setdefault(inode, []).append((int(pid), int(descriptor)))
            elif name.endswith(b"/ns/net"):
                spaces[name.split(b"/")[1]] = sys.intern(data[5:-1].decode("ascii", "replace"))
        elif kind == FILE and name.endswith(b"/stat") and name.count(b"/") == 2:  # noqa: PLR2004
            fields = data[data.rfind(b")") + 2 :].split(None, 20)
            if len(fields) > 19:  # noqa: PLR2004 - field 22, the start time
                starts[int(name.split(b"/")[1])] = fields[19].decode("ascii", "replace")
    return spaces, holders, starts
