"""A directory of CSV files, one a table, for a spreadsheet: UTF-8 with BOM, CRLF, every cell inert."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hozen_collector.export.manifest import Done
from hozen_collector.export.tables import rows, shown, tables
from hozen_hashes.errors import CannotWriteError

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_collector.export.source import Source


def make(source: Source, folder: Path) -> Done:
    """Write `<table>.csv` for each table; `counts` has the rows of each.

    Raises:
        CannotWriteError: the operating system refused.
    """
    found = tables(source)
    done = Done(counts={table.name: 0 for table in found})
    with ExitStack() as stack:
        try:
            writers = {table.name: _writer(stack, folder, table.name) for table in found}
            for table in found:
                writers[table.name].writerow([shown(one) for one in table.columns])
            columns = {table.name: table.columns for table in found}
            for name, values in rows(source):
                writers[name].writerow([shown(values.get(key)) for key in columns[name]])
                done.counts[name] += 1
        except OSError as error:
            raise CannotWriteError(
                f"cannot write {folder}: {error.strerror}", hint="Look at the free space."
            ) from error
    return done


def _writer(stack: ExitStack, folder: Path, name: str) -> Any:
    place = folder / f"{name}.csv"
    return csv.writer(stack.enter_context(place.open("w", encoding="utf-8-sig", newline="")))
