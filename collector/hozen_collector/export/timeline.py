"""Events for Timesketch, as JSON Lines or CSV: starts of processes, logins, times of files, and the capture itself.

Every line has `message`, `datetime` and `timestamp_desc`, or Timesketch refuses the whole file; `datetime` is UTC with
an offset and `timestamp` its exact microseconds, or the server guesses. Lines of logs are not cut into events: Plaso
does that with the export `uac`.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from hozen_collector.export import bodyfile, facts, inert
from hozen_collector.export.manifest import Done
from hozen_hashes.errors import FormatError
from hozen_hashes.names import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hozen_collector.export.source import Source
    from hozen_collector.export.target import Stream

COLUMNS: Final = (
    "message", "datetime", "timestamp", "timestamp_desc", "data_type", "host.name", "tag",
    "hozen.item", "hozen.bundle", "hozen.seal", "user.name", "process.pid", "process.parent.pid", "process.name",
    "process.executable", "process.command_line", "process.hash.sha256", "file.path", "file.inode", "file.mode",
    "file.uid", "file.gid", "file.size", "source.ip", "source.address", "login.terminal", "artifact", "outcome",
)  # fmt: skip
_MAX_FIELD: Final = 30_000  # OpenSearch stops indexing keywords at 32,766 bytes
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MACB: Final = (
    (7, "Access Time"), (8, "Content Modification Time"), (9, "Metadata Modification Time"), (10, "Creation Time"),
)  # fmt: skip
_FIELDS: Final = 11
_LOGINS: Final = {"USER_PROCESS": "Login", "DEAD_PROCESS": "Logout", "BOOT_TIME": "Boot"}

Event = dict[str, object]


@dataclass(slots=True)
class _Events:
    """Makes events of one source and counts them by type."""

    source: Source
    counts: dict[str, int] = field(default_factory=dict)
    undated: int = 0

    def all(self) -> Iterator[Event]:
        """Yield each event, in the order of the bundle."""
        yield from self._items()
        yield from self._records()
        yield from self._files()

    def _items(self) -> Iterator[Event]:
        for row in self.source.rows:
            when = _nanoseconds(row.details.get("started"))
            message = (
                f"hozen item {row.item}: {row.artifact} {inert.name(row.source)}: {row.outcome}"
            )
            more = {"hozen.item": row.item, "artifact": row.artifact, "outcome": row.outcome}
            yield from self._event(when, "Evidence Read", "hozen:item", message, more)

    def _records(self) -> Iterator[Event]:
        def wanted(artifact: str) -> bool:
            return artifact in {"processes", "sessions"}

        for row, record in self.source.records(lambda row: wanted(row.artifact)):
            make = self._process if row.artifact == "processes" else self._login
            for event in make(record):
                yield {**event, "hozen.item": row.item}

    def _process(self, record: dict[str, object]) -> Iterator[Event]:
        line = facts.command_line(record)
        exe = record.get("exe")
        more = {
            "process.pid": record.get("pid"),
            "process.parent.pid": record.get("ppid"),
            "process.name": inert.name(str(record.get("name") or "")),
            "process.executable": inert.name(exe) if isinstance(exe, str) else None,
            "process.command_line": line or None,
            "process.hash.sha256": record.get("exe_sha256"),
            "user.name": inert.line(record.get("user")) or None,
        }
        message = f"process {record.get('pid')} started: {line or more['process.name']}"
        when = _nanoseconds(record.get("started"))
        yield from self._event(when, "Process Start Time", "hozen:process", message, more)

    def _login(self, record: dict[str, object]) -> Iterator[Event]:
        kind = record.get("type")
        what = _LOGINS.get(str(kind), str(kind)) if kind is not None else "Last login"
        user, host = (inert.name(str(record.get(key) or "")) for key in ("user", "host"))
        more = {
            "user.name": user or record.get("uid"),
            "source.ip": record.get("address"),
            "source.address": host or None,
            "login.terminal": inert.name(str(record.get("line") or "")) or None,
            "process.pid": record.get("pid"),
        }
        message = f"{what}: {more['user.name']} from {host or more['source.ip'] or '-'}"
        when = _nanoseconds(record.get("time"))
        yield from self._event(when, f"{what} Time", "hozen:session", message, more)

    def _files(self) -> Iterator[Event]:
        listed = False
        for line in bodyfile.walked(self.source):
            listed = True
            yield from self._file(line)
        if not listed:
            for line in bodyfile.of_items(self.source):
                yield from self._file(line)

    def _file(self, line: bytes) -> Iterator[Event]:
        words = line.rstrip(b"\n").decode("utf-8", "backslashreplace").split("|")
        if len(words) != _FIELDS:
            self.undated += 1
            return
        name = inert.again(words[1].replace("%7C", "|").replace("%25", "%"))
        more = {
            "file.path": name, "file.inode": words[2], "file.mode": words[3], "file.uid": words[4],
            "file.gid": words[5], "file.size": words[6],
        }  # fmt: skip
        for place, what in _MACB:
            when = _decimal(words[place])
            if when:
                yield from self._event(when, what, "hozen:file", name, more)

    def _event(
        self, when: int | None, what: str, kind: str, message: str, more: Mapping[str, object]
    ) -> Iterator[Event]:
        moment = None if when is None else _moment(when)
        if moment is None:
            self.undated += 1
            return
        self.counts[kind] = self.counts.get(kind, 0) + 1
        report = self.source.report
        yield {
            "message": message,
            "datetime": moment.isoformat(timespec="microseconds"),
            "timestamp": (when or 0) // 1000,
            "timestamp_desc": what,
            "data_type": kind,
            "host.name": inert.line(self.source.part("host").get("hostname")),
            "tag": self._tags(),
            "hozen.bundle": report.bundle_id,
            "hozen.seal": report.seal,
            **{key: _cut(value) for key, value in more.items() if value is not None},
        }

    def _tags(self) -> list[str]:
        tags = [] if self.source.verified else ["unverified"]
        return [*tags, "drill"] if self.source.part("case").get("drill") is True else tags


def write_jsonl(source: Source, out: Stream) -> Done:
    """Write one event a line."""
    return _write(source, lambda event: out.write(json.dumps(event).encode("ascii") + b"\n"))


def write_csv(source: Source, out: Stream) -> Done:
    """Write a table with a BOM, which Timesketch and Excel take."""
    out.write("\ufeff".encode())
    out.write(_csv_line(COLUMNS))
    return _write(source, partial(_row, out))


def writer_for(path: Path | None) -> Callable[[Source, Stream], Done]:
    """Return what the name of the file asks for: `.csv` or JSON Lines."""
    return write_csv if path is not None and path.suffix == ".csv" else write_jsonl


def _write(source: Source, put: Callable[[Event], object]) -> Done:
    events = _Events(source)
    for event in events.all():
        put(event)
    done = Done(counts={"events": sum(events.counts.values()), **events.counts})
    if events.undated:
        done.notes.append(
            f"{events.undated} records have no time, or none that can be written, and are not there"
        )
    return done


def _row(out: Stream, event: Event) -> None:
    values = [event.get(key) for key in COLUMNS]
    shown = [json.dumps(one) if isinstance(one, list) else inert.cell(one) for one in values]
    out.write(_csv_line(shown))


def _csv_line(values: object) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(values)  # type: ignore[arg-type]
    return line.getvalue().encode()


def _cut(value: object) -> object:
    return (
        value[:_MAX_FIELD] + " [cut]"
        if isinstance(value, str) and len(value) > _MAX_FIELD
        else value
    )


def _nanoseconds(value: object) -> int | None:
    try:
        return parse_rfc3339(value) if isinstance(value, str) else None
    except FormatError:
        return None


def _decimal(text: str) -> int:
    """Return nanoseconds of decimal seconds; 0 when there is no time."""
    whole, _, fraction = text.lstrip("-").partition(".")
    if not whole.isdecimal() or not (fraction or "0").isdecimal() or len(whole) > 18:  # noqa: PLR2004
        return 0
    value = int(whole) * 10**9 + int((fraction + "0" * 9)[:9])
    return -value if text.startswith("-") else value


def _moment(when: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=when // 1000)
    except OverflowError:
        return None
