"""The worker's side of a capture of the newest: of what patterns name, the newest are told in order, the others listed.

Keeps at most `most` and SLACK names in memory, however many there are. Stays out of the bundle that is being written.
"""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING, Final

from hozen_agent.filetree.walk import Bounds, Walker
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.jobwork import JobOut

NEWEST, OLDER, OWN = 0, 1, 2  # the streams of the job; records end with NUL, NUL and LF
SLACK: Final = 16_384
_KEY: Final = struct.Struct(">QQ")
_LAST: Final = (1 << 63) - 1
_BEFORE: Final = 1 << 63  # minus any time it is over 0, which is for names without a time
_AT_ONCE: Final = 16 << 10
_MOST_NOTES: Final = 200
_UNKNOWN: Final = (1 << 64) - 1  # no file has this size


def line(path: bytes, mtime: int, size: int) -> bytes:
    """Return the line that lists a file which is not taken; size and time (ns) as decimal strings."""
    shown = "null" if size < 0 else f'"{size}"'
    name = json.dumps(percent_encode(path))
    return f'{{"path":{name},"size":{shown},"mtime":"{mtime}"}}\n'.encode()


class Newest:
    """Keeps the newest of what it is given; gives away the others as lines at once.

    Attributes:
        older, older_bytes: how many were given away, and their sizes.
    """

    __slots__ = ("_entries", "_most", "_out", "_waiting", "_waits", "older", "older_bytes")

    def __init__(self, out: JobOut, most: int) -> None:
        """Keep `most`; lines go to `out`."""
        self._out = out
        self._most = most
        self._entries: list[
            bytes
        ] = []  # key and path in one object: a name costs its length and 50 bytes
        self._waiting: list[bytes] = []
        self._waits = 0
        self.older = self.older_bytes = 0

    def add(self, path: bytes, mtime: int, size: int) -> None:
        """Take in one name; what nobody could ask for its time is held to be the newest."""
        inverted = _BEFORE - max(-_LAST, min(mtime, _LAST))
        key = (0, _UNKNOWN) if size < 0 else (inverted, size)
        self._entries.append(_KEY.pack(*key) + path)
        if len(self._entries) >= self._most + SLACK:
            self._trim()

    def _trim(self) -> None:
        self._entries.sort()
        for entry in self._entries[self._most :]:
            path, mtime, size = _taken_apart(entry)
            self.older += 1
            self.older_bytes += max(size, 0)
            self._put(OLDER, line(path, mtime, size))
        del self._entries[self._most :]

    def end(self) -> None:
        """Everything is told: the rest of the lines, then the newest in their order, by equal times by name."""
        self._trim()
        self._flush(OLDER)
        for entry in self._entries:
            path, mtime, size = _taken_apart(entry)
            self._put(NEWEST, b"%d %d %b\0" % (mtime, size, path))
        self._flush(NEWEST)

    def _put(self, stream: int, data: bytes) -> None:
        self._waiting.append(data)
        self._waits += len(data)
        if self._waits > _AT_ONCE:
            self._flush(stream)

    def _flush(self, stream: int) -> None:
        if self._waiting:
            self._out.block(stream, b"".join(self._waiting))
            self._waiting.clear()
            self._waits = 0


def _taken_apart(entry: bytes) -> tuple[bytes, int, int]:
    """Return path, mtime and size; the size is -1 where nobody could ask."""
    inverted, size = _KEY.unpack_from(entry)
    path = entry[_KEY.size :]
    return (path, 0, -1) if size == _UNKNOWN else (path, _BEFORE - inverted, size)


class _Own:
    """Knows the files of the bundle that is being written: by their directory's device and inode, and the bundle's id.

    Another bundle in the same directory is somebody's file like any other.
    """

    __slots__ = ("_id", "_out", "_place", "_places")

    def __init__(self, out: JobOut, place: tuple[int, int], bundle_id: bytes) -> None:
        self._out = out
        self._place = place
        self._id = bundle_id
        self._places: set[bytes] = set()

    def enters(self, fd: int, path: bytes) -> bool:
        """Remember the destination when it is met, under whichever name; stay out of our directories in it."""
        if self.has(path):
            return False
        state = os.fstat(fd)
        if (state.st_dev, state.st_ino) == self._place:
            self._places.add(path)
        return True

    def has(self, path: bytes) -> bool:
        """Return whether the path is ours; then it was told."""
        place, _, name = path.rpartition(b"/")
        if place not in self._places or not name.startswith(self._id):
            return False
        self._out.block(OWN, path + b"\0")
        return True


def run(opener: Opener, out: JobOut, _path: bytes, asked: Mapping[str, object]) -> dict[str, object]:  # fmt: skip
    """Walk; return what became of it.

    Args:
        opener: the way in.
        out: where records go: lines of OLDER, `mtime size path` of NEWEST, paths of OWN.
        asked: `patterns`, `most`, `seconds`, and of the bundle `device`, `inode` and `id`, all absent if there is none.
    """
    notes: list[str] = []
    newest = Newest(out, int(str(asked["most"])))
    place = int(str(asked.get("device", -1))), int(str(asked.get("inode", -1)))
    own = _Own(out, place, os.fsencode(str(asked.get("id", ""))))

    def found(path: bytes, mtime: int) -> None:
        if not own.has(path):
            newest.add(path, mtime, walker.size)

    walker = Walker(
        opener, found, notes.append, lambda: out.block(OLDER, b""),
        bounds=Bounds(seconds=float(str(asked["seconds"]))), timed=True, enters=own.enters,
    )  # fmt: skip
    patterns = asked["patterns"]
    walker.run(os.fsencode(p) for p in patterns)  # type: ignore[attr-defined]
    newest.end()
    return {
        "older": newest.older,
        "older_bytes": newest.older_bytes,
        "notes": notes[:_MOST_NOTES],
        "notes_left_out": max(0, len(notes) - _MOST_NOTES),
    }
