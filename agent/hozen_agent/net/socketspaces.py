"""Socket tables beyond the first sweep: of rare protocols, and of network namespaces that no process lives in."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from hozen_agent.clock import now
from hozen_agent.items import Attempt, Outcome
from hozen_agent.net.netask import Answers, Ended, ask
from hozen_agent.net.socketrecords import socket_records
from hozen_agent.proc.entries import listing, read_entries
from hozen_agent.proc.sweep import FILE, NET_TABLES
from hozen_agent.reading.ustar import tar_stream
from hozen_agent.workers.jobs import pool_of
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.net.netspaces import Space, Spaces
    from hozen_agent.proc.sweep import Entry, Sweep

    Found = tuple[Attempt, list[Entry]]

_NAME: Final = "sockets"
MOST_UNLISTED: Final = 4096
_SECONDS: Final = 20.0
# Present only where the protocol is loaded already; nothing is opened that is not listed.
RARE: Final = (
    b"hci l2cap rfcomm sco bnep hidp cmtp iso pfkey pppoe llc/socket x25/socket ax25 netrom rose can/rcvlist_all "
    b"phonet pnresource atm/vc atm/svc pppol2tp ip_vs ip_vs_conn rxrpc/calls rxrpc/conns tipc/sockets"
).split()


def rare_tables(ctx: Context, spaces: Spaces) -> Iterator[Found]:
    """Yield one tar of the tables of rare protocols in all namespaces, where there are any."""
    started = now()
    entries: list[Entry] = []
    for space in spaces.by_inode.values():
        for pid in islice(space.pids, 1):
            entries += _rare_of(ctx, b"%d" % pid)
    if not entries:
        return
    attempt = Attempt(
        artifact=_NAME,
        source=b"/proc/PID/net",
        method="procfs",
        kind="snapshot",
        personal="personal",
        ext="tar",
        data=tar_stream(entries, seconds=started[0] // 1_000_000_000),
        started=started,
        ended=now(),
        tag="sockets-rare",
    )
    yield attempt, entries


def _rare_of(ctx: Context, pid: bytes) -> list[Entry]:
    try:
        there = set(listing(ctx.proc, pid + b"/net"))
    except OSError:
        return []  # ended meanwhile; the sweep has its namespace and its sockets
    wanted = [b"net/" + name for name in RARE if name.partition(b"/")[0] in there]
    return read_entries(ctx.proc, pid, wanted, name=b"proc/") if wanted else []


def empty_spaces(ctx: Context, spaces: Spaces) -> Iterator[Found]:
    """Yield the socket tables of each namespace without a process, or why it could not be entered."""
    tables = tuple(table.decode() for table in NET_TABLES)
    for space in spaces.by_inode.values():
        if not space.processes:
            yield _of_space(ctx, space, tables)


def _of_space(ctx: Context, space: Space, tables: tuple[str, ...]) -> Found:
    failure = Ended("", Outcome.MISSING, "no way into it was found")
    started = now()
    for place in islice(space.places, 4):
        answers = Answers(tables)
        parts: dict[str, list[bytes]] = {}
        for name, _, piece in ask(pool_of(ctx), place, answers, seconds=_SECONDS):
            parts.setdefault(name, []).append(piece)
        if answers.entered is None:
            return _entered(space, answers, parts, started)
        failure = answers.entered
    return _attempt(space, started, outcome=failure.outcome, reason=failure.reason), []


def _entered(
    space: Space, answers: Answers, parts: dict[str, list[bytes]], started: tuple[int, int]
) -> Found:
    prefix = b"netns/%d/" % space.inode
    entries: list[Entry] = []
    bad = []
    for ended in answers.ended:
        if ended.outcome is None or ended.name in parts:
            data = b"".join(parts.get(ended.name, ()))
            entries.append((prefix + ended.name.encode(), FILE, data, 0))
        if ended.outcome not in {None, Outcome.MISSING}:
            bad.append(f"{ended.name}: {ended.reason}")
    attempt = _attempt(
        space,
        started,
        data=tar_stream(entries, seconds=started[0] // 1_000_000_000),
        outcome=Outcome.TRUNCATED if bad else None,
        reason="; ".join(bad)[:500],
    )
    return attempt, entries


def _attempt(
    space: Space, started: tuple[int, int], *, data: Iterator[bytes] | None = None,
    outcome: Outcome | None = None, reason: str = "",
) -> Attempt:  # fmt: skip
    return Attempt(
        artifact=_NAME,
        source=b"net:[%d]" % space.inode,
        method="procfs",
        kind="snapshot",
        personal="personal",
        ext="tar" if data is not None else "bin",
        data=data,
        outcome=outcome,
        reason=reason,
        started=started,
        ended=now(),
        tag=f"sockets-{space.inode}" if data is not None else "",
    )


def space_records(spaces: Spaces) -> Attempt:
    """Return one record a network namespace: what lives in it and what else keeps it."""
    return Attempt(
        artifact=_NAME,
        source=b"network namespaces",
        method="derived",
        ext="jsonl",
        derived_from=("sweep",),
        outcome=Outcome.TRUNCATED if spaces.left_out else None,
        reason=f"{spaces.left_out} more were left out by the cap" if spaces.left_out else "",
        data=[dump_line(_space_fields(space)) for space in spaces.by_inode.values()],
    )


def _space_fields(space: Space) -> dict[str, object]:
    return {
        "netns": str(space.inode),
        "processes": space.processes,
        "pids": space.pids,
        "descriptors": [{"pid": pid, "fd": fd} for pid, fd in space.descriptors],
        "paths": [{"pid": pid, "path": percent_encode(path)} for pid, path in space.paths],
    }


def records(ctx: Context, sweep: Sweep, more: list[Entry], tags: tuple[str, ...]) -> Attempt:
    """Return the records of all sockets; those that no table lists are named by the kernel one by one."""
    return Attempt(
        artifact=_NAME,
        source=b"/proc/PID/net",
        method="derived",
        personal="personal",
        ext="jsonl",
        derived_from=("sweep", "sockets-raw", *tags),
        data=socket_records(sweep, more, names=lambda left: _protocol_names(ctx, left)),
        tag="sockets",
    )


def _protocol_names(ctx: Context, left: dict[str, list[tuple[int, int]]]) -> dict[str, bytes]:
    """Return what the kernel calls the protocol of each socket (`system.sockprotoname`), where it still is there."""
    some = islice(left.items(), MOST_UNLISTED)
    wanted = {f"socket/{held[0][0]}/{held[0][1]}/{inode}": inode for inode, held in some}
    if len(left) > MOST_UNLISTED:
        ctx.note(f"sockets: {len(left) - MOST_UNLISTED} sockets that no table lists were not named")
    if not wanted or pool_of(ctx) is None:
        return {}
    found = ask(pool_of(ctx), None, Answers(tuple(wanted)), seconds=_SECONDS)
    return {wanted[name]: piece.rstrip(b"\0") for name, _, piece in found}
