"""The bundle's records as tables: one a kind of record, a column for each key, a row for each record.

Nothing is chosen or renamed: a table has what the records have, so that a later family of records is there without a
change here. Beside them stand `export` (where it all comes from), `items` (every attempt) and `files` (the walk of the
file systems).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from hozen_collector.export import bodyfile, inert, manifest
from hozen_hashes.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_collector.export.source import Source
    from hozen_hashes.journalrecords import Row

MAX_COLUMNS: Final = 1_000
_ITEMS: Final = (
    "item", "artifact", "outcome", "reason", "kind", "source", "path", "size", "sha256", "method", "class", "started",
    "ended", "stat", "link_target", "process", "redacted", "derived_from", "withheld", "left_out", "changed",
)  # fmt: skip
_FILES: Final = (
    "item", "md5", "name", "inode", "mode", "uid", "gid", "size", "atime", "mtime", "ctime", "btime",
)  # fmt: skip
_NAMES: Final = {
    ("processes", "/proc"): "processes",
    ("sockets", "/proc/PID/net"): "sockets",
    ("sockets", "network%20namespaces"): "network_namespaces",
    ("executables", "executables:files"): "executables",
    ("executables_all", "executables:files"): "executables",
    ("filesystem", "filesystem:special"): "special_files",
    ("packages", "packages:installed"): "packages",
}

Values = dict[str, object]
Type = Literal["integer", "real", "truth", "text"]


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        columns: in the order in which the records first name them, with the type that holds every value.
    """

    name: str
    columns: dict[str, Type]


def tables(source: Source) -> list[Table]:
    """Return every table that has a row; the records are read once for it.

    Raises:
        LimitError: records with more keys than any kind has.
    """
    found: dict[str, dict[str, Type | None]] = {}
    for row, record in source.records(lambda _: True):
        columns = found.setdefault(name_of(row), {"item": "integer"})
        for key, value in record.items():
            columns[key] = _wider(columns.get(key), value)
        if len(columns) > MAX_COLUMNS:
            raise LimitError(f"item {row.item}: more than {MAX_COLUMNS} kinds of keys")
    first = [Table("export", {"name": "text", "value": "text"}), Table("items", _fixed(_ITEMS))]
    walked = any((row.artifact, row.source) == bodyfile.BODYFILE for row in source.rows)
    files = [Table("files", _fixed(_FILES))] if walked else []
    others = [
        Table(name, {key: kind or "text" for key, kind in found[name].items()})
        for name in sorted(found)
    ]
    return [*first, *files, *others]


def typed(value: object, kind: Type) -> int | float | bool | str | None:
    """Return a value of a record as the type of its column; nested values are JSON."""
    if value is None:
        return None
    if kind == "text":
        if isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    if kind == "real" and isinstance(value, int):
        return float(value)
    return value if isinstance(value, bool | int | float) else str(value)


def _fixed(columns: tuple[str, ...]) -> dict[str, Type]:
    return {key: "integer" if key == "item" else "text" for key in columns}


def _wider(known: Type | None, value: object) -> Type | None:
    """Return the type that holds what the column has had so far, and this value."""
    if value is None:
        return known
    own: Type = "text"
    if isinstance(value, bool):
        own = "truth"
    elif isinstance(value, int):
        own = "integer"
    elif isinstance(value, float):
        own = "real"
    if known is None or known == own:
        return own
    return "real" if {known, own} == {"integer", "real"} else "text"


def rows(source: Source) -> Iterator[tuple[str, Values]]:
    """Yield every row with the name of its table, in the bundle's order; the bundle is read twice more."""
    for name, value in about(source):
        yield "export", {"name": name, "value": value}
    for row in source.rows:
        yield "items", {key: row.details.get(key) for key in _ITEMS}
    for row, record in source.records(lambda _: True):
        yield name_of(row), {"item": row.item, **record}
    yield from _files(source)


def about(source: Source) -> Iterator[tuple[str, object]]:
    """Yield where the tables come from, one fact a row."""
    yield "format", manifest.FORMAT
    for key, value in manifest.origin(source).items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", one) for name, one in value.items())
        else:
            yield key, value
    if not source.verified:
        yield "warning", "NOT VERIFIED: the bundle did not verify; these tables prove nothing"


def name_of(row: Row) -> str:
    """Return the table of a record item; records of the same source in other namespaces share one."""
    known = _NAMES.get((row.artifact, row.source))
    if known is not None:
        return known
    whole = re.sub(r"@.*|%[0-9A-F]{2}", " ", row.source)
    last = whole.rpartition(":")[2].rpartition("/")[2]
    part = re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_")[:24].strip("_")
    return row.artifact if part in ("", row.artifact) else f"{row.artifact}_{part}"


def _files(source: Source) -> Iterator[tuple[str, Values]]:
    item = next((r.item for r in source.rows if (r.artifact, r.source) == bodyfile.BODYFILE), 0)
    for line in bodyfile.walked(source):
        words = line.rstrip(b"\n").decode("utf-8", "backslashreplace").split("|")
        if len(words) == len(_FILES) - 1:
            yield "files", dict(zip(_FILES, (item, *words), strict=True))


def shown(value: object) -> str:
    """Return a value as an inert cell of a spreadsheet."""
    return inert.text(value)
