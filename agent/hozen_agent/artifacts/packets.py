"""Packets of a bounded window: what went over the network while the rest was read."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import artifact
from hozen_agent.items import Attempt, AttemptFailed, Outcome
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.net.packetwindow import Ending, PacketWindow

_NAME = "packets"
_SOURCE = b"AF_PACKET"


@artifact(
    name=_NAME,
    rank=46,
    personal="sensitive",
    en="Packets of a bounded window, headers only unless the profile says otherwise: proves that this host exchanged "
    "them then; shows nothing before or after, nor what the kernel hides.",
    ja="一定時間のパケット(プロファイルに定めがなければヘッダーのみ)。その間に本機が送受信したことを示す。"
    "その前後の通信やカーネルが隠す通信は示さない。",
    reads=("AF_PACKET",),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the window as a pcapng file, and one record of how it went."""
    window = ctx.packets
    if window is None:
        yield _nothing(Outcome.FAILED, "no helper was made for it before the keys existed")
        return
    window.tick = ctx.tick
    yield Attempt(
        artifact=_NAME,
        source=_SOURCE,
        method="af_packet",
        kind="record",
        personal="sensitive",
        ext="pcapng",
        data=_bytes(ctx, window),
        tag="packets-raw",
    )
    if window.ending is not None and window.ending.started:
        yield Attempt(
            artifact=_NAME,
            source=_SOURCE,
            method="derived",
            personal="none",
            ext="json",
            data=(dump_line(_record(window, window.ending)),),
            derived_from=("packets-raw",),
        )


def _bytes(ctx: Context, window: PacketWindow) -> Iterator[bytes]:
    yield from window.read(stopped=ctx.stopped)
    ending = window.ending
    if ending is not None and ending.outcome != Outcome.CAPTURED:
        raise AttemptFailed(Outcome(ending.outcome), ending.reason)


def _record(window: PacketWindow, ending: Ending) -> dict[str, object]:
    limits = window.limits
    return {
        "started": rfc3339(ending.started),
        "ended": rfc3339(ending.ended),
        "payload": limits.payload,
        "promiscuous": False,
        "limits": {name: _text(value) for name, value in asdict(limits).items()},
        "received": str(ending.received),
        "lost": str(ending.lost),
        "written": str(ending.written),
        "interfaces": list(ending.interfaces),
    }


def _text(value: object) -> object:
    """Return counts as texts, so that no reader rounds them."""
    return str(value) if type(value) is int else value


def _nothing(outcome: Outcome, reason: str) -> Attempt:
    return Attempt(
        artifact=_NAME,
        source=_SOURCE,
        method="af_packet",
        personal="sensitive",
        outcome=outcome,
        reason=reason,
    )
