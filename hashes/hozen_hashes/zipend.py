"""The records at the very end of a container: where the central directory is, and that all agree."""

from __future__ import annotations

from dataclasses import dataclass

from hozen_hashes.errors import FormatError
from hozen_hashes.zipformat import (
    END,
    END64,
    END64_REST,
    END64_SIGNATURE,
    END_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    U16_MAX,
    U32_MAX,
)

TAIL64 = END64.size + LOCATOR.size
"""Bytes of the ZIP64 end records."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the central directory lies.

    Attributes:
        count: entries.
        size: bytes.
        offset: of its first entry.
    """

    count: int
    size: int
    offset: int

    @property
    def end(self) -> int:
        """Offset of the first end record."""
        return self.offset + self.size


def claimed_extent(tail: bytes) -> tuple[Extent, bytes]:
    """Return what the end records at the end of a container claim, and their bytes.

    Args:
        tail: the last 98 bytes of the container, or all of a shorter one.

    Raises:
        FormatError: the last 22 bytes are no end record.
    """
    end = tail[-END.size :]
    if len(end) != END.size or int.from_bytes(end[:4], "little") != END_SIGNATURE:
        raise FormatError(
            "the container does not end with an end record: torn, or followed by other bytes",
            hint="What was captured before the tear can be read with `hozen salvage`.",
        )
    records = tail[-END.size - TAIL64 :]
    locator = records[-END.size - LOCATOR.size : -END.size]
    if int.from_bytes(locator[:4], "little") == LOCATOR_SIGNATURE:
        if len(records) != TAIL64 + END.size:
            raise FormatError("a ZIP64 locator without its record")
        *_, count, size, offset = END64.unpack_from(records)
        return Extent(count, size, offset), records
    *_, count, size, offset, _ = END.unpack(end)
    return Extent(count, size, offset), end


def check_end(records: bytes, actual: Extent) -> None:
    """Return when the end records describe the central directory that was read, and nothing else.

    Args:
        records: the end record, or ZIP64 record, locator and end record.
        actual: the central directory as it was found.

    Raises:
        FormatError: a value differs, or there is a comment or more than one disk.
    """
    large = len(records) != END.size
    if large:
        _check_end64(records, actual)
    values = END.unpack_from(records, len(records) - END.size)
    signature, disk, directory_disk, here, count, size, offset, comment = values
    if signature != END_SIGNATURE or disk or directory_disk or comment:
        raise FormatError("the end record has a comment or a disk number")
    _check_number(here, actual.count, U16_MAX, "entries", large=large)
    _check_number(count, actual.count, U16_MAX, "entries", large=large)
    _check_number(size, actual.size, U32_MAX, "size", large=large)
    _check_number(offset, actual.offset, U32_MAX, "offset", large=large)


def _check_end64(records: bytes, actual: Extent) -> None:
    signature, rest, _, _, *disks_and_numbers = END64.unpack_from(records)
    if signature != END64_SIGNATURE or rest != END64_REST:
        raise FormatError("the ZIP64 end record is none, or has data of its own")
    if disks_and_numbers != [0, 0, actual.count, actual.count, actual.size, actual.offset]:
        raise FormatError("the ZIP64 end record differs from the central directory")
    if LOCATOR.unpack_from(records, END64.size) != (LOCATOR_SIGNATURE, 0, actual.end, 1):
        raise FormatError("the ZIP64 locator does not point to its record")


def _check_number(value: int, actual: int, ceiling: int, what: str, *, large: bool) -> None:
    """A value at its ceiling stands for the ZIP64 one, when there is one."""
    if value != actual and not (large and value == ceiling):
        raise FormatError(f"the end record says {what} {value}, the central directory {actual}")
