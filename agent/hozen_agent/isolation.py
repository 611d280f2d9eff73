"""Whether the network cable may be pulled now, and why: a judgement on where the evidence lies (law B08)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.reading.mounts import REMOTE

if TYPE_CHECKING:
    from hozen_agent.destination import Destination

_LOCAL_ALTHOUGH_LISTED: Final = frozenset({b"fuseblk"})  # NTFS and exFAT sticks
_NET_DISKS: Final = ("/nbd", "/rbd", "/drbd", "/session", "/nvme-fabrics", "/aoe")


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence in both languages."""

    en: str
    ja: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is said.

    Attributes:
        safe: whether pulling the cable now loses nothing that was read.
        record: the journal's sentence.
    """

    safe: bool
    lines: tuple[Line, ...]
    record: str


def advice(destination: Destination, *, seconds: float, put_off: tuple[str, ...]) -> Advice:
    """Return whether the cable may be pulled once the volatile part is durable; `seconds` is what it took."""
    over = over_the_network(destination)
    if over:
        line = Line(
            f"do NOT pull the network cable yet: the bundle is written over the network ({over}), and nothing of it "
            "lies here; wait until the capture says that it is sealed",
            f"まだネットワークを遮断しないでください。バンドルはネットワーク経由({over})で書き込まれており、"
            "手元には何も残っていません。封印完了の表示を待ってください",
        )
        return Advice(
            safe=False, lines=(line,), record=f"isolation: advised against for now: {line.en}"
        )
    lacking = f"; not yet read: {', '.join(put_off)}" if put_off else ""
    lacking_ja = f"。未取得: {', '.join(put_off)}" if put_off else ""
    lines = (
        Line(
            f"SAFE TO PULL the network cable now, after {seconds:.0f} s: everything volatile that was read is durable "
            f"on {destination.path}, and what is still to be read lies on this computer's disks{lacking}",
            f"ネットワークを遮断できます({seconds:.0f}秒)。取得した揮発性情報は{destination.path}に書込み済みで、"
            f"これから取得するものは対象機器のディスク上にあります{lacking_ja}",
        ),
        Line(
            "do not power off; the capture goes on. Hozen isolates nothing: whoever pulls the cable writes down the "
            "time, and afterwards: hozen note BUNDLE --isolated --by NAME --at TIME",
            "電源は切らないでください。取得は続きます。Hozenは隔離を行いません。遮断した人は時刻を書き留め、"
            "取得後に記録してください: hozen note BUNDLE --isolated --by 氏名 --at 時刻",
        ),
    )
    return Advice(safe=True, lines=lines, record=f"isolation: {lines[0].en}")


def over_the_network(destination: Destination) -> str:
    """Return by what the destination depends on the network, an empty string for a medium of this computer."""
    kind = destination.mount.split(" ", 1)[0]
    name = os.fsencode(kind).partition(b".")[0] if kind.startswith("fuse.") else os.fsencode(kind)
    if name in REMOTE and name not in _LOCAL_ALTHOUGH_LISTED:
        return kind
    device = os.fstat(destination.fd).st_dev
    try:
        where = os.readlink(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    except OSError:
        return ""
    return next((f"a network disk: {part[1:]}" for part in _NET_DISKS if part in where), "")
