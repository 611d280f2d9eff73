"""Writes the tree: files of the host where they lay, `/proc` as one, and every other sealed file beside them.

The bundle is read three times (verified, looked through, written out), so that nothing is spooled but one snapshot of
kernel files at a time. The same bundle gives the same bytes.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final

from hozen_collector.export import bodyfile, inert, manifest
from hozen_collector.export.manifest import Done
from hozen_collector.export.uac import sparse
from hozen_collector.export.uac.names import ROOT, Taken, below_root
from hozen_collector.export.uac.procview import COPY, ProcView, is_snapshot
from hozen_collector.export.uac.texts import Texts
from hozen_collector.export.uac.tree import Facts, Tree
from hozen_hashes import __version__
from hozen_hashes.errors import FormatError
from hozen_hashes.names import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from hozen_collector.export.source import Source
    from hozen_collector.export.target import Stream
    from hozen_hashes.journalrecords import Row

LINKS: Final = b"hozen/links.jsonl"
_SPOOL: Final = 64 << 20
_BILLION: Final = 10**9
_NOT_FILES: Final = frozenset({"recovered"})


def write(source: Source, out: Stream) -> Done:
    """Write the tar; `counts` says how many items lie where."""
    export = _Export(source, out)
    with export.tree:
        return export.run()


@dataclass(slots=True)
class _Plan:
    """Where the files of the host go, by item; an item that is not in here lies under its sealed name alone.

    Attributes:
        same: items that another family captured too, with the same bytes, by the item that stands in the tree.
            Written a second time, a tool would read each of their lines twice.
    """

    names: dict[int, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    same: dict[int, list[int]] = field(default_factory=dict)


class _Export:
    """One run."""

    def __init__(self, source: Source, out: Stream) -> None:
        self._source = source
        self._when = _moment(source)
        self.tree = Tree(out, self._when)
        self._taken = Taken()
        self._view = ProcView()
        self._plan = _Plan()
        self._done = Done(
            counts={
                "files": 0,
                "links": 0,
                "beside": 0,
                "kernel_files": 0,
                "added": 0,
                "repaired": 0,
            }
        )

    def run(self) -> Done:
        self._plan = plan = self._planned()
        again = {item for items in plan.same.values() for item in items}
        texts = Texts()
        texts.take(self._source)
        for row, chunks in self._source.payloads(is_snapshot):
            with _spooled(chunks) as file:
                self._view.index(row, file)
        self._head()
        for row, chunks in self._source.payloads(lambda row: row.item not in again):
            self._item(row, chunks, plan.names.get(row.item))
        self._added()
        for name, content in texts.members():
            self.tree.text(name, content, change="made of records")
        self._done.notes += [*plan.notes, *self._view.notes]
        self.tree.close(LINKS)
        self._done.counts["members"] = self.tree.members
        return self._done

    def _planned(self) -> _Plan:
        """Give each file and link of the host its name, the first of two that have the same."""
        plan, first = _Plan(), dict[tuple[bytes, str], int]()
        for row in self._source.rows:
            if not _is_of_host(row) or self._source.size(row) is None:
                continue
            name = below_root(inert.raw(row.source))
            if name is None or name.startswith(ROOT + b"/proc/"):
                plan.notes.append(f"item {row.item}: its name cannot stand in a tree")
            elif (name, str(row.stored.sha256)) in first:
                plan.same.setdefault(first[name, str(row.stored.sha256)], []).append(row.item)
            elif not self._taken.add(name):
                plan.notes.append(f"item {row.item}: its name is taken, or lies behind a link")
            else:
                plan.names[row.item] = name
                first[name, str(row.stored.sha256)] = row.item
        return plan

    def _head(self) -> None:
        mark = b"" if self._source.verified else b"NOT VERIFIED: the bundle did not verify\n"
        said = f"hozen {__version__} (UAC-compatible layout, not produced by UAC)\n".encode()
        where = f"bundle {self._source.report.bundle_id} seal-sha256 {self._source.report.seal}\n".encode()
        self.tree.text(b"uac.log", said + where + mark)
        about = {"format": manifest.FORMAT, "kind": "uac", "source": manifest.origin(self._source)}
        self.tree.text(b"hozen/export.json", manifest.dumped(about))
        if not any((row.artifact, row.source) == bodyfile.BODYFILE for row in self._source.rows):
            self.tree.text(b"bodyfile/bodyfile.txt", b"".join(bodyfile.of_items(self._source)))

    def _item(self, row: Row, chunks: Iterator[bytes], name: bytes | None) -> None:
        if is_snapshot(row):
            self._snapshot(row, chunks)
        elif name is None:
            self._beside(row, chunks)
        elif row.details.get("kind") == "link":
            self._link(row, chunks, name)
        elif str(row.stored.path).endswith(".sparse.tar"):
            self._sparse(row, chunks, name)
        else:
            self._done.counts["files"] += 1
            self.tree.file(name, self._size(row), chunks, _facts(row), **self._tie(row))

    def _snapshot(self, row: Row, chunks: Iterator[bytes]) -> None:
        with _spooled(chunks) as file:
            self._beside(row, _chunks_of(file))
            for name, entry, repair in self._view.chosen(row, file):
                if not self._taken.add(name):
                    continue
                tie: dict[str, object] = {"items": [row.item], "change": "from a snapshot"}
                if repair:
                    tie["repair"] = repair
                    self._done.counts["repaired"] += repair != COPY
                self._done.counts["kernel_files"] += 1
                facts = Facts(mtime=entry.mtime)
                if entry.link:
                    self.tree.link(name, entry.data, facts, **tie)
                else:
                    self.tree.text(name, entry.data, facts, **tie)

    def _beside(self, row: Row, chunks: Iterator[bytes]) -> None:
        """Write an item under its sealed name; the body file and what ran and was deleted where tools look for them."""
        name = b"hozen/" + str(row.stored.path).encode("ascii")
        if (row.artifact, row.source) == bodyfile.BODYFILE:
            name = b"bodyfile/bodyfile.txt"
        process = row.details.get("process")
        if (
            row.artifact == "recovered"
            and row.source.endswith("/exe")
            and isinstance(process, dict)
        ):
            place = b"live_response/process/proc/%d/recovered_exe" % int(str(process.get("pid")))
            name = place if self._taken.add(place) else name
        self._done.counts["beside"] += 1
        self.tree.file(name, self._size(row), chunks, Facts(mtime=self._when), **self._tie(row))

    def _link(self, row: Row, chunks: Iterator[bytes], name: bytes) -> None:
        target = b"".join(chunks)[:4096]
        self._done.counts["links"] += 1
        self.tree.link(name, target, _facts(row), **self._tie(row))

    def _sparse(self, row: Row, chunks: Iterator[bytes], name: bytes) -> None:
        size = row.details.get("logical_size")
        logical = int(size) if isinstance(size, str) and size.isdecimal() else -1
        if not 0 <= logical <= sparse.MAX_EXPANDED or row.outcome != "captured":
            self._done.notes.append(
                f"item {row.item}: a sparse file of {size} bytes lies under its sealed name"
            )
            self._beside(row, chunks)
            return
        self._done.counts["files"] += 1
        tie = {**self._tie(row), "change": "holes filled"}
        self.tree.file(name, logical, sparse.expanded(chunks, logical), _facts(row), **tie)

    def _added(self) -> None:
        for name, content, why in self._view.added(self._boot()):
            if self._taken.add(name):
                self._done.counts["added"] += 1
                self.tree.text(name, content, change="added", repair=why)

    def _boot(self) -> tuple[int, int]:
        uptime = str(self._source.part("host").get("uptime_seconds") or "0").partition(".")[0]
        seconds = int(uptime) if uptime.isdecimal() and len(uptime) < 12 else 0  # noqa: PLR2004
        return self._when // _BILLION - seconds, seconds

    def _tie(self, row: Row) -> dict[str, Any]:
        """Return what ties a member to the sealed items."""
        items = [row.item, *self._plan.same.get(row.item, [])]
        tie: dict[str, Any] = {"items": items, "sealed_sha256": row.stored.sha256}
        if row.outcome != "captured":
            tie["outcome"] = row.outcome
        for key in ("redacted", "left_out", "changed"):
            if key in row.details:
                tie[key] = row.details[key]
        return tie

    def _size(self, row: Row) -> int:
        return self._source.size(row) or 0


def _is_of_host(row: Row) -> bool:
    """Return whether the row is a file or link of the host with its own bytes."""
    if row.artifact in _NOT_FILES or row.stored.path is None:
        return False
    path = str(row.stored.path)
    if row.details.get("kind") == "link":
        return path.endswith(".link")
    return row.details.get("kind") == "file" and not path.endswith(".age")


def _facts(row: Row) -> Facts:
    stat = row.details.get("stat")
    found = stat if isinstance(stat, dict) else {}
    times = {key: _number(found.get(key), base=10) for key in ("mtime", "atime", "ctime")}
    return Facts(
        mode=_number(found.get("mode"), base=8) or 0o444,
        uid=abs(_number(found.get("uid"), base=10)),
        gid=abs(_number(found.get("gid"), base=10)),
        mtime=times["mtime"], atime=times["atime"], ctime=times["ctime"],
    )  # fmt: skip


def _number(value: object, *, base: int) -> int:
    try:
        found = int(str(value), base)
    except ValueError:
        return 0
    return found if abs(found) < 1 << 64 else 0


def _moment(source: Source) -> int:
    """Return when the capture began, in nanoseconds; 0 when the bundle does not say."""
    try:
        return parse_rfc3339(str(source.part("clock").get("start")))
    except FormatError:
        return 0


@contextmanager
def _spooled(chunks: Iterator[bytes]) -> Iterator[BinaryIO]:
    with SpooledTemporaryFile(_SPOOL) as file:
        for chunk in chunks:
            file.write(chunk)
        file.seek(0)
        yield file  # type: ignore[misc]


def _chunks_of(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(1 << 20):
        yield chunk
