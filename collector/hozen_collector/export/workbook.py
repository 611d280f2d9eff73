"""One XLSX workbook, a sheet for each table: every cell a number or a text, never a formula or a link.

Needs xlsxwriter (extra `exports`). A sheet ends where Excel's does; what has no room is counted in the notes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException

from hozen_collector.export.inert import EXCEL_CELL
from hozen_collector.export.manifest import Done
from hozen_collector.export.tables import rows, shown, tables
from hozen_hashes.errors import CannotWriteError, FormatError
from hozen_hashes.names import parse_rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_collector.export.source import Source

MAX_ROWS: Final = 1_048_576
_EXACT: Final = 10**15  # Excel keeps 15 digits
_SHEET: Final = 31
_CUT: Final = " [cut]"
_OPTIONS: Final = {
    "constant_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False,
}  # fmt: skip


def make(source: Source, path: Path) -> Done:
    """Write the workbook; `counts` has the rows of each sheet.

    Raises:
        CannotWriteError: the operating system refused.
    """
    options = {**_OPTIONS, "tmpdir": str(path.parent)}
    try:
        with xlsxwriter.Workbook(str(path), options) as book:
            book.set_properties({"title": str(source.report.bundle_id), "created": _made(source)})
            return _Sheets(book, source).fill()
    except (OSError, XlsxWriterException) as error:
        raise CannotWriteError(
            f"cannot write the workbook: {error}", hint="Look at the free space."
        ) from error


class _Sheets:
    """The sheets of one workbook."""

    def __init__(self, book: Any, source: Source) -> None:
        self._source = source
        self._columns = {table.name: list(table.columns) for table in tables(source)}
        self._sheets = {
            name: book.add_worksheet(sheet)
            for name, sheet in zip(self._columns, _names(list(self._columns)), strict=True)
        }
        self._done = Done(counts=dict.fromkeys(self._columns, 0))
        self._cut = 0

    def fill(self) -> Done:
        left_out: dict[str, int] = {}
        for name, columns in self._columns.items():
            self._sheets[name].freeze_panes(1, 0)
            for place, key in enumerate(columns):
                self._cell(name, 0, place, key)
        for name, values in rows(self._source):
            row = self._done.counts[name] + 1
            if row >= MAX_ROWS:
                left_out[name] = left_out.get(name, 0) + 1
                continue
            self._done.counts[name] = row
            for place, key in enumerate(self._columns[name]):
                self._cell(name, row, place, values.get(key))
        self._done.notes += [
            f"{count} rows of {name} have no room in a sheet" for name, count in left_out.items()
        ]
        if self._cut:
            self._done.notes.append(f"{self._cut} cells were cut at {EXCEL_CELL} characters")
        return self._done

    def _cell(self, name: str, row: int, column: int, value: object) -> None:
        sheet = self._sheets[name]
        if value is None:
            return
        if isinstance(value, bool):
            sheet.write_boolean(row, column, value)
        elif isinstance(value, int) and abs(value) < _EXACT:
            sheet.write_number(row, column, value)
        else:
            text = shown(value)
            # Excel counts UTF-16 units.
            if len(text.encode("utf-16-le")) // 2 > EXCEL_CELL:
                text = text[: EXCEL_CELL // 2 - len(_CUT)] + _CUT
                self._cut += 1
            sheet.write_string(row, column, text)


def _names(tables: list[str]) -> list[str]:
    """Return names that Excel takes: short, and different without regard to case."""
    found: list[str] = []
    for table in tables:
        name, number = table[:_SHEET], 2
        while name in found:
            name = f"{table[: _SHEET - 4]}_{number}"
            number += 1
        found.append(name)
    return found


def _made(source: Source) -> datetime:
    try:
        seconds = parse_rfc3339(str(source.part("clock").get("start"))) // 10**9
    except FormatError:
        seconds = 0
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
