"""Internet sockets by three ways: the tables of /proc/net, sock_diag(7), and the descriptors of processes.

No port is bound and no packet is sent to find out whether one is taken: that would change the host. So a port that both
tables leave out and whose socket no process shows is out of reach here.
"""

from __future__ import annotations

import os
import struct
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from hozen_agent.clock import now
from hozen_agent.crossview import raw
from hozen_agent.crossview.views import Part, numbers
from hozen_agent.net import netlink
from hozen_agent.net.netguard import Guard
from hozen_agent.net.sockettables import parse_table
from hozen_agent.proc.sweep import MAX_FDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.context import Context

    Fields = dict[str, object]

SOCK_DIAG: Final = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY
_EVERY_STATE: Final = 0xFFF  # those that /proc/net shows too
# table, address family, protocol, modules that answer
_KINDS: Final = (
    ("tcp", 2, 6, "tcp_diag"),
    ("tcp6", 10, 6, "tcp_diag"),
    ("udp", 2, 17, "udp_diag"),
    ("udp6", 10, 17, "udp_diag"),
)
_BOUND: Final = frozenset({"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"})
_PASSES: Final = 3
_GAP: Final = 0.05
_MAX_TABLE: Final = 64 << 20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ID: Final = struct.Struct(">HH")  # ports, in the reply after family, state, timer, retrans
_INODE_AT: Final = 4 + 48 + 16
_REPLY: Final = _INODE_AT + 4
_ALSO_DIAG: Final = "a filter of this program's own user or namespace"
_ALSO_OWNER: Final = (
    "a socket of the kernel itself (NFS, WireGuard, VXLAN, iSCSI and others), one on its way between processes, "
    "one registered with io_uring, or one of a thread with descriptors of its own"
)


def compare(ctx: Context) -> Part:
    """Return what the views of internet sockets show, and where they disagree in every pass."""
    part = Part(name="ports")
    if not raw.KNOWN:
        part.not_compared("all", "the system call numbers of this machine are not known")
        return part
    guard = Guard(ctx.proc, ctx.root)
    for kind in _KINDS:
        _tables(ctx, part, guard, kind)
    _owners(ctx, part)
    return part


# -- one table against another ----------------------------------------------------------------------------------------


def _tables(ctx: Context, part: Part, guard: Guard, kind: tuple[str, int, int, str]) -> None:
    """Compare /proc/net with sock_diag for one protocol, in the network namespace of this program."""
    table, family, protocol, module = kind
    if why := guard.refuses(SOCK_DIAG, (module,)):
        part.not_compared(f"{table} by sock_diag", why)
        return
    kept: dict[str, set[int]] = {}
    first = now()[0]
    rows: dict[int, Fields] = {}
    for number in range(1, _PASSES + 1):
        before = part.look(f"proc.net.{table}", number, lambda: _listed(ctx.proc, table, rows))
        diag = part.look(f"sock_diag.{table}", number, lambda: _diagnosed((family, protocol), rows))
        after = part.look(f"proc.net.{table}.after", number, lambda: _listed(ctx.proc, table, rows))
        if reason := before.reason or diag.reason or after.reason:
            part.not_compared(f"{table} by sock_diag", reason)
            return
        found = {
            f"proc.net.{table}": numbers(diag) - numbers(before) - numbers(after),
            f"sock_diag.{table}": (numbers(before) & numbers(after)) - numbers(diag),
        }
        kept = {k: kept[k] & found[k] for k in found} if number > 1 else found
        if not any(kept.values()):
            break
        time.sleep(_GAP)
    for lacks, inodes in kept.items():
        for inode in sorted(inodes):
            part.observe(
                "a socket that not every table shows", {"proto": table, "inode": str(inode), **rows.get(inode, {})},
                seen=[view for view in kept if view != lacks], not_seen=[lacks], also=_ALSO_DIAG, first=first,
            )  # fmt: skip
    part.compared(f"{table} by sock_diag", "differ" if any(kept.values()) else "agree")


def _listed(proc: int, table: str, rows: dict[int, Fields]) -> Iterator[int]:
    data = raw.read_all(proc, b"self/net/" + table.encode(), most=_MAX_TABLE)
    for fields in parse_table(table, data):
        inode = int(str(fields["inode"] or 0))
        if inode:
            rows[inode] = {
                key: fields[key] for key in ("local", "remote", "state") if key in fields
            }
            yield inode


def _diagnosed(asked: tuple[int, int], rows: dict[int, Fields]) -> Iterator[int]:
    """Yield the inodes that the kernel names by inet_diag_req_v2 (linux/inet_diag.h)."""
    body = struct.pack("=BBBBI", *asked, 0, 0, _EVERY_STATE) + bytes(48)
    for datagram in netlink.exchange(SOCK_DIAG, netlink.request(_BY_FAMILY, body, 1)):
        for kind, _, payload in netlink.messages(datagram):
            if kind != _BY_FAMILY or len(payload) < _REPLY:
                continue
            (inode,) = struct.unpack_from("=I", payload, _INODE_AT)
            if inode:
                local, remote = _ID.unpack_from(payload, 4)
                rows.setdefault(inode, {"local": {"port": local}, "remote": {"port": remote}})
                yield inode


# -- sockets without a holder -----------------------------------------------------------------------------------------


def _owners(ctx: Context, part: Part) -> None:
    """Compare bound sockets of every network namespace with the descriptors of processes."""
    if os.geteuid() != 0:
        part.not_compared(
            "owners of sockets", "descriptors of other users' processes cannot be read"
        )
        return
    spaces, held = _from_sweep(ctx)
    bound = _bound(ctx.sweep.entries)
    first, suspects = now()[0], {inode: one for inode, one in bound.items() if inode not in held}
    for number in range(2, 2 + _PASSES - 1):
        if not suspects:
            break
        time.sleep(_GAP)
        again = _bound_again(ctx, part, number, spaces)
        held_now = numbers(part.look("descriptors", number, lambda: _held_now(ctx)))
        suspects = {i: one for i, one in again.items() if i in suspects and i not in held_now}
    for inode, fields in sorted(suspects.items()):
        part.observe(
            "a bound socket that no process holds", {"inode": str(inode), **fields},
            seen=["proc.net"], not_seen=["descriptors"], also=_ALSO_OWNER, first=first,
        )  # fmt: skip
    result = "differ" if suspects else "agree"
    part.compared("owners of sockets", result, bound=len(bound), namespaces=len(spaces))


def _bound_again(
    ctx: Context, part: Part, number: int, spaces: dict[bytes, bytes]
) -> dict[int, Fields]:
    found: dict[int, Fields] = {}
    for space, pid in spaces.items():
        name = f"bound.{space[5:-1].decode('ascii', 'replace')}"
        part.look(name, number, partial(_bound_now, ctx.proc, pid, found))
    return found


def _from_sweep(ctx: Context) -> tuple[dict[bytes, bytes], set[int]]:
    """Return a process of each network namespace, and the inodes of sockets that the first sweep found held."""
    spaces: dict[bytes, bytes] = {}
    held: set[int] = set()
    for name, kind, data, _ in ctx.sweep.entries:
        if kind != "link":
            continue
        if name.endswith(b"/ns/net"):
            spaces.setdefault(data, name.split(b"/")[1])
        elif data.startswith(b"socket:["):
            held.add(int(data[8:-1]))
    return spaces, held


def _bound(entries: Iterable[tuple[bytes, str, bytes, int]]) -> dict[int, Fields]:
    found: dict[int, Fields] = {}
    for name, kind, data, _ in entries:
        parts = name.split(b"/", 3)
        if kind == "file" and len(parts) == 4 and parts[2] == b"net":  # noqa: PLR2004
            found |= _open_ends(parts[3].decode("ascii", "replace"), data)
    return found


def _open_ends(table: str, data: bytes) -> dict[int, Fields]:
    """Return listeners and unconnected datagram sockets by inode: connections come and go too fast to accuse one."""
    if table not in _BOUND:
        return {}
    return {
        int(str(fields["inode"])): {
            "proto": table,
            "local": fields["local"],
            "state": fields["state"],
        }
        for fields in parse_table(table, data)
        if fields["inode"] not in {None, "0"} and fields.get("state") in {"LISTEN", "UNCONNECTED"}
    }


def _bound_now(proc: int, pid: bytes, found: dict[int, Fields]) -> list[int]:
    mine: dict[int, Fields] = {}
    for table in sorted(_BOUND):
        try:
            data = raw.read_all(proc, pid + b"/net/" + table.encode(), most=_MAX_TABLE)
        except FileNotFoundError:
            continue
        mine |= _open_ends(table, data)
    found |= mine
    return list(mine)


def _held_now(ctx: Context) -> Iterator[int]:
    """Yield the inodes of sockets in the descriptors of all processes; not of threads with their own table."""
    for name, _, _ in raw.listing(ctx.proc):
        if name.isdigit():
            ctx.tick()
            yield from _sockets(ctx.proc, name + b"/fd")


def _sockets(proc: int, path: bytes) -> Iterator[int]:
    try:
        fd = os.open(path, _DIRECTORY, dir_fd=proc)
    except OSError:
        return
    try:
        for name, _, _ in raw.listing(fd, most=MAX_FDS * 64):
            try:
                target = os.readlink(name, dir_fd=fd)
            except OSError:
                continue
            if target.startswith(b"socket:["):
                yield int(target[8:-1])
    finally:
        os.close(fd)
