"""Open sockets of every kind in every network namespace, with the processes that hold them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import artifact
from hozen_agent.items import Attempt, Outcome
from hozen_agent.sockettables import parse_table
from hozen_agent.sweep import ERROR, FILE, LINK
from hozen_agent.ustar import tar_stream
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.sweep import Entry, Sweep

_NAME = "sockets"
_SOURCE = b"/proc/PID/net"


@artifact(
    name=_NAME,
    rank=12,
    personal="personal",
    en="Sockets of each network namespace with their processes at the first sweep: proves which connections and "
    "listeners the kernel had; not what was sent, and not connections that had ended.",
    ja="最初の読取時点の、ネットワーク名前空間ごとのソケットと保持プロセス。接続・待受けの存在を示す。"
    "通信内容や終了済みの接続は示さない。",
    reads=("/proc/PID/net/*", "/proc/PID/fd/*"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the raw tables as they were read in the first sweep, and one record a socket."""
    sweep = ctx.sweep
    if not any(entry[1] == FILE for entry in _raw(sweep)):
        yield Attempt(
            artifact=_NAME,
            source=_SOURCE,
            method="procfs",
            kind="snapshot",
            personal="personal",
            outcome=Outcome.DENIED,
            reason="no socket table of any network namespace could be read",
        )
        return
    yield Attempt(
        artifact=_NAME,
        source=_SOURCE,
        method="procfs",
        kind="snapshot",
        personal="personal",
        ext="tar",
        data=tar_stream(_raw(sweep), seconds=sweep.started[0] // 1_000_000_000),
        started=sweep.started,
        ended=sweep.ended,
        tag="sockets-raw",
    )
    yield Attempt(
        artifact=_NAME,
        source=_SOURCE,
        method="derived",
        personal="personal",
        ext="jsonl",
        derived_from=("sweep", "sockets-raw"),
        data=socket_records(sweep),
        tag="sockets",
    )


def _raw(sweep: Sweep) -> Iterator[Entry]:
    return (one for one in sweep.entries if _is_socket_entry(one[0], one[1], one[2]))


def _is_socket_entry(name: bytes, kind: str, data: bytes) -> bool:
    if b"/net/" in name or name.endswith((b"/ns/net", b"proc/net")):
        return True
    return b"/fd/" in name and (kind == ERROR or data.startswith(b"socket:"))


def socket_records(sweep: Sweep) -> Iterator[bytes]:
    """Yield a line a socket: the table's fields, then `netns` (inode number) and `holders` (pid, descriptor)."""
    spaces, holders = _links(sweep)
    for name, kind, data, _ in sweep.entries:
        parts = name.split(b"/", 3)
        if kind != FILE or len(parts) != 4 or parts[2] != b"net":  # noqa: PLR2004
            continue
        netns = spaces.get(parts[1])
        for fields in parse_table(parts[3].decode("ascii", "replace"), data):
            fields["netns"] = netns
            found = holders.get(str(fields["inode"]), ())
            fields["holders"] = [{"pid": pid, "fd": descriptor} for pid, descriptor in found]
            yield dump_line(fields)


def _links(sweep: Sweep) -> tuple[dict[bytes, str], dict[str, list[tuple[int, int]]]]:
    """Return network namespace by pid, and (pid, descriptor) by socket inode; there may be very many."""
    spaces: dict[bytes, str] = {}
    holders: dict[str, list[tuple[int, int]]] = {}
    for name, kind, data, _ in sweep.entries:
        if kind != LINK:
            continue
        if name.endswith(b"/ns/net"):
            spaces[name.split(b"/")[1]] = sys.intern(data[5:-1].decode("ascii", "replace"))
        elif data.startswith(b"socket:["):
            _, pid, _, descriptor = name.split(b"/")
            inode = data[8:-1].decode("ascii", "replace")
            holders.setdefault(inode, []).append((int(pid), int(descriptor)))
    return spaces, holders
