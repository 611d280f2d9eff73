r"""A body file for mactime (The Sleuth Kit 3.x): the bundle's own, and the captured files that it does not list.

The bundle's body file (docs/format/records/filesystem.md) goes through unchanged. A line for an item has the same form:
MD5 `0`, `%` as `%25`, `|` as `%7C`, everything else that is not plain text as `\xNN`.
"""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Final

from hozen_collector.export.inert import raw
from hozen_collector.export.manifest import Done
from hozen_collector.export.source import lines
from hozen_hashes.names import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_collector.export.source import Source
    from hozen_collector.export.target import Stream
    from hozen_hashes.journalrecords import Row

BODYFILE: Final = ("filesystem", "filesystem:bodyfile")
_LINK: Final = " -> "
_TYPES: Final = {"d": "d", "l": "l", "-": "r", "c": "c", "b": "b", "p": "p", "s": "h"}
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}")
_BILLION: Final = 10**9


def write(source: Source, out: Stream) -> Done:
    """Write every line; `counts` says how many came from the file system's walk and how many from items."""
    done = Done(counts={"walked": 0, "items": 0})
    extra = {one: row for row in source.rows if (one := _line(row)) is not None}
    names = {_name_of(one) for one in extra}
    for one in walked(source):
        names.discard(_name_of(one))
        out.write(one)
        done.counts["walked"] += 1
    for one in extra:
        if _name_of(one) in names:
            out.write(one)
            done.counts["items"] += 1
    if not done.counts["walked"]:
        done.notes.append(
            "no walk of the file systems is in the bundle: only captured files are listed"
        )
    return done


def walked(source: Source) -> Iterator[bytes]:
    """Yield the lines of the bundle's own body file."""
    for row, chunks in source.payloads(lambda row: (row.artifact, row.source) == BODYFILE):
        yield from lines(row, chunks)


def of_items(source: Source) -> Iterator[bytes]:
    """Yield a line for each captured file with its metadata."""
    yield from (one for row in source.rows if (one := _line(row)) is not None)


def _line(row: Row) -> bytes | None:
    facts = row.details.get("stat")
    if not isinstance(facts, dict):
        return None
    mode = _octal(facts.get("mode"))
    if mode is None:
        return None
    target = row.details.get("link_target")
    deleted = row.artifact == "recovered"
    shown = _escaped(raw(str(target if deleted and target else row.source)))
    if target and not deleted:
        shown += _LINK + _escaped(raw(str(target)))
    kind = _TYPES.get(stat.filemode(mode)[0], "-")
    numbers = [_text(facts.get(key)) for key in ("uid", "gid", "size")]
    times = [_seconds(facts.get(key)) for key in ("atime", "mtime", "ctime", "btime")]
    words = ["0", shown, _text(facts.get("ino")), f"{kind}/{stat.filemode(mode)}", *numbers, *times]
    return "|".join(words).encode() + b"\n"


def _name_of(line: bytes) -> bytes:
    return line.split(b"|", 2)[1].partition(_LINK.encode())[0]


def _escaped(name: bytes) -> str:
    shown = readable(name)
    if shown[:1] == "'" and name[:1] != b"'":
        shown = shown[1:]
    return shown.replace("%", "%25").replace("|", "%7C")


def _octal(value: object) -> int | None:
    try:
        return int(str(value), 8) & 0o177777
    except ValueError:
        return None


def _text(value: object) -> str:
    found = str(value)
    return found if _NUMBER.fullmatch(found) else "0"


def _seconds(value: object) -> str:
    nanoseconds = int(_text(value))
    whole, fraction = divmod(abs(nanoseconds), _BILLION)
    return f"{'-' if nanoseconds < 0 else ''}{whole}.{fraction:09d}"
