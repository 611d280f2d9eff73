"""The catalogue of evidence families: what each is, proves, and costs the person it concerns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

    Collect = Callable[[Context], Iterator[Attempt]]

# Ranks below are the volatile part, read at normal priority; from here on it is files, read with the host's leave.
FILES_FROM_RANK = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One family of evidence.

    Attributes:
        rank: order of volatility, smaller is more volatile (RFC 3227 §2.1, law M02).
        personal: `none`, `personal` or `sensitive`.
        en: one sentence: what it proves and what it does not (law B10).
        ja: the same in Japanese.
        reads: what is read, as patterns or interfaces, for `hozen plan`.
        over_time: its files grow or follow each other over time, so that `--since` and `--until` apply to them.
    """

    name: str
    rank: int
    personal: str
    en: str
    ja: str
    reads: tuple[str, ...]
    needs_root: bool
    platforms: tuple[str, ...]
    collect: Collect
    over_time: bool = False


CATALOGUE: dict[str, Artifact] = {}


def artifact(
    *,
    name: str,
    rank: int,
    personal: str,
    en: str,
    ja: str,
    reads: tuple[str, ...],
    needs_root: bool = False,
    platforms: tuple[str, ...] = ("linux",),
    over_time: bool = False,
) -> Callable[[Collect], Collect]:
    """Enter the decorated generator in the catalogue under `name`."""

    def enter(collect: Collect) -> Collect:
        if name in CATALOGUE:
            raise InternalError(f"artifact {name} is registered twice")
        CATALOGUE[name] = Artifact(
            name=name,
            rank=rank,
            personal=personal,
            en=en,
            ja=ja,
            reads=reads,
            needs_root=needs_root,
            platforms=platforms,
            collect=collect,
            over_time=over_time,
        )
        return collect

    return enter
