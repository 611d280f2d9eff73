"""Kernel modules by four ways: the list, the tree of /sys/module, the symbols, and the taint letters."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

from hozen_agent.clock import now
from hozen_agent.crossview import raw
from hozen_agent.crossview.views import Part, names
from hozen_agent.kernel.kernelrecords import TAINTS, parse_modules
from hozen_agent.proc.sweep import read_small
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context

    Differences = dict[tuple[str, str], set[bytes]]

MAX_SYMBOLS: Final = 256 << 20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_OWNER: Final = re.compile(rb"\t\[([^\]\n]{1,128})\]$", re.MULTILINE)
_NO_MODULES: Final = frozenset({b"bpf"})  # also __builtin__ftrace, __builtin__kprobes
_LETTERS: Final = {"P": 0, "F": 1, "C": 10, "O": 12, "E": 13, "K": 15, "X": 16, "N": 18}
_PASSES: Final = 3
_GAP: Final = 0.05
_ALSO: Final = "a module that is being loaded or unloaded, or that failed to initialise"
_ALSO_TAINT: Final = "a module that was loaded and unloaded since the start: the taint stays"


def compare(ctx: Context) -> Part:
    """Return what the views of modules show, and where they disagree in every pass."""
    part = Part(name="modules")
    kept: Differences = {}
    first = now()[0]
    for number in range(1, _PASSES + 1):
        now_differs = _pass(ctx, part, number)
        kept = _both(kept, now_differs) if number > 1 else now_differs
        if not any(kept.values()):
            break
        time.sleep(_GAP)
    for (shows, lacks), found in sorted(kept.items()):
        for name in sorted(found):
            part.observe(
                "a module that not every view shows", {"module": percent_encode(name)},
                seen=[shows], not_seen=[lacks], also=_ALSO, first=first,
            )  # fmt: skip
    if kept:
        part.compared("module names", "differ" if any(kept.values()) else "agree")
    _taint(ctx, part, first)
    return part


def _both(one: Differences, two: Differences) -> Differences:
    return {pair: one[pair] & two[pair] for pair in one.keys() & two.keys()}


def _pass(ctx: Context, part: Part, number: int) -> Differences:
    """Return for each pair of views the names that the first has and the second lacks."""
    views = {
        "proc.modules": part.look("proc.modules", number, lambda: _listed(ctx.proc)),
        "sys.module": part.look("sys.module", number, lambda: _live(ctx.root)),
        "kallsyms": part.look("kallsyms", number, lambda: _symbols(ctx)),
    }
    if number == 1:
        for name, view in views.items():
            if view.reason:
                part.not_compared(name, view.reason)
    usable = {name: names(view) for name, view in views.items() if not view.reason}
    # A module need not own a symbol in the table: that view can only show more, never lack one.
    return {
        (one, two): a - b
        for one, a in usable.items()
        for two, b in usable.items()
        if two not in {one, "kallsyms"}
    }


def _listed(proc: int) -> Iterator[bytes]:
    fd = os.open(b"modules", _READ, dir_fd=proc)
    os.close(fd)
    data = raw.read_all(proc, b"modules", most=16 << 20)
    return (line.split(b" ", 1)[0] for line in data.split(b"\n") if line)


def _live(root: int) -> list[bytes]:
    """Return the directories that have `initstate`: loadable modules; built-in ones have none."""
    directory = os.open(b"sys/module", _DIRECTORY, dir_fd=root)
    try:
        found = [name for name, _, _ in raw.listing(directory)]
        return [name for name in found if _exists(directory, name + b"/initstate")]
    finally:
        os.close(directory)


def _exists(directory: int, path: bytes) -> bool:
    try:
        os.stat(path, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def _symbols(ctx: Context) -> set[bytes]:
    """Return the modules that own symbols; the table is read in pieces and not kept."""
    found: set[bytes] = set()
    fd = os.open(b"kallsyms", _READ, dir_fd=ctx.proc)
    rest, total = b"", 0
    try:
        while total < MAX_SYMBOLS and (piece := os.read(fd, 1 << 16)):
            total += len(piece)
            whole, _, rest = (rest + piece).rpartition(b"\n")
            if b"[" in whole:
                found.update(_OWNER.findall(whole))
            ctx.tick()
    finally:
        os.close(fd)
    return {n for n in found if n not in _NO_MODULES and not n.startswith(b"__builtin__")}


def _taint(ctx: Context, part: Part, first: int) -> None:
    """Write down taint letters that a module causes and that no listed module carries."""
    text = read_small(b"sys/kernel/tainted", at=ctx.proc).strip()
    modules = parse_modules(read_small(b"modules", at=ctx.proc, cap=16 << 20))
    if not text.isdigit():
        part.not_compared("taint", "the taint of the kernel was not read")
        return
    value = int(text)
    part.keep(b"1/tainted", text + b"\n")
    carried = {letter for module in modules for letter in str(module["taint"])}
    alone = [c for c, bit in _LETTERS.items() if value >> bit & 1 and c not in carried]
    for letter in alone:
        part.observe(
            "a taint that no listed module carries", {"taint": TAINTS[_LETTERS[letter]]},
            seen=["proc.sys.kernel.tainted"], not_seen=["proc.modules"], also=_ALSO_TAINT, first=first,
        )  # fmt: skip
    part.compared("taint", "differ" if alone else "agree", tainted=value)
