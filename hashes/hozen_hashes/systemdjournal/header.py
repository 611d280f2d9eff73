"""The header of a journal file; it alone says how many entries there are, from when to when, and in which state."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from hozen_hashes.errors import FormatError

SIZE: Final = 272
_LEAST: Final = 208
_FORM: Final = struct.Struct("<8sIIB7x16s16s16s16s15Q")
_LATER: Final = struct.Struct("<8Q")
_SIGNATURE: Final = b"LPKSHHRH"
_STATES: Final = ("offline", "online", "archived")
SEALED: Final = 1
COMPACT: Final = 16
KEYED: Final = 4
_COMPATIBLE: Final = ("sealed", "tail_entry_boot_id", "sealed_continuous")
_INCOMPATIBLE: Final = (
    "compressed_xz",
    "compressed_lz4",
    "keyed_hash",
    "compressed_zstd",
    "compact",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a journal file says of itself; times in microseconds since 1970, identifiers as 32 figures.

    Attributes:
        state: `offline` (closed properly), `online` (in use or torn), `archived`, or a number.
        header_size, arena_size: bytes; together no more than the file.
        tail_object: offset of the last object.
        entry_array: offset of the first array of entries.
        objects, entries: how many; `data`, `fields`, `tags`, `arrays` are None in files of old versions.
    """

    compatible: int
    incompatible: int
    state: str
    file_id: bytes
    machine_id: bytes
    seqnum_id: bytes
    header_size: int
    arena_size: int
    tail_object: int
    objects: int
    entries: int
    first_number: int
    last_number: int
    entry_array: int
    first_time: int
    last_time: int
    data: int | None
    fields: int | None
    tags: int | None
    arrays: int | None

    @property
    def compact(self) -> bool:
        """Whether offsets in arrays and entries have four bytes."""
        return bool(self.incompatible & COMPACT)

    @property
    def sealed(self) -> bool:
        """Whether journald sealed the file; only its verification key can tell if the seals hold."""
        return bool(self.compatible & SEALED)

    def flags(self) -> list[str]:
        """Return the names of the flags that are set, unknown ones by number."""
        pairs = ((self.compatible, _COMPATIBLE), (self.incompatible, _INCOMPATIBLE))
        return [
            names[bit] if bit < len(names) else f"bit {bit}"
            for value, names in pairs
            for bit in range(32)
            if value >> bit & 1
        ]

    def as_record(self) -> dict[str, object]:
        """Return the header as a JSON object, offsets left out."""
        return {
            "state": self.state,
            "flags": self.flags(),
            "sealed": self.sealed,
            "file_id": self.file_id.hex(),
            "machine_id": self.machine_id.hex(),
            "seqnum_id": self.seqnum_id.hex(),
            "objects": self.objects,
            "entries": self.entries,
            "first_number": self.first_number,
            "last_number": self.last_number,
            "first_time_us": str(self.first_time),
            "last_time_us": str(self.last_time),
            "tags": self.tags,
        }


def read_header(data: bytes) -> Header:
    """Return the header that a journal file begins with; its first SIZE bytes are enough.

    Raises:
        FormatError: it is shorter than the shortest header, or begins otherwise.
    """
    if len(data) < _LEAST or not data.startswith(_SIGNATURE):
        raise FormatError("not a journal file of systemd: it begins otherwise")
    raw = data.ljust(SIZE, b"\0")
    _, compatible, incompatible, state, file_id, machine, _, seqnum, *n = _FORM.unpack_from(raw)
    later = [*_LATER.unpack_from(raw, _LEAST)]
    known = [value if n[0] >= _LEAST + 8 * (at + 1) else None for at, value in enumerate(later)]
    return Header(
        compatible=compatible,
        incompatible=incompatible,
        state=_STATES[state] if state < len(_STATES) else str(state),
        file_id=file_id,
        machine_id=machine,
        seqnum_id=seqnum,
        header_size=n[0],
        arena_size=n[1],
        tail_object=n[6],
        objects=n[7],
        entries=n[8],
        last_number=n[9],
        first_number=n[10],
        entry_array=n[11],
        first_time=n[12],
        last_time=n[13],
        data=known[0],
        fields=known[1],
        tags=known[2],
        arrays=known[3],
    )
