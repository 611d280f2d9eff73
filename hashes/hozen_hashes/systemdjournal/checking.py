"""Whether the structure of a journal file holds: what `journalctl --verify` looks at, as far as it needs no key."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from hozen_hashes.errors import BadDataError, FormatError
from hozen_hashes.systemdjournal import reading
from hozen_hashes.systemdjournal.header import KEYED
from hozen_hashes.systemdjournal.siphash import siphash24

MAX_FINDINGS: Final = 100


@dataclass(slots=True)
class Checked:
    """What was looked at and what did not hold.

    Attributes:
        findings: one English sentence each; empty when everything that was looked at holds.
        closed: each sealing tag, as (number, epoch); whether they hold only the verification key can tell.
        unopened: how many data objects are compressed in a way that is not known here.
        hashed: how many data objects were compared with their hash.
    """

    objects: int = 0
    entries: int = 0
    hashed: int = 0
    unopened: int = 0
    closed: list[tuple[int, int]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """One more thing does not hold."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(text)


def check(journal: reading.JournalFile, *, hashes: bool = True) -> Checked:
    """Return what a journal file's structure says; the pass goes over the whole file.

    Args:
        journal: the file.
        hashes: also compare data with their hashes, which takes most of the time (keyed ones only, since systemd 246).
    """
    done = Checked()
    entries: set[int] = set()
    try:
        _objects(journal, done, entries, hashes=hashes)
        _entries(journal, done, entries)
    except BadDataError as error:
        done.note(str(error))
    return done


def _objects(
    journal: reading.JournalFile, done: Checked, entries: set[int], *, hashes: bool
) -> None:
    header = journal.header
    kinds: Counter[int] = Counter()
    keyed = hashes and bool(header.incompatible & KEYED)
    for offset, kind, _, _ in journal.objects():
        kinds[kind] += 1
        done.objects += 1
        if kind == reading.ENTRY:
            entries.add(offset)
        elif kind == reading.TAG:
            done.closed.append(struct.unpack_from("<QQ", journal.object_at(offset)[2], 16))
        elif kind == reading.DATA and keyed:
            _data(journal, done, offset)
    _counts(done, header.objects, done.objects, "objects")
    _counts(done, header.entries, kinds[reading.ENTRY], "entries")
    _counts(done, header.data, kinds[reading.DATA], "data objects")
    _counts(done, header.fields, kinds[reading.FIELD], "field objects")
    _counts(done, header.tags, kinds[reading.TAG], "tags")
    _counts(done, header.arrays, kinds[reading.ENTRY_ARRAY], "arrays")
    if [number for number, _ in done.closed] != list(range(1, len(done.closed) + 1)):
        done.note("the sealing tags are not numbered from 1 without a gap")


def _counts(done: Checked, said: int | None, found: int, what: str) -> None:
    if said is not None and said != found:
        done.note(f"the header says {said} {what}, there are {found}")


def _data(journal: reading.JournalFile, done: Checked, offset: int) -> None:
    content, digest = journal.content_at(offset)
    if content is None:
        done.unopened += 1
        return
    done.hashed += 1
    if siphash24(content, journal.header.file_id) != digest:
        done.note(f"data object at {offset}: its hash does not hold")


def _entries(journal: reading.JournalFile, done: Checked, known: set[int]) -> None:
    """The chain of arrays names every entry once, in rising order."""
    before = 0
    for offset in entry_offsets(journal):
        if offset not in known:
            done.note(f"the arrays name {offset}, where no entry is")
            continue
        number, *_, items = journal.entry_at(offset)
        done.entries += 1
        if number <= before:
            done.note(f"entry at {offset}: number {number} after {before}")
        before = number
        for item in items:
            if journal.head_at(item)[0] != reading.DATA:
                done.note(f"entry at {offset}: {item} is no data object")
    _counts(done, journal.header.entries, done.entries, "entries in arrays")


def entry_offsets(journal: reading.JournalFile) -> list[int]:
    """Return the offsets of all entries in their order.

    Raises:
        FormatError: the chain of arrays goes backwards (it would never end), or leads elsewhere.
    """
    found: list[int] = []
    at, last = journal.header.entry_array, 0
    while at:
        if at <= last:
            raise FormatError(f"the arrays of entries go backwards, from {last} to {at}")
        last = at
        at, offsets = journal.array_at(at)
        found += offsets
    return found
