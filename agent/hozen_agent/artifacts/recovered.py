"""Deleted programs, libraries and open files that only a process keeps alive: gone for good when it ends."""

from __future__ import annotations

import os
import stat as modes
from dataclasses import replace
from errno import ELOOP, ENOENT
from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest, Through
from hozen_agent.items import Attempt, Outcome
from hozen_agent.proc import leadscan, procdir
from hozen_agent.proc.heldrecords import Held, record_lines
from hozen_agent.reading.files import extension
from hozen_agent.recorder import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.leads import Holder, Lead

_NAME: Final = "recovered"
_GONE: Final = b" (deleted)"
_MOST: Final = 4 << 30
_REMOTE: Final = "on a mount that may wait for another machine, or is unknown; not opened"
_ORDER: Final = {b"exe": 0, b"map_files": 1, b"fd": 2}


@artifact(
    name=_NAME,
    rank=18,
    personal="personal",
    en="Deleted or memory-only programs, libraries and open files of running processes, whole: proves what these "
    "processes ran or still hold; not who deleted the files, nor what was closed before.",
    ja="実行中のプロセスが保持する、削除済み又はメモリ上のみのプログラム、ライブラリ及び開いているファイルの全内容。"
    "何が実行又は保持されていたかを示す。誰が削除したか、及び既に閉じられたものは示さない。",
    reads=("/proc/PID/exe", "/proc/PID/fd/*", "/proc/PID/map_files/*"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every deleted file once, small ones first, and at last one record for each of them."""
    if not ctx.leads.scanned:
        leadscan.scan(ctx.proc, ctx.leads, tick=ctx.tick)
    held, refused = _found(ctx)
    yield from refused
    yield from _contents(ctx, held)
    if held:
        yield _records(held)
    for what, (count, pids) in ctx.leads.not_seen.items():
        first = " ".join(map(str, pids))
        why = f"not looked at for deleted files, of {count} processes: {what}; the first: {first}"
        yield _ended(b"/proc", Outcome.TRUNCATED, why)
    if ctx.leads.left_out:
        yield _ended(
            b"/proc",
            Outcome.TRUNCATED,
            f"{ctx.leads.left_out} deleted files beyond the first {len(list(ctx.leads))} were left out",
        )


def _found(ctx: Context) -> tuple[list[Held], list[Attempt]]:
    """Return the files that are there and really deleted, each inode once, and what could not be looked at."""
    met: dict[tuple[int, int], Held] = {}
    refused = []
    memory = procdir.memory_device()
    for lead in ctx.leads:
        try:
            held = _look(ctx.proc, lead)
        except OSError as error:
            outcome, reason = outcome_of(error)
            refused.append(_refusal(lead.holders[0], lead.target, outcome, reason))
            continue
        finally:
            ctx.tick()
        if held is None:
            continue
        if held.mount not in ctx.leads.local.ids and held.stat.dev != memory:
            refused.append(
                replace(_refusal(held.holder, held.target, Outcome.FAILED, _REMOTE), stat=held.stat)
            )
            continue
        known = met.setdefault((held.stat.dev, held.stat.ino), held)
        if known is not held:
            known.also(held)
    return sorted(met.values(), key=_urgency), refused


def _urgency(held: Held) -> tuple[int, int]:
    """Programs first, small files before large ones: a limit shall cost as few files as it can."""
    return _ORDER[held.holder.name.partition(b"/")[0]], held.stat.size


def _look(proc: int, lead: Lead) -> Held | None:
    """Return what the lead leads to, through the first of its processes that is still there; None if not deleted.

    Raises:
        OSError: none of them is, or the link cannot be followed.
    """
    failure: OSError | None = None
    for holder in lead.holders:
        try:
            return _pin(proc, lead, holder)
        except FileNotFoundError as error:
            failure = error
        except ProcessLookupError as error:
            failure = error
    raise failure or OSError(ENOENT, os.strerror(ENOENT))


def _pin(proc: int, lead: Lead, holder: Holder) -> Held | None:
    at = procdir.open_process(proc, holder.pid, holder.start_ticks)
    try:
        target = os.readlink(holder.name, dir_fd=at)
        pinned = os.open(holder.name, procdir.PIN, dir_fd=at)
        try:
            stat, mount = procdir.look(pinned)
        finally:
            os.close(pinned)
    finally:
        os.close(at)
    if modes.S_ISLNK(stat.mode):
        raise OSError(ELOOP, os.strerror(ELOOP))
    if not modes.S_ISREG(stat.mode) or stat.nlink:
        return None  # a fifo, device, socket or directory; or a file that is only called so
    return Held(
        holder=holder, target=target, stat=stat, mount=mount, holders=list(lead.holders), more=lead.more
    )  # fmt: skip


def _contents(ctx: Context, held: list[Held]) -> Iterator[Attempt]:
    """Yield the content of each; of those whose name is that of a secret only what is known of them."""
    asked = [one for one in held if not one.withheld]
    answers = ctx.files(_request(ctx, one) for one in asked)
    for one in held:
        if one.withheld:
            yield _withheld(one)
            continue
        attempt = next(answers, None)
        if attempt is None:  # nothing is read for the plan alone
            return
        yield replace(
            attempt,
            link_target=one.target,
            process=(one.holder.pid, one.holder.start_ticks),
            tag=one.tag,
        )


def _request(ctx: Context, held: Held) -> FileRequest:
    program = not held.holder.name.startswith(b"fd/")
    return FileRequest(
        artifact=_NAME,
        path=held.path,
        ext="bin" if program else extension(held.target.removesuffix(_GONE)),
        max_bytes=max(1, min(_MOST, ctx.room(_NAME))),
        newest=not program,  # of a log the end says most; of a program the beginning
        through=Through(
            pid=held.holder.pid,
            start_ticks=held.holder.start_ticks,
            inode=(held.stat.dev, held.stat.ino),
        ),
    )


def _withheld(held: Held) -> Attempt:
    return Attempt(
        artifact=_NAME,
        source=held.path,
        method="syscall",
        kind="metadata",
        personal="personal",
        outcome=Outcome.CAPTURED,
        reason=f"content left out on purpose: {held.withheld}",
        stat=held.stat,
        link_target=held.target,
        withheld=held.withheld,
        process=(held.holder.pid, held.holder.start_ticks),
        tag=held.tag,
    )


def _refusal(holder: Holder, target: bytes, outcome: Outcome, reason: str) -> Attempt:
    path = b"/proc/%d/%b" % (holder.pid, holder.name)
    return replace(
        _ended(path, outcome, reason),
        link_target=target,
        process=(holder.pid, holder.start_ticks),
        withheld="",
    )


def _ended(source: bytes, outcome: Outcome, reason: str) -> Attempt:
    return Attempt(
        artifact=_NAME,
        source=source,
        method="syscall",
        kind="file",
        personal="personal",
        outcome=outcome,
        reason=reason,
    )


def _records(held: list[Held]) -> Attempt:
    return Attempt(
        artifact=_NAME,
        source=b"/proc",
        method="derived",
        personal="personal",
        ext="jsonl",
        derived_from=tuple(one.tag for one in held),
        data=record_lines(held),
    )
