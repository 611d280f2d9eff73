"""Processes and threads that one view of the kernel shows and another does not (agent-floor §3).

A number is written down only when its process lived through two passes: it was asked before each listing and after,
so a process that a listing of /proc left out was left out while it was there.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from hozen_agent.clock import now
from hozen_agent.crossview import procviews, raw
from hozen_agent.crossview.views import Part, numbers
from hozen_agent.proc import procparse
from hozen_agent.proc.sweep import read_small
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from hozen_agent.context import Context
    from hozen_agent.crossview.procviews import Procfs

FULL_SCAN_SECONDS: Final = 4.0
BOTH_PROBES_UP_TO: Final = 1 << 17
MAX_SUSPECTS: Final = 4096
_STRETCH: Final = 1 << 15
_GAP: Final = 0.05
_TRIES: Final = 5
_ALSO: Final = {
    "listing": "a mount over /proc, the option hidepid, or a C library that was changed for another reason",
    "kill": "a filter on system calls (seccomp) around this program",
    "covered": "a sandbox that shields the directory of one process",
    "counter": "a process of the kernel's own that is not listed, on kernels that count such",
}  # fmt: skip


def compare(ctx: Context) -> Part:
    """Return what the views of processes show, and where they disagree twice."""
    part = Part(name="processes")
    if not raw.KNOWN:
        part.not_compared("all", "the system call numbers of this machine are not known")
        return part
    sources, missing = procviews.procfs_views(ctx.proc, ctx.root)
    if missing:
        part.not_compared("mounted procfs", missing)
    try:
        _Comparison(ctx, part, sources).run()
    finally:
        for source in sources[1:]:
            os.close(source.fd)
    return part


class _Comparison:
    """The state of one comparison.

    Attributes:
        shown: by name of a listing, what it showed in the passes so far.
    """

    def __init__(self, ctx: Context, part: Part, sources: list[Procfs]) -> None:
        self._ctx = ctx
        self._proc = ctx.proc
        self._part = part
        self._sources = sources
        self._first = now()[0]
        self._asked = 0
        self.listings: dict[str, set[int]] = {}
        self.others: dict[str, set[int]] = {}
        self._groups = procviews.control_groups(self._proc, self._ctx.root, self._ctx.tick)

    def run(self) -> None:
        """Ask everybody once, and again about those on whom the views disagree."""
        suspicious = self._sentinel()
        before = self._list(1)
        self._cgroups()
        self._scan(max(before, default=1), everything=suspicious)
        self._list(1, again=True)
        suspects = self._suspects()
        for number in (2, 3):
            suspects = self._confirm(suspects, number) if suspects else {}
        self._report(suspects)
        self._covered()

    # -- first pass -----------------------------------------------------------------------------------------------

    def _sentinel(self) -> bool:
        """Compare the kernel's count of tasks with what is listed; True when it differs or cannot be compared."""
        what = "task counter"
        if not procviews.in_first_namespace(self._proc) or os.geteuid() != 0:
            self._part.not_compared(
                what, "the kernel counts all pid namespaces together, and this is not the first"
            )
            return False
        differences = []
        for _ in range(_TRIES):
            found = self._counted()
            if found is None:
                continue
            counted, listed = found
            if counted == listed:
                self._part.compared(what, "agree", counted=counted, listed=listed)
                return False
            differences.append(counted - listed)
            time.sleep(_GAP)
        if len(differences) == _TRIES and len(set(differences)) == 1:
            self._part.compared(what, "differ", difference=differences[0])
            self._part.observe(
                "the kernel counts other tasks than it lists", {"difference": differences[0]}, seen=["loadavg"],
                not_seen=["detached.getdents64"], also=_ALSO["counter"], first=self._first,
            )  # fmt: skip
        else:
            self._part.not_compared(what, "processes began and ended at each try")
        return True

    def _counted(self) -> tuple[int, int] | None:
        """Return the kernel's count and ours of one quiet moment, None when there was none."""
        before = procviews.counter(self._proc)
        listed = procviews.thread_total(self._proc, list(self._sources[0].by_kernel()))
        after = procviews.counter(self._proc)
        return None if before is None or before != after else (before[0], listed)

    def _list(self, number: int, *, again: bool = False) -> set[int]:
        """Add what every listing shows now; return what the trusted one shows."""
        trusted: set[int] = set()
        for source in self._sources:
            for way, ask in (("readdir", source.by_libc), ("getdents64", source.by_kernel)):
                name = f"{source.name}.{way}"
                view = self._part.look(name + (".after" if again else ""), number, ask)
                if not view.reason:
                    self.listings.setdefault(name, set()).update(numbers(view))
                if source is self._sources[0]:
                    trusted |= numbers(view)
        return trusted

    def _cgroups(self) -> None:
        if self._groups is None:
            self._part.not_compared("cgroup.procs", "no control group hierarchy is mounted")
            return
        where, ask = self._groups
        view = self._part.look("cgroup.procs", 1, ask)
        self._part.lines[-1]["hierarchy"] = where
        if not view.reason:
            self.others["cgroup.procs"] = numbers(view)

    def _scan(self, highest: int, *, everything: bool) -> None:
        """Ask for every number up to the highest that can be in use; all of them when the count was off."""
        last = (procviews.counter(self._proc) or (0, 0))[1]
        most = procviews.pid_max(self._proc)
        bound = min(most, max(last, highest) + 1)
        for probe in raw.PROBES[: 2 if bound <= BOTH_PROBES_UP_TO else 1]:
            self._probe(probe, bound, "what the kernel gave last or lists")
        if everything and bound < most:
            self._probe("kill", most, "pid_max", start=bound + 1)

    def _probe(self, probe: str, bound: int, why: str, *, start: int = 1) -> None:
        until = time.monotonic() + FULL_SCAN_SECONDS
        reached = start - 1

        def ask() -> set[int]:
            nonlocal reached
            found: set[int] = set()
            while reached < bound and time.monotonic() < until:
                stretch = range(reached + 1, min(reached + _STRETCH, bound) + 1)
                found |= raw.answering(stretch, probe=probe)
                reached = stretch[-1]
                self._ctx.tick()
            return found

        view = self._part.look(probe + (".rest" if start > 1 else ""), 1, ask)
        self._part.lines[-1] |= {"asked": [start, reached], "bound": bound, "bound_by": why}
        if reached < bound:
            self._part.lines[-1]["reason"] = "the time for this was over"
        self.others.setdefault(probe, set()).update(numbers(view))
        self._asked = min(reached, bound) if start == 1 else self._asked

    def _suspects(self) -> dict[int, set[str]]:
        """Return numbers with the views that lack them, threads of listed processes left out."""
        everybody = set[int]().union(*self.listings.values(), *self.others.values())
        threads = procviews.listed_threads(self._proc, self._trusted())
        found: dict[int, set[str]] = {}
        for number in sorted(everybody - threads.keys()):
            lacking = {name for name, shown in self.listings.items() if number not in shown}
            if number <= self._asked:
                lacking |= {
                    p for p in raw.PROBES if p in self.others and number not in self.others[p]
                }
            if lacking and not self._is_thread(number):
                found[number] = lacking
        if len(found) > MAX_SUSPECTS:
            self._part.not_compared(
                "some numbers", f"{len(found) - MAX_SUSPECTS} more numbers were not looked at again"
            )
        return dict(list(found.items())[:MAX_SUSPECTS])

    def _trusted(self) -> set[int]:
        return self.listings.get(f"{self._sources[0].name}.getdents64", set())

    def _is_thread(self, number: int) -> bool:
        """Tell whether a number belongs to a thread that its process lists."""
        status = read_small(b"%d/status" % number, at=self._proc)
        group = next((x[5:].strip() for x in status.split(b"\n") if x.startswith(b"Tgid:")), b"")
        if not group.isdigit() or int(group) == number:
            return False
        return number in procviews.listed_threads(self._proc, [int(group)])

    # -- the passes after it --------------------------------------------------------------------------------------

    def _confirm(self, suspects: dict[int, set[str]], number: int) -> dict[int, set[str]]:
        """Return those that lived through a new listing and are lacking in the same views again."""
        time.sleep(_GAP)
        self._ctx.tick()
        alive = {name: raw.answering(suspects, probe=name) for name in raw.PROBES}
        begun = {n: self._start(n) for n in suspects}
        self.listings = {}
        threads = procviews.listed_threads(self._proc, self._list(number))
        again = {name: raw.answering(suspects, probe=name) for name in raw.PROBES}
        found: dict[int, set[str]] = {}
        for one, before in suspects.items():
            there = any(one in alive[p] and one in again[p] for p in raw.PROBES)
            listed = any(one in shown for shown in self.listings.values())
            same = begun[one] == self._start(one)
            if not same or not (there or listed) or one in threads or self._is_thread(one):
                continue
            lacking = {name for name, shown in self.listings.items() if one not in shown}
            lacking |= {p for p in raw.PROBES if one not in alive[p] and one not in again[p]}
            if kept := before & lacking:
                found[one] = kept
        return found

    def _start(self, number: int) -> str | None:
        """Return when a process began, as ticks after boot: with its number it names the process."""
        stat = procparse.parse_stat(read_small(b"%d/stat" % number, at=self._proc))
        return None if stat is None else str(stat.start_ticks)

    def _report(self, suspects: dict[int, set[str]]) -> None:
        names = {*self.listings, *self.others}
        for number, lacking in suspects.items():
            self._part.observe(
                "a process or thread number that not every view shows",
                self._subject(number),
                seen=[name for name in names - lacking if self._shows(name, number)],
                not_seen=lacking,
                also=_ALSO["kill" if lacking <= set(raw.PROBES) else "listing"],
                first=self._first,
            )
        self._part.compared("process numbers", "differ" if suspects else "agree", observed=len(suspects))  # fmt: skip

    def _shows(self, name: str, number: int) -> bool:
        return number in self.listings.get(name, ()) or number in self.others.get(name, ())

    def _subject(self, number: int) -> dict[str, object]:
        stat = read_small(b"%d/stat" % number, at=self._proc)
        found = procparse.parse_stat(self._ctx.redactor.text(stat, {}))
        if found is None:
            return {"pid": number, "start_ticks": None}
        ticks, name = str(found.start_ticks), percent_encode(found.name)
        return {"pid": number, "start_ticks": ticks, "name": name, "ppid": found.ppid}

    def _covered(self) -> None:
        """Write down mounts over a process's directory: programs that go through /proc find nothing there."""
        points = procviews.covers(self._proc)
        for point, number in sorted(points.items()):
            self._part.observe(
                "a mount over the directory of a process",
                {"point": percent_encode(point), **self._subject(number)},
                seen=["mountinfo", *(f"{s.name}.lookup" for s in self._sources if s.name == "detached")],
                not_seen=["mounted.lookup"],
                also=_ALSO["covered"],
                first=self._first,
            )  # fmt: skip
        self._part.compared("mounts over /proc/PID", "differ" if points else "agree", observed=len(points))  # fmt: skip
