"""One SQLite database, a table for each kind of record, the values as the records have them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Final

from hozen_collector.export import inert
from hozen_collector.export.manifest import Done
from hozen_collector.export.tables import rows, tables, typed
from hozen_hashes.errors import CannotWriteError

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_collector.export.source import Source
    from hozen_collector.export.tables import Table

_TYPES: Final = {"integer": "INTEGER", "real": "REAL", "truth": "INTEGER", "text": "TEXT"}
_BATCH: Final = 10_000


def make(source: Source, path: Path) -> Done:
    """Write the database; `counts` has the rows of each table.

    Raises:
        CannotWriteError: the operating system refused.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            # The file gets its name when it is whole: a journal beside it would protect nothing.
            database.execute("PRAGMA journal_mode=OFF")
            database.execute("PRAGMA synchronous=OFF")
            database.execute("BEGIN")
            done = _fill(source, database)
            database.execute("COMMIT")
            return done
    except sqlite3.Error as error:
        raise CannotWriteError(
            f"cannot write the database: {error}", hint="Look at the free space."
        ) from error


def _fill(source: Source, database: sqlite3.Connection) -> Done:
    found = {table.name: table for table in tables(source)}
    done = Done(counts=dict.fromkeys(found, 0))
    inserts = {}
    for name, table in found.items():
        database.execute(_create(table))
        marks = ",".join("?" * len(table.columns))
        inserts[name] = f"INSERT INTO {_quoted(name)} VALUES ({marks})"  # noqa: S608 - names are quoted
    stream = rows(source)
    while batch := list(islice(stream, _BATCH)):
        for name, values in batch:
            columns = found[name].columns
            database.execute(
                inserts[name], [typed(values.get(key), kind) for key, kind in columns.items()]
            )
            done.counts[name] += 1
    return done


def _create(table: Table) -> str:
    names = columns_of(table)
    columns = ", ".join(
        f"{_quoted(name)} {_TYPES[kind]}"
        for name, kind in zip(names, table.columns.values(), strict=True)
    )
    return f"CREATE TABLE {_quoted(table.name)} ({columns})"


def columns_of(table: Table) -> list[str]:
    """Return the names of the columns, inert, and different without regard to case as SQLite wants them."""
    found: dict[str, str] = {}
    for key in table.columns:
        name, number = inert.line(key), 2
        while name.lower() in found:
            name = f"{inert.line(key)}_{number}"
            number += 1
        found[name.lower()] = name
    return list(found.values())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
