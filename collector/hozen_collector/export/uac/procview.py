"""One `/proc` from several snapshots: which snapshot gives which name, and what has to be added for tools.

The first sweep goes before everything else, because its processes and their parents are of one moment; the socket
tables of the same moment come second, then the deep pass. A process number that was given to another process in between
keeps the files of the process that was there first.
"""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from hozen_collector.export.uac.names import ROOT, below_root
from hozen_collector.export.uac.repairs import HEADERS, parent_of, repaired, stub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from hozen_hashes.journalrecords import Row

FAMILIES: Final = frozenset(
    {
        "processes",
        "sockets",
        "interfaces",
        "clock",
        "kernel",
        "machine",
        "storage",
        "kernel_tracing",
    }
)
COPY: Final = "a copy of the table of /proc/self/net"
_PID: Final = re.compile(rb"proc/([1-9][0-9]{0,9})(?:/|\Z)")
_NAME: Final = re.compile(rb"(?:proc|sys)/")
_MAX_SMALL: Final = 64 << 20
_MAX_EMPTY: Final = 16
_DAMAGED: Final = (tarfile.TarError, ValueError, EOFError, OSError, OverflowError, LookupError)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or link of a snapshot; `data` is the content, or the target."""

    name: bytes
    link: bool
    data: bytes
    mtime: int


@dataclass(slots=True)
class ProcView:
    """What the tree's `/proc` and `/sys` hold.

    Attributes:
        notes: what was left out, and why.
        states: parent and start of each process that has a whole `stat`.
    """

    notes: list[str] = field(default_factory=list)
    states: dict[int, tuple[int, str]] = field(default_factory=dict)
    _from: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    _self: int | None = None
    _sweep: int | None = None

    def index(self, row: Row, file: BinaryIO) -> None:
        """Take the names of one snapshot; they come in the bundle's order."""
        rank = self._rank(row)
        other: set[int] = set()
        for entry in entries(file, self.notes, row.item):
            pid = _pid(entry.name)
            if pid is not None and entry.name == b"proc/%d/stat" % pid:
                self._state(pid, entry.data, row, other)
            if pid in other:
                continue
            if entry.name == b"proc/self" and self._self is None and entry.data.isdigit():
                self._self = int(entry.data)
            self._from[entry.name] = min(
                (rank, row.item), self._from.get(entry.name, (rank, row.item))
            )

    def chosen(self, row: Row, file: BinaryIO) -> Iterator[tuple[bytes, Entry, str]]:
        """Yield member name, entry and repair of everything that this snapshot gives to the tree."""
        other: set[int] = set()
        for entry in entries(file, [], row.item):
            pid = _pid(entry.name)
            if pid is not None and entry.name == b"proc/%d/stat" % pid:
                found = parent_of(entry.data)
                if found is not None and found[1] != self.states[pid][1]:
                    other.add(pid)
            if self._from.get(entry.name, (0, 0))[1] != row.item or pid in other:
                continue
            if pid is not None and pid not in self.states:
                continue
            if entry.name in (b"proc/net", b"proc/thread-self"):
                continue
            yield from self._members(entry)

    def added(self, boot: tuple[int, int]) -> Iterator[tuple[bytes, bytes, str]]:
        """Yield what no snapshot has: name, content, why.

        Args:
            boot: when the host started, and how long before the capture, in seconds.
        """
        if not self._from:
            return  # nothing was captured that tools could take for a /proc
        for pid in sorted({parent for parent, _ in self.states.values()} - {0, *self.states}):
            yield ROOT + b"/proc/%d/stat" % pid, stub(pid), "stands for a parent that was gone"
        for table, header in HEADERS.items():
            if not self._has_table(table):
                yield ROOT + b"/proc/net/" + table, header, "the host has no such table"
        for name, text in (
            (b"stat", b"btime %d\n" % boot[0]),
            (b"uptime", b"%d.00 0.00\n" % boot[1]),
        ):
            if b"proc/" + name not in self._from:
                yield ROOT + b"/proc/" + name, text, "made of the times in bundle.json"

    def _members(self, entry: Entry) -> Iterator[tuple[bytes, Entry, str]]:
        name = below_root(b"/" + entry.name)
        if name is None:
            return
        data, repair = (entry.data, "") if entry.link else repaired(entry.name, entry.data)
        fixed = Entry(entry.name, entry.link, data, entry.mtime)
        yield name, fixed, repair
        tables = b"proc/%d/net/" % self._self if self._self is not None else b"\0"
        if entry.name.startswith(tables) and not entry.link:
            yield (
                ROOT + b"/proc/net/" + entry.name[len(tables) :],
                fixed,
                repair or COPY,
            )

    def _has_table(self, table: bytes) -> bool:
        return self._self is not None and b"proc/%d/net/%s" % (self._self, table) in self._from

    def _state(self, pid: int, stat: bytes, row: Row, other: set[int]) -> None:
        found = parent_of(stat)
        if found is None:
            self.notes.append(
                f"item {row.item}: process {pid} has no whole stat and is not in the tree"
            )
            return
        known = self.states.setdefault(pid, found)
        if known[1] != found[1]:
            other.add(pid)
            self.notes.append(
                f"item {row.item}: the number {pid} belongs to another process than in the first sweep; not in the tree"
            )

    def _rank(self, row: Row) -> int:
        if row.artifact == "processes" and self._sweep in (None, row.item):
            self._sweep = row.item
            return 0
        return {"sockets": 1, "processes": 2}.get(row.artifact, 3)


def is_snapshot(row: Row) -> bool:
    """Return whether the row is a tar of kernel files for the tree."""
    path = row.stored.path or ""
    return row.artifact in FAMILIES and path.endswith(".tar") and not path.endswith(".sparse.tar")


def entries(file: BinaryIO, notes: list[str], item: int) -> Iterator[Entry]:
    """Yield the plain files and links of a tar; what is neither is passed over, what is damaged is noted."""
    file.seek(0)
    try:
        with tarfile.open(
            fileobj=cast("BinaryIO", _Ending(file)),
            mode="r:",
            encoding="utf-8",
            errors="surrogateescape",
        ) as tar:
            for member in tar:
                name = member.name.encode("utf-8", "surrogateescape")
                if not _NAME.match(name) or not (member.isreg() or member.issym()):
                    continue
                if member.issym():
                    data = member.linkname.encode("utf-8", "surrogateescape")
                else:
                    data = (tar.extractfile(member) or io.BytesIO()).read(_MAX_SMALL)
                yield Entry(name, member.issym(), data, int(member.mtime * 1000) * 10**6)
    except _DAMAGED as error:
        notes.append(f"item {item}: the snapshot is not read to its end: {type(error).__name__}")


class _Ending:
    """A file whose end is an error when it is read again and again, as tarfile does with a cut map of holes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._empty = file, 0
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._empty = 0 if data or size == 0 else self._empty + 1
        if self._empty > _MAX_EMPTY:
            raise EOFError("read beyond the end")
        return data


def _pid(name: bytes) -> int | None:
    found = _PID.match(name)
    return int(found[1]) if found else None
