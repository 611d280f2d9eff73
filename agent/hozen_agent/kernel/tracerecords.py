"""What tracefs and its neighbours say, as one record: which kernel functions are intercepted, and by what."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hozen_agent.proc.sweep import FILE
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hozen_agent.proc.sweep import Entry

MAX_LISTED: Final = 10_000
# Documentation/trace/ftrace.rst, `enabled_functions`: name, number of callbacks, flags, then callback and trampoline.
_ENABLED: Final = re.compile(
    rb"^(\S{1,255})(?: \[(\S{1,64})\])? \((\d{1,9})\)([^\n]{0,512})", re.MULTILINE
)
_EVENT: Final = re.compile(rb"^([prst])\d*(?::(\S+))?[ \t]+(\S+)", re.MULTILINE)
_KPROBE: Final = re.compile(
    rb"^([0-9a-f]{1,16})\s+([kr])\s+(\S{1,255})\s*(.{0,255})$", re.MULTILINE
)
_SORTS: Final = {b"p": "probe", b"r": "return", b"s": "synthetic", b"t": "tracepoint"}


def trace_record(entries: Sequence[Entry]) -> dict[str, object]:
    """Return the record made of the raw texts; what could not be read is None."""
    texts = {name: data for name, kind, data, _ in entries if kind == FILE}
    return {
        "tracer": _line(texts, b"tracing/current_tracer"),
        "tracing_on": _line(texts, b"tracing/tracing_on"),
        "kprobe_events": events(texts.get(b"tracing/kprobe_events")),
        "uprobe_events": events(texts.get(b"tracing/uprobe_events")),
        "dynamic_events": events(texts.get(b"tracing/dynamic_events")),
        "enabled_functions": functions(texts.get(b"tracing/enabled_functions")),
        "touched_functions": _count(texts.get(b"tracing/touched_functions")),
        "events_on": _listed(texts.get(b"tracing/set_event")),
        "instances": _below(texts, b"tracing/instances/"),
        "kprobes": kprobes(texts.get(b"debug/kprobes/list")),
        "kprobes_enabled": _line(texts, b"debug/kprobes/enabled"),
        "livepatches": _below(texts, b"sys/kernel/livepatch/"),
        "addresses_shown": addresses_shown(texts.get(b"proc/kallsyms")),
    }


def events(data: bytes | None) -> list[dict[str, object]] | None:
    """Return the probes of kprobe_events, uprobe_events or dynamic_events: sort, name, place."""
    if data is None:
        return None
    return [
        {
            "sort": _SORTS[sort],
            "name": percent_encode(name) if name else None,
            "place": percent_encode(place),
        }
        for sort, name, place in _EVENT.findall(data)[:MAX_LISTED]
    ]


def functions(data: bytes | None) -> list[dict[str, object]] | None:
    """Return the functions that call somebody when they are entered."""
    if data is None:
        return None
    return [
        {
            "name": percent_encode(name),
            "module": percent_encode(module) if module else None,
            "callbacks": int(count),
            "rest": percent_encode(b" ".join(rest.split())),
        }
        for name, module, count, rest in _ENABLED.findall(data)[:MAX_LISTED]
    ]


def kprobes(data: bytes | None) -> list[dict[str, object]] | None:
    """Return the lines of debugfs' kprobes/list: address, entry or return, place, marks."""
    if data is None:
        return None
    return [
        {
            "address": address.decode(),
            "sort": "return" if sort == b"r" else "entry",
            "place": percent_encode(place),
            "marks": percent_encode(b" ".join(marks.split())),
        }
        for address, sort, place, marks in _KPROBE.findall(data)[:MAX_LISTED]
    ]


def addresses_shown(data: bytes | None) -> bool | None:
    """Return whether /proc/kallsyms gives addresses, or zeros as without privilege (kernel.kptr_restrict)."""
    if not data:
        return None
    return any(line.split(b" ")[0].strip(b"0") for line in data.split(b"\n") if line)


def _line(texts: dict[bytes, bytes], name: bytes) -> str | None:
    data = texts.get(name)
    return None if data is None else percent_encode(data.strip())


def _count(data: bytes | None) -> int | None:
    return None if data is None else data.count(b"\n")


def _listed(data: bytes | None) -> list[str] | None:
    return None if data is None else [percent_encode(line) for line in data.split()[:MAX_LISTED]]


def _below(texts: dict[bytes, bytes], prefix: bytes) -> list[str]:
    names = {name[len(prefix) :].split(b"/")[0] for name in texts if name.startswith(prefix)}
    return sorted(percent_encode(name) for name in names)[:MAX_LISTED]
