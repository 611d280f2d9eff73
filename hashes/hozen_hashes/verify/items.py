"""Every attempt stands in journal and `files.jsonl` alike, once, without gaps (bundle-v1 §6, §7, §11 step 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes.verify.report import MAX_SHOWN, Note

if TYPE_CHECKING:
    from hozen_hashes.journalrecords import ItemEntry, Row, Stored

_Said = tuple[str, "Stored", str]


class Numbers:
    """Numbers from 1 that should come without gaps, each once, in almost any order."""

    __slots__ = ("_above", "low")

    def __init__(self) -> None:
        self.low = 0
        self._above: set[int] = set()

    def add(self, number: int) -> bool:
        """Return whether the number is new and at least 1."""
        if number <= self.low or number in self._above:
            return False
        self._above.add(number)
        while self.low + 1 in self._above:
            self.low += 1
            self._above.discard(self.low)
        return True

    @property
    def without_gap(self) -> bool:
        """Whether every number from 1 to the largest has come."""
        return not self._above


class Items:
    """Pairs rows with journal entries as they come; what agrees is forgotten at once.

    Attributes:
        problems: what does not agree, at most MAX_SHOWN; `count` says how many there are.
        total: items that stand in both.
    """

    def __init__(self) -> None:
        self._rows: dict[int, _Said] = {}
        self._entries: dict[int, _Said] = {}
        self._row_numbers, self._entry_numbers = Numbers(), Numbers()
        self.problems: list[Note] = []
        self.count = 0
        self.total = 0
        self.entries = 0

    def row(self, row: Row) -> None:
        """Enter a line of `files.jsonl`."""
        if not self._row_numbers.add(row.item):
            self._problem("item-twice", item=row.item, where="files")
            return
        self._meet(row.item, (row.outcome, row.stored, row.record), self._rows, self._entries)

    def entry(self, entry: ItemEntry) -> None:
        """Enter an `item` record of the journal."""
        self.entries += 1
        if not self._entry_numbers.add(entry.item):
            self._problem("item-twice", item=entry.item, where="journal")
            return
        self._meet(
            entry.item, (entry.outcome, entry.stored, entry.record), self._entries, self._rows
        )

    def finish(self) -> None:
        """Enter what is left alone as problems."""
        for item in sorted(self._rows):
            self._problem("item-not-in-journal", item=item)
        for item in sorted(self._entries):
            self._problem("item-not-in-files", item=item)
        if not self._entry_numbers.without_gap:
            self._problem("item-gap", item=self._entry_numbers.low + 1)

    def _meet(
        self, item: int, said: _Said, mine: dict[int, _Said], other: dict[int, _Said]
    ) -> None:
        if item not in other:
            mine[item] = said
            return
        if other.pop(item) == said:
            self.total += 1
        else:
            self._problem("item-differs", item=item)

    def _problem(self, key: str, **values: str | int) -> None:
        self.count += 1
        if len(self.problems) < MAX_SHOWN:
            self.problems.append(Note(key, values))
