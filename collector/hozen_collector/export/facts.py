"""What exchange formats take from a bundle: processes, connections and files that tell something, bounded and inert.

Such formats are made for exchange between people and slow to validate, so not every file is in them: those are of the
families below, by name and hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from hozen_collector.export import inert

if TYPE_CHECKING:
    from hozen_collector.export.source import Source
    from hozen_hashes.journalrecords import Row

FILES: Final = frozenset(
    {"persistence", "recovered", "ssh_access", "shell_histories", "temporary_files", "accounts"}
)
MAX_FILES: Final = 5_000
MAX_RECORDS: Final = 50_000

Record = dict[str, object]
_T = TypeVar("_T")


@dataclass(slots=True)
class Facts:
    """The chosen part of a bundle; `notes` say what is beyond a bound."""

    processes: list[Record] = field(default_factory=list)
    connections: list[Record] = field(default_factory=list)
    files: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather(source: Source) -> Facts:
    """Return the processes, the connections with two ends, the listeners, and the files of `FILES`."""
    found = Facts()
    wanted = {("processes", "/proc"), ("sockets", "/proc/PID/net")}
    dropped = {"processes": 0, "connections": 0, "files": 0}
    for row, record in source.records(lambda row: (row.artifact, row.source) in wanted):
        if row.artifact == "processes":
            _put(found.processes, record, dropped, "processes", MAX_RECORDS)
        elif isinstance(record.get("local"), dict) and isinstance(record.get("remote"), dict):
            _put(found.connections, record, dropped, "connections", MAX_RECORDS)
    for row in source.rows:
        if row.artifact in FILES and row.details.get("kind") == "file" and row.stored.sha256:
            _put(found.files, row, dropped, "files", MAX_FILES)
    found.notes = [
        f"{count} {name} are beyond the bound and not there"
        for name, count in dropped.items()
        if count
    ]
    return found


def path_of(row: Row) -> str:
    """Return the path of a file on the host, for a deleted one the path it had, inert."""
    target = row.details.get("link_target")
    return inert.name(str(target) if row.artifact == "recovered" and target else row.source)


def command_line(record: Record) -> str:
    """Return the words of a process as one inert line."""
    words = record.get("cmdline")
    return " ".join(inert.name(str(one)) for one in words) if isinstance(words, list) else ""


def end_of(record: Record, which: str) -> tuple[str, int]:
    """Return address and port of one end of a connection."""
    end = record.get(which)
    address, port = (end.get("address"), end.get("port")) if isinstance(end, dict) else ("", 0)
    return inert.line(address), port if isinstance(port, int) else 0


def _put(place: list[_T], one: _T, dropped: dict[str, int], name: str, limit: int) -> None:
    if len(place) < limit:
        place.append(one)
    else:
        dropped[name] += 1
