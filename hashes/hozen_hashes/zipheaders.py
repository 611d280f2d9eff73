"""Reads one ZIP header and refuses what bundle-v1 §4 does not know (APPNOTE 6.3.10 §4.3, §4.5.3)."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes.errors import FormatError
from hozen_hashes.zipformat import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DEFLATED,
    DESCRIPTOR32,
    DESCRIPTOR64,
    DESCRIPTOR_FLAG,
    DESCRIPTOR_SIGNATURE,
    EXTRA,
    LOCAL,
    LOCAL_SIGNATURE,
    STORED,
    U32_MAX,
    ZIP64_EXTRA,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


MAX_NAME = 200
MAX_EXTRA = 1024
_ENCRYPTED = 0x2041
_KNOWN_FLAGS = 0x080E  # bits 1 and 2: how hard deflate tried; 3: descriptor; 11: names are UTF-8
_DOS_DIRECTORY = 0x10
_U64 = 8
# Fields that give a second name, or say how to decrypt: readers differ in which they believe.
_REFUSED_EXTRAS = {
    0x7075: "a second name",
    0x6375: "a comment",
    0x9901: "encryption",
    0x0017: "encryption",
}


@dataclass(slots=True)
class Local:
    """A local header. The sizes are not to be believed when `streamed`."""

    name: str
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    zip64: bool
    length: int

    @property
    def streamed(self) -> bool:
        """Whether a data descriptor follows the content."""
        return bool(self.flags & DESCRIPTOR_FLAG)

    def contradicts(self, crc: int, compressed: int, size: int) -> bool:
        """Whether the header says something else; a streamed one may leave values zero.

        But for the size of a stored member: without it nobody could tell where the content ends.
        """
        if (self.crc, self.compressed, self.size) == (crc, compressed, size):
            return False
        if not self.streamed or (self.method == STORED and self.size != size):
            return True
        return (
            self.crc not in {0, crc}
            or self.compressed not in {0, compressed}
            or self.size not in {0, size}
        )


@dataclass(slots=True)
class Central:
    """An entry of the central directory."""

    name: str
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int


def read_local(take: Callable[[int], bytes]) -> Local:
    """Return the local header that comes next.

    Args:
        take: gives exactly so many bytes.

    Raises:
        FormatError: not one, or one that bundle-v1 §4 refuses.
    """
    return parse_local(take(LOCAL.size), take)


def parse_local(fixed: bytes, take: Callable[[int], bytes]) -> Local:
    """Return the local header whose first 30 bytes are `fixed`.

    Raises:
        FormatError: not one, or one that bundle-v1 §4 refuses.
    """
    values = LOCAL.unpack(fixed)
    signature, version, flags, method, _, crc, compressed, size, name_length, extra_length = values
    if signature != LOCAL_SIGNATURE:
        raise FormatError("no member begins where one should")
    name, extra = _name_and_extra(take, name_length, extra_length)
    _check_kind(name, version, flags, method)
    field = _zip64(extra, name)
    if field is not None:
        compressed, size = _local64(field, compressed, size, name)
    elif U32_MAX in {compressed, size}:
        raise FormatError(f"a size of 4 GiB without a ZIP64 field: {name}")
    length = LOCAL.size + name_length + extra_length
    return Local(name, flags, method, crc, compressed, size, field is not None, length)


def parse_central(fixed: bytes, take: Callable[[int], bytes]) -> Central:
    """Return the entry of the central directory whose first 46 bytes are `fixed`.

    Raises:
        FormatError: not one, or one that bundle-v1 §4 refuses.
    """
    values = CENTRAL.unpack(fixed)
    signature, _, version, flags, method, _, crc, compressed, size = values[:9]
    name_length, extra_length, comment, disk, _, external, offset = values[9:]
    if signature != CENTRAL_SIGNATURE:
        raise FormatError("no entry of the central directory where one should be")
    name, extra = _name_and_extra(take, name_length, extra_length)
    _check_kind(name, version, flags, method)
    if comment or disk:
        raise FormatError(f"a comment or a disk number: {name}")
    _check_mode(name, external)
    if name.endswith("/") and (method, crc, compressed, size) != (STORED, 0, 0, 0):
        raise FormatError(f"a directory with content: {name}")
    field = _zip64(extra, name)
    if field is not None:
        size, compressed, offset = _central64(field, (size, compressed, offset), name)
    elif U32_MAX in {size, compressed, offset}:
        raise FormatError(f"a size or offset of 4 GiB without a ZIP64 field: {name}")
    return Central(name, flags, method, crc, compressed, size, offset)


def descriptor_length(local: Local, compressed: int, size: int) -> int:
    """Return the length of the data descriptor after a streamed member.

    64-bit when the local header has a ZIP64 field, or when a size needs it.
    """
    if local.zip64 or compressed > U32_MAX or size > U32_MAX:
        return DESCRIPTOR64.size
    return DESCRIPTOR32.size


def check_descriptor(raw: bytes, name: str, crc: int, compressed: int, size: int) -> None:
    """Return when a data descriptor says just this.

    Raises:
        FormatError: it has no signature, or says something else.
    """
    form = DESCRIPTOR64 if len(raw) == DESCRIPTOR64.size else DESCRIPTOR32
    if form.unpack(raw) != (DESCRIPTOR_SIGNATURE, crc, compressed, size):
        raise FormatError(f"the data descriptor is not that of the content: {name}")


def check_against(local: Local, central: Central) -> None:
    """Return when the local header does not contradict the central directory.

    Raises:
        FormatError: they speak of different members.
    """
    kind = (local.name, local.method, local.flags)
    other = kind != (central.name, central.method, central.flags)
    if other or local.contradicts(central.crc, central.compressed, central.size):
        raise FormatError(f"the local header contradicts the central directory: {central.name}")


def _name_and_extra(
    take: Callable[[int], bytes], name_length: int, extra_length: int
) -> tuple[str, bytes]:
    if not 0 < name_length <= MAX_NAME or extra_length > MAX_EXTRA:
        raise FormatError(
            f"a name of {name_length} bytes with {extra_length} bytes of extra fields"
        )
    raw = take(name_length + extra_length)
    try:
        return raw[:name_length].decode("ascii"), raw[name_length:]
    except UnicodeDecodeError as error:
        raise FormatError(f"a member name that is not ASCII: {raw[:name_length]!r}") from error


def _check_kind(name: str, version: int, flags: int, method: int) -> None:
    if flags & _ENCRYPTED:
        raise FormatError(f"encrypted: {name}")
    if flags & ~_KNOWN_FLAGS:
        raise FormatError(f"general purpose flags {flags:#06x}: {name}")
    if method not in {STORED, DEFLATED}:
        raise FormatError(f"compression method {method}, not deflate or stored: {name}")
    if version & 0xFF > 63:  # noqa: PLR2004 - APPNOTE 6.3, the last one
        raise FormatError(f"needs version {version} to extract: {name}")


def _check_mode(name: str, external: int) -> None:
    directory = name.endswith("/")
    kind = stat.S_IFMT(external >> 16)
    if kind not in {0, stat.S_IFDIR if directory else stat.S_IFREG}:
        raise FormatError(f"a link or device (mode {external >> 16:o}): {name}")
    if external & _DOS_DIRECTORY and not directory:
        raise FormatError(f"a file with the attribute of a directory: {name}")


def _zip64(extra: bytes, name: str) -> bytes | None:
    """Return the ZIP64 field, None when there is none; every field is walked and must fit."""
    if not extra:
        return None
    found: bytes | None = None
    position = 0
    while position < len(extra):
        if position + EXTRA.size > len(extra):
            raise FormatError(f"a torn extra field: {name}")
        identifier, length = EXTRA.unpack_from(extra, position)
        position += EXTRA.size + length
        if position > len(extra):
            raise FormatError(f"a torn extra field: {name}")
        if identifier in _REFUSED_EXTRAS:
            raise FormatError(f"an extra field with {_REFUSED_EXTRAS[identifier]}: {name}")
        if identifier == ZIP64_EXTRA:
            if found is not None:
                raise FormatError(f"two ZIP64 fields: {name}")
            found = extra[position - length : position]
    return found


def _local64(field: bytes, compressed: int, size: int, name: str) -> tuple[int, int]:
    """Return compressed and size; a local ZIP64 field always has both (APPNOTE §4.5.3)."""
    if len(field) != 2 * _U64:
        raise FormatError(f"a local ZIP64 field of {len(field)} bytes: {name}")
    large_size, large_compressed = _numbers(field)
    for small, large in ((size, large_size), (compressed, large_compressed)):
        if small not in {U32_MAX, large}:
            raise FormatError(f"a ZIP64 field that contradicts its header: {name}")
    return large_compressed, large_size


def _central64(field: bytes, values: tuple[int, int, int], name: str) -> tuple[int, int, int]:
    """Return size, compressed and offset.

    The field holds, in this order, those that are 0xFFFFFFFF in the header; some writers put the
    others too. Any other reading is refused, because readers would differ.
    """
    numbers = _numbers(field) if len(field) % _U64 == 0 else []
    wanted = [place for place, value in enumerate(values) if value == U32_MAX]
    filled = list(values)
    if len(numbers) == len(wanted):
        for place, number in zip(wanted, numbers, strict=True):
            filled[place] = number
    elif 2 <= len(numbers) <= len(values) and max(wanted, default=0) < len(numbers):  # noqa: PLR2004
        filled[: len(numbers)] = numbers
    else:
        raise FormatError(f"a ZIP64 field of {len(field)} bytes: {name}")
    if any(small not in {U32_MAX, large} for small, large in zip(values, filled, strict=True)):
        raise FormatError(f"a ZIP64 field that contradicts its header: {name}")
    return filled[0], filled[1], filled[2]


def _numbers(field: bytes) -> Sequence[int]:
    return [int.from_bytes(field[at : at + _U64], "little") for at in range(0, len(field), _U64)]
