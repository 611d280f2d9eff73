"""What the comparisons are made of: a view of something at one moment, and the lines that are written about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hozen_agent.clock import now
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hozen_agent.proc.sweep import Entry

MAX_OBSERVATIONS = 4096  # a part that differs everywhere is said to, and cut


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one interface showed in one pass.

    Attributes:
        name: which interface, as in `mounted.getdents64`.
        values: what it showed; empty when `reason` says why it showed nothing.
        started: wall clock and CLOCK_BOOTTIME in nanoseconds before it was asked.
    """

    name: str
    number: int
    values: frozenset[object]
    started: tuple[int, int]
    ended: tuple[int, int]
    reason: str = ""


def numbers(view: View) -> set[int]:
    """Return what a view of process numbers shows."""
    return {value for value in view.values if isinstance(value, int)}


def names(view: View) -> set[bytes]:
    """Return what a view of names shows."""
    return {value for value in view.values if isinstance(value, bytes)}


@dataclass(slots=True, kw_only=True)
class Part:
    """One comparison on its way: raw bytes for the tar, lines for the record.

    Attributes:
        name: `processes`, `modules`, …
        raw: entries of the tar, named `name/…`.
        lines: objects of the record, in order.
    """

    name: str
    raw: list[Entry] = field(default_factory=list)
    lines: list[dict[str, object]] = field(default_factory=list)
    observed: int = 0

    def keep(self, name: bytes, data: bytes) -> None:
        """Store bytes that a line of this part is made of."""
        self.raw.append((self.name.encode() + b"/" + name, "file", data, 0))

    def look(
        self, name: str, number: int, ask: Callable[[], Iterable[int] | Iterable[bytes]]
    ) -> View:
        """Return what `ask` gives as a view; its raw form and its line are kept."""
        started, reason = now(), ""
        values: frozenset[object] = frozenset()
        try:
            values = frozenset(ask())
        except OSError as error:
            reason = error.strerror or f"error {error.errno}"
        view = View(
            name=name, number=number, values=values, started=started, ended=now(), reason=reason
        )
        if not reason:
            text = b"".join(b"%d\n" % n for n in sorted(numbers(view)))
            text += b"".join(row + b"\0" for row in sorted(names(view)))
            self.keep(b"%d/%b" % (number, name.encode()), text)
        self.lines.append(
            {
                "line": "view",
                "part": self.name,
                "view": name,
                "pass": number,
                "count": None if reason else len(values),
                "started": rfc3339(started[0]),
                "ended": rfc3339(view.ended[0]),
                "reason": reason or None,
            }
        )
        return view

    def compared(self, what: str, result: str, **more: object) -> None:
        """Say how a comparison ended: `agree`, `differ` or `not_compared` with a reason."""
        self.lines.append(
            {"line": "comparison", "part": self.name, "what": what, "result": result, **more}
        )

    def not_compared(self, what: str, reason: str) -> None:
        """Say why a comparison was not made."""
        self.compared(what, "not_compared", reason=reason)

    def observe(
        self,
        what: str,
        subject: Mapping[str, object],
        *,
        seen: Iterable[str],
        not_seen: Iterable[str],
        also: str,
        first: int,
        again: int | None = None,
    ) -> None:
        """Write down that views disagree and did so again; `also` names what it may be without anybody hiding.

        `first` is the wall clock in nanoseconds of the first pass, `again` of the last: without it now.
        """
        self.observed += 1
        if self.observed > MAX_OBSERVATIONS:
            return
        self.lines.append(
            {
                "line": "observation",
                "part": self.name,
                "what": what,
                "subject": dict(subject),
                "seen": sorted(seen),
                "not_seen": sorted(not_seen),
                "first": rfc3339(first),
                "again": rfc3339(again or now()[0]),
                "may_also_be": also,
            }
        )

    def fact(self, what: str, **more: object) -> None:
        """Write down something that one view alone shows and that belongs to this part."""
        self.lines.append({"line": "fact", "part": self.name, "what": what, **more})

    def text(self) -> bytes:
        """Return the lines; the last says when observations were left out."""
        left = self.observed - MAX_OBSERVATIONS
        if left > 0:
            self.not_compared("all", f"{left} more observations were left out")
            self.observed = 0
        return b"".join(dump_line(line) for line in self.lines)
