"""Ways to change a running kernel that it lists itself: ftrace, kprobes, uprobes, live patches."""

from __future__ import annotations

import os
from errno import ENOENT
from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.items import Attempt
from hozen_agent.kernel import kernelfs
from hozen_agent.kernel.tracerecords import trace_record
from hozen_agent.proc.entries import listing, listing_or_error, read_entries
from hozen_agent.proc.sweep import ERROR, FILE
from hozen_agent.reading.ustar import tar_stream
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.sweep import Entry

    Reader = Callable[[int, bytes], list[Entry]]

_NAME: Final = "kernel_tracing"
# Each may be read often; never trace_pipe, free_buffer (they consume) or trace (it stops tracing).
_TRACING: Final = (
    b"current_tracer tracing_on trace_clock trace_options tracing_cpumask set_event set_event_pid "
    b"set_event_notrace_pid set_ftrace_filter set_ftrace_notrace set_ftrace_pid set_ftrace_notrace_pid "
    b"set_graph_function kprobe_events kprobe_profile uprobe_events uprobe_profile dynamic_events synthetic_events "
    b"enabled_functions touched_functions dyn_ftrace_total_info error_log"
).split()
_INSTANCE: Final = (
    b"current_tracer tracing_on set_event set_event_pid set_ftrace_filter set_ftrace_pid".split()
)
_KPROBES: Final = b"kprobes/list kprobes/enabled".split()
_PATCH: Final = b"enabled transition replace".split()
_MOST: Final = 64
_CAP: Final = 8 << 20
_SYMBOLS: Final = 4096  # of /proc/kallsyms: whether it shows addresses


@artifact(
    name=_NAME,
    rank=22,
    personal="none",
    en="ftrace, kprobes, uprobes, trace events and live patches as the kernel lists them: proves which functions it "
    "admits to intercept; many are set by monitoring tools, and a rootkit that patches code itself is not listed.",
    ja="ftrace、kprobe、uprobe、トレースイベント、ライブパッチの一覧。カーネルが申告する関数の横取りを示す。監視製品が"
    "設定するものも多く、コードを直接書き換えるルートキットは載らない。",
    reads=("tracefs", "/sys/kernel/debug/kprobes", "/sys/kernel/livepatch", "/proc/kallsyms"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the raw texts and one record made of them."""
    started = now()
    entries = [
        *_from(ctx, b"tracefs", b"tracing", _tracing),
        *_from(ctx, b"debugfs", b"debug", _kprobes),
        *_patches(ctx),
        *(
            entry
            for entry in read_entries(ctx.proc, b"", (b"kallsyms",), name=b"proc/", cap=_SYMBOLS)
            if entry[1] == FILE  # cut on purpose, so no error
        ),
    ]
    yield Attempt(
        artifact=_NAME,
        source=b"tracefs,debugfs,/sys/kernel/livepatch",
        method="procfs",
        kind="snapshot",
        ext="tar",
        data=tar_stream(entries, seconds=started[0] // 1_000_000_000),
        started=started,
        ended=now(),
        tag="tracing-raw",
    )
    yield Attempt(
        artifact=_NAME,
        source=b"tracefs,debugfs,/sys/kernel/livepatch",
        method="derived",
        ext="json",
        data=(dump_line(trace_record(entries)),),
        derived_from=("tracing-raw",),
    )


def _from(ctx: Context, kind: bytes, name: bytes, read: Reader) -> list[Entry]:
    """Return what `read` takes from a file system of the kernel, or why there is none."""
    try:
        root, how = kernelfs.directory(ctx, kind)
    except OSError as error:
        return [(name, ERROR, b"", error.errno or 0)]
    try:
        ctx.note(f"{_NAME}: {kind.decode()}: {how}")
        return read(root, name + b"/")
    finally:
        os.close(root)


def _tracing(root: int, name: bytes) -> list[Entry]:
    entries = _present(read_entries(root, b"", _TRACING, name=name, cap=_CAP))
    try:
        instances = listing(root, b"instances", most=_MOST)
    except OSError:
        return entries
    for instance in instances:
        entries += read_entries(root, b"instances/" + instance, _INSTANCE, name=name, cap=_CAP)
    return _present(entries)


def _kprobes(root: int, name: bytes) -> list[Entry]:
    return _present(read_entries(root, b"", _KPROBES, name=name, cap=_CAP))


def _present(entries: list[Entry]) -> list[Entry]:
    """Which files there are depends on how the kernel was built; one that is not there is no failure."""
    return [entry for entry in entries if entry[1] == FILE or entry[3] != ENOENT]


def _patches(ctx: Context) -> list[Entry]:
    directory = b"sys/kernel/livepatch"
    names, lacking = listing_or_error(ctx.root, directory, most=_MOST)
    return lacking + [
        entry
        for name in names
        for entry in read_entries(ctx.root, directory + b"/" + name, _PATCH, name=b"")
    ]
