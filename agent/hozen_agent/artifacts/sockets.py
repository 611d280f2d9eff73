"""Open sockets of every kind in every network namespace, with the processes that hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import artifact
from hozen_agent.items import Attempt, Outcome
from hozen_agent.proc.sweep import ERROR, FILE
from hozen_agent.reading.ustar import tar_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.sweep import Entry, Sweep

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
    reads=(
        "/proc/PID/net/*",
        "/proc/PID/fd/*",
        "/proc/PID/mountinfo",
        "network namespaces without a process",
    ),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the raw tables of the first sweep, those of namespaces without a process, and one record a socket."""
    from hozen_agent.net.netspaces import Spaces
    from hozen_agent.net.socketspaces import empty_spaces, rare_tables, records, space_records

    sweep = ctx.sweep
    if not any(entry[1] == FILE for entry in _raw(sweep)):
        yield _denied()
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
    spaces = Spaces(sweep, ctx.proc)
    more: list[Entry] = []
    tags = []
    for part in (rare_tables(ctx, spaces), empty_spaces(ctx, spaces)):
        for attempt, entries in part:
            yield attempt
            more += entries
            tags += [attempt.tag] if attempt.tag else []
    yield space_records(spaces)
    yield records(ctx, sweep, more, tuple(tags))


def _denied() -> Attempt:
    return Attempt(
        artifact=_NAME,
        source=_SOURCE,
        method="procfs",
        kind="snapshot",
        personal="personal",
        outcome=Outcome.DENIED,
        reason="no socket table of any network namespace could be read",
    )


def _raw(sweep: Sweep) -> Iterator[Entry]:
    return (one for one in sweep.entries if _is_socket_entry(one[0], one[1], one[2]))


def _is_socket_entry(name: bytes, kind: str, data: bytes) -> bool:
    if b"/net/" in name or name.endswith((b"/ns/net", b"proc/net")):
        return True
    return b"/fd/" in name and (kind == ERROR or data.startswith((b"socket:", b"net:[")))
