"""Entries of a journal file in the Journal Export Format, as `journalctl -o export` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes.systemdjournal.checking import entry_offsets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.systemdjournal.reading import JournalFile


@dataclass(slots=True)
class Export:
    """Writes the entries one after the other.

    Attributes:
        left_out: how many fields could not be opened (their compression is not known here); the entries lack them.
    """

    journal: JournalFile
    left_out: int = 0

    def entries(self) -> Iterator[bytes]:
        """Yield each entry, ended by an empty line.

        Raises:
            FormatError: the file is damaged; what came before holds.
        """
        for offset in entry_offsets(self.journal):
            yield self._entry(offset)

    def _entry(self, offset: int) -> bytes:
        number, wall, monotonic, boot, mixed, items = self.journal.entry_at(offset)
        series, started = self.journal.header.seqnum_id.hex(), boot.hex()
        lines = [
            f"__CURSOR=s={series};i={number:x};b={started};m={monotonic:x};t={wall:x};x={mixed:x}\n"
            f"__REALTIME_TIMESTAMP={wall}\n__MONOTONIC_TIMESTAMP={monotonic}\n_BOOT_ID={started}\n".encode()
        ]
        for item in items:
            content, _ = self.journal.content_at(item)
            if content is None:
                self.left_out += 1
            elif not content.startswith(b"_BOOT_ID="):
                lines.append(_field(content))
        return b"".join([*lines, b"\n"])


def _field(content: bytes) -> bytes:
    """Return a field as a line, or with its length where its value is not plain text."""
    name, _, value = content.partition(b"=")
    if _plain(value):
        return content + b"\n"
    return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def _plain(value: bytes) -> bool:
    """Return whether journalctl writes the value as text: UTF-8 without control characters but the tab."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value)  # noqa: PLR2004
