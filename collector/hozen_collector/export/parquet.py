"""A directory of Parquet files, one a table, for DuckDB, pandas and the like.

Needs pyarrow (extra `exports`). Each file's own metadata names the seal, so that a file that went astray still says so.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from hozen_collector.export import manifest
from hozen_collector.export.database import columns_of
from hozen_collector.export.manifest import Done
from hozen_collector.export.tables import rows, tables, typed
from hozen_hashes.errors import CannotWriteError

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_collector.export.source import Source
    from hozen_collector.export.tables import Table, Values

_TYPES: Final = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "truth": pa.bool_(),
    "text": pa.string(),
}
_BATCH: Final = 20_000


def make(source: Source, folder: Path) -> Done:
    """Write `<table>.parquet` for each table; `counts` has the rows of each.

    Raises:
        CannotWriteError: the operating system refused.
    """
    found = tables(source)
    done = Done(counts={table.name: 0 for table in found})
    about = {b"hozen-export": json.dumps(manifest.origin(source)).encode("ascii")}
    with ExitStack() as stack:
        try:
            files = {
                table.name: stack.enter_context(_File(folder, table, about)) for table in found
            }
            for name, values in rows(source):
                files[name].add(values)
                done.counts[name] += 1
        except (OSError, pa.ArrowException) as error:
            raise CannotWriteError(
                f"cannot write {folder}: {error}", hint="Look at the free space."
            ) from error
    return done


class _File:
    """One file that is filled in batches."""

    def __init__(self, folder: Path, table: Table, about: dict[bytes, bytes]) -> None:
        self._table = table
        fields = [
            (name, _TYPES[kind])
            for name, kind in zip(columns_of(table), table.columns.values(), strict=True)
        ]
        self._schema = pa.schema(fields, metadata=about)
        self._writer = pq.ParquetWriter(folder / f"{table.name}.parquet", self._schema)
        self._rows: list[Values] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._write()
        self._writer.close()

    def add(self, values: Values) -> None:
        self._rows.append(values)
        if len(self._rows) >= _BATCH:
            self._write()

    def _write(self) -> None:
        columns = self._table.columns.items()
        arrays = [
            pa.array([typed(row.get(key), kind) for row in self._rows], type=field.type)
            for (key, kind), field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()
