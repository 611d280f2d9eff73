"""The database of rpm as it is since 2020: headers in an SQLite table (rpm, docs/manual/hregions.md and format.md).

A header: entries (u32), bytes of data (u32), 16 bytes for each entry (tag, type, offset, count), then the data.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from hozen_agent.pkg.model import Claim, Package
from hozen_agent.pkg.sqlitefile import SqliteFile
from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_ENTRIES: Final = 65_536
MOST_FILES: Final = 2_000_000
_NAME, _VERSION, _RELEASE, _EPOCH, _INSTALLED, _ARCH = 1000, 1001, 1002, 1003, 1008, 1022
_MODES, _DIGESTS, _FLAGS, _INDEXES, _BASENAMES, _DIRNAMES, _ALGORITHM = (
    1030, 1035, 1037, 1116, 1117, 1118, 5011,
)  # fmt: skip
_WANTED: Final = frozenset(
    {_NAME, _VERSION, _RELEASE, _EPOCH, _INSTALLED, _ARCH, _MODES, _DIGESTS, _FLAGS, _INDEXES, _BASENAMES, _DIRNAMES,
     _ALGORITHM}
)  # fmt: skip
_INT16, _INT32, _STRING, _STRINGS, _I18N = 3, 4, 6, 8, 9
_CONFIG: Final = 1
# rpmpgp.h; what the file digests are made with, MD5 when the tag is absent.
_ALGORITHMS: Final = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
_LENGTHS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128, "sha224": 56}

Header = dict[int, list[int] | list[bytes]]


def headers(fd: int) -> Iterator[Header]:
    """Yield the headers of an rpmdb.sqlite.

    Raises:
        FormatError: it is damaged, or something else.
    """
    file = SqliteFile(fd)
    for _, row in file.rows(file.table(b"Packages")):
        if len(row) > 1 and isinstance(row[1], bytes):
            yield parse(row[1])


def parse(blob: bytes) -> Header:
    """Return the tags that are of use to us.

    Raises:
        FormatError: lengths or offsets do not fit the bytes.
    """
    if len(blob) < 8:  # noqa: PLR2004 - the two lengths
        raise FormatError("an rpm header ends early")
    count, size = struct.unpack_from(">II", blob)
    start = 8 + 16 * count
    if count > MOST_ENTRIES or start + size > len(blob):
        raise FormatError("an rpm header names more bytes than it has")
    data = blob[start : start + size]
    found: Header = {}
    for tag, kind, offset, number in struct.iter_unpack(">IIII", blob[8:start]):
        if tag in _WANTED and tag not in found:
            found[tag] = _values(data, kind, offset, number)
    return found


def _values(data: bytes, kind: int, offset: int, number: int) -> list[int] | list[bytes]:
    if number > MOST_FILES or offset > len(data):
        raise FormatError("an rpm header names more bytes than it has")
    if kind in {_INT16, _INT32}:
        form = f">{number}{'H' if kind == _INT16 else 'I'}"
        if offset + struct.calcsize(form) > len(data):
            raise FormatError("an rpm header names more bytes than it has")
        return list(struct.unpack_from(form, data, offset))
    if kind not in {_STRING, _STRINGS, _I18N}:
        return []
    texts = data[offset:].split(b"\0", number)
    if len(texts) <= number:
        raise FormatError("a text in an rpm header has no end")
    return texts[:number]


def package(header: Header) -> Package:
    """Return what a header says of its package."""
    epoch, installed = _number(header, _EPOCH), _number(header, _INSTALLED)
    version = _text(header, _VERSION) + b"-" + _text(header, _RELEASE)
    return Package(
        "rpm",
        _text(header, _NAME),
        version if epoch is None else b"%d:%b" % (epoch, version),
        _text(header, _ARCH),
        installed=None if installed is None else installed * 10**9,
        by="INSTALLTIME" if installed is not None else "",
    )


def claims(header: Header) -> Iterator[Claim]:
    """Yield what a header says of each of its files; those whose parts do not fit together are passed over."""
    names, folders, indexes = (header.get(t) or [] for t in (_BASENAMES, _DIRNAMES, _INDEXES))
    digests, flags = header.get(_DIGESTS) or [], header.get(_FLAGS) or []
    number = _number(header, _ALGORITHM)
    algorithm = _ALGORITHMS.get(1 if number is None else number, "")
    owner = _text(header, _NAME)
    for at, name in enumerate(names):
        index = indexes[at] if at < len(indexes) else len(folders)
        if not isinstance(index, int) or index >= len(folders):
            continue
        folder = folders[index]
        digest = digests[at] if at < len(digests) else b""
        config = flags[at] if at < len(flags) else 0
        if not (isinstance(name, bytes) and isinstance(folder, bytes) and isinstance(digest, bytes)):  # fmt: skip
            continue
        text = digest.decode("ascii", "replace").lower()
        fits = len(text) == _LENGTHS.get(algorithm)
        yield Claim(
            folder + name, owner, algorithm if fits else "", text if fits else "",
            config=isinstance(config, int) and bool(config & _CONFIG),
        )  # fmt: skip


def _text(header: Header, tag: int) -> bytes:
    values = header.get(tag)
    return values[0] if values and isinstance(values[0], bytes) else b""


def _number(header: Header, tag: int) -> int | None:
    values = header.get(tag)
    return values[0] if values and isinstance(values[0], int) else None
