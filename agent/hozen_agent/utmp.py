"""Login records: utmp, wtmp, btmp (utmp(5)) and lastlog (lastlog(8)); bytes in, records out.

glibc's layout depends on the processor: 384 bytes where 32-bit compatibility kept 32-bit times (x86), 400 on aarch64.
Anyone with the rights can write these files: a record proves that it stood there, not that the login took place.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from hozen_hashes.names import percent_encode, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES: Final = (
    "EMPTY", "RUN_LVL", "BOOT_TIME", "NEW_TIME", "OLD_TIME", "INIT_PROCESS", "LOGIN_PROCESS", "USER_PROCESS",
    "DEAD_PROCESS", "ACCOUNTING",
)  # fmt: skip
_SECOND: Final = 1_000_000_000
_LAST_YEAR: Final = 253_402_300_799  # 9999-12-31: beyond it a time has no RFC 3339 form


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one build of the C library writes a record; all numbers little-endian, as on every machine we run on.

    Attributes:
        name: `x86` or `aarch64`.
        record: struct utmp; `last` is struct lastlog.
    """

    name: str
    record: struct.Struct
    last: struct.Struct


_HEAD: Final = "<hxxi32s4s32s256shh"
LAYOUTS: Final = (
    Layout(name="x86", record=struct.Struct(_HEAD + "iii16s20x"), last=struct.Struct("<I32s256s")),
    Layout(
        name="aarch64",
        record=struct.Struct(_HEAD + "qqq16s20x4x"),
        last=struct.Struct("<q32s256s"),
    ),
)


def layout_of(data: bytes, *, machine: str) -> Layout:
    """Return the layout that the records fit; where both or none do, that of the machine."""
    own = LAYOUTS[1] if machine in {"aarch64", "arm64"} else LAYOUTS[0]
    other = LAYOUTS[0] if own is LAYOUTS[1] else LAYOUTS[1]
    return other if not _fits(data, own) and _fits(data, other) else own


def _fits(data: bytes, layout: Layout) -> bool:
    """Tell whether the first records have a known type and a printable terminal."""
    size = layout.record.size
    if not data or len(data) % size:
        return False
    for at in range(0, min(len(data), 16 * size), size):
        kind, _, line, *_ = layout.record.unpack_from(data, at)
        text = line.split(b"\0", 1)[0]
        if not 0 <= kind < len(TYPES) or any(not 0x20 <= byte < 0x7F for byte in text):  # noqa: PLR2004
            return False
    return True


def login_records(data: bytes, layout: Layout, *, first: int = 0) -> Iterator[dict[str, object]]:
    """Yield one record for each record of utmp, wtmp or btmp; a rest shorter than a record comes as `unparsed`.

    Args:
        data: the file, or its end.
        layout: as `layout_of` says.
        first: number of the first record in `data`, counted from 0 in the file.
    """
    size = layout.record.size
    for number, at in enumerate(range(0, len(data), size), first):
        if at + size > len(data):
            yield {"record": number, "unparsed": data[at:].hex()}
            return
        kind, pid, line, ident, user, host, term, status, session, sec, usec, addr = (
            layout.record.unpack_from(data, at)
        )
        yield {
            "record": number,
            "type": TYPES[kind] if 0 <= kind < len(TYPES) else str(kind),
            "pid": pid,
            "line": _text(line),
            "id": _text(ident),
            "user": _text(user),
            "host": _text(host),
            "address": _address(addr),
            "time": _time(sec & 0xFFFF_FFFF if layout.name == "x86" else sec, usec),
            "session": session,
            "exit": {"termination": term, "status": status},
        }


def last_records(data: bytes, layout: Layout, *, offset: int = 0) -> Iterator[dict[str, object]]:
    """Yield the last login of each user that has one; the record's place in the file is the user's number.

    Args:
        data: the file, or one extent of it.
        layout: its `last` is used.
        offset: where `data` begins in the file.
    """
    size = layout.last.size
    at = -offset % size
    while at + size <= len(data):
        seconds, line, host = layout.last.unpack_from(data, at)
        if seconds or line.strip(b"\0") or host.strip(b"\0"):
            yield {
                "uid": (offset + at) // size,
                "time": _time(seconds, 0),
                "line": _text(line),
                "host": _text(host),
            }
        at += size


def _text(field: bytes) -> str:
    """A field ends at its first NUL, or fills its whole width."""
    return percent_encode(field.split(b"\0", 1)[0])


def _time(seconds: int, micro: int) -> str | None:
    if not 0 < seconds <= _LAST_YEAR:
        return None
    return rfc3339(seconds * _SECOND + (micro * 1000 if 0 <= micro < 1_000_000 else 0))  # noqa: PLR2004


def _address(raw: bytes) -> str | None:
    """utmp(5): an IPv4 address is in the first word alone."""
    if raw == bytes(16):
        return None
    return str(IPv4Address(raw[:4])) if raw[4:] == bytes(12) else str(IPv6Address(raw))
