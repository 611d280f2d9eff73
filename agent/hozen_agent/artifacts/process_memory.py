"""The memory of processes that the operator names, each as an ELF core file, read without stopping them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest, Through
from hozen_agent.items import Attempt, Outcome
from hozen_agent.proc import chosenpids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.chosenpids import Chosen

_NAME: Final = "process_memory"
_MOST: Final = 64 << 30
_MOST_PROCESSES: Final = 64


@artifact(
    name=_NAME,
    rank=19,
    personal="sensitive",
    en="Memory of the named processes as ELF core files, read while they run: proves what lay in each page when it "
    "was read; not one single moment, and not what was never in memory.",
    ja="指定したプロセスのメモリを、停止させずに読み取ったELFコアファイル。各ページを読んだ時点の内容を示す。"
    "単一の時点の状態ではなく、メモリ上になかったものは示さない。",
    reads=("/proc/PID/mem", "/proc/PID/maps", "/proc/PID/pagemap"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield one core file for each process that was named, and a missing attempt for each name without one."""
    for wanted in ctx.memory_of:
        found = chosenpids.matching(ctx.proc, wanted)
        if not found:
            yield _ended(wanted, Outcome.MISSING, "no such process runs")
        if len(found) > _MOST_PROCESSES:
            many = f"{len(found)} processes have this name; the first {_MOST_PROCESSES} are read"
            yield _ended(wanted, Outcome.TRUNCATED, many)
        for one in found[:_MOST_PROCESSES]:
            yield from _memory(ctx, one)


def _memory(ctx: Context, one: Chosen) -> Iterator[Attempt]:
    """Yield the core file of one process; never of ourselves, whose memory holds the keys."""
    if one.pid == os.getpid():
        yield replace(
            _ended(str(one.pid), Outcome.FAILED, "this is the capture itself: not read"),
            source=b"/proc/%d/mem" % one.pid,
        )
        return
    request = FileRequest(
        artifact=_NAME,
        path=b"/proc/%d/mem" % one.pid,
        personal="sensitive",
        ext="core",
        max_bytes=max(1, min(_MOST, ctx.room(_NAME) - chosenpids.OVERHEAD)),
        through=Through(pid=one.pid, start_ticks=one.start_ticks),
    )
    for attempt in ctx.files([request]):
        # The stat of the link says nothing; neither does a second look at it.
        yield replace(
            attempt,
            kind="snapshot",
            method="procfs",
            stat=None,
            after=None,
            coming=None,
            process=(one.pid, one.start_ticks),
        )


def _ended(wanted: str, outcome: Outcome, reason: str) -> Attempt:
    return Attempt(
        artifact=_NAME,
        source=b"/proc/*/mem of " + os.fsencode(wanted),
        method="procfs",
        kind="snapshot",
        personal="sensitive",
        outcome=outcome,
        reason=reason,
    )
