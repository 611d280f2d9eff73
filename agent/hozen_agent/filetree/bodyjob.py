"""The worker's side of the bodyfile: every name of a tree becomes a line, special ones a JSON line beside it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from hozen_agent.filetree.bodyfile import PLAIN, escaped, mode_text, seconds
from hozen_agent.filetree.bulkstat import DEVICES, DEVICES_AT, DIRECTORY, LINK, REGULAR, BulkStat
from hozen_agent.filetree.special import APPEND_ONLY, IMMUTABLE, Look, Rules, Special
from hozen_agent.filetree.treewalk import MAX_DEPTH, TreeWalk
from hozen_agent.reading.safeopen import RefusedError
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.jobwork import JobOut

BODY, SPECIAL = 0, 1  # the two streams of the job
_LINES: Final = 600
_MOST_OWNERS: Final = 100_000
_DAY: Final = 86_400
_NOATIME: Final = 1024  # ST_NOATIME: reading a link changes nothing
_ATTRIBUTES: Final = IMMUTABLE | APPEND_ONLY
_LINE: Final = b"0|%b%b|%d|%b|%d|%d.%09d|%d.%09d|%d.%09d|%d.%09d\n"
_OLD_LINE: Final = b"0|%b%b|%d|%b|%d|%b|%b|%b|%b\n"


class BodyWriter:
    """Visits directories for a TreeWalk."""

    __slots__ = ("_dull", "_lines", "_links", "_out", "_special", "_stat")

    def __init__(self, out: JobOut, special: Special, *, links: bool) -> None:
        """Write to `out`; with `links` the targets of symbolic links are read."""
        self._out = out
        self._special = special
        self._links = links
        self._stat = BulkStat()
        self._dull: dict[tuple[int, int, int], bytes] = {}
        self._lines: list[bytes] = []

    @property
    def vanished(self) -> int:
        """Names that were gone when they were asked for."""
        return self._stat.vanished

    def breathe(self) -> None:
        """Lines that wait go out when it is time."""
        if len(self._lines) > _LINES or self._out.due():
            self.flush()

    def flush(self) -> None:
        """Every line so far is in the ring."""
        self._out.block(BODY, b"".join(self._lines))
        self._lines.clear()

    def names(self, fd: int, path: bytes, shown: bytes, names: list[bytes]) -> list[bytes]:
        """As Visitor.names; each name costs one statx(2), and a readlink(2) if it is a link."""
        joined = b"/" + b"/".join(names)
        plain = not joined.translate(None, PLAIN + b"/")
        careful = not plain or b"/." in joined or b" " in joined
        since = self._special.rules.since if self._special.recent else 1 << 62
        dull, add = self._dull, self._lines.append
        inside: list[bytes] = []
        for at, name, row in self._stat.of(fd, names):
            _, attributes, _, uid, gid, mode, inode, size, a, an, b, bn, c, cn, m, mn = row
            text = name if plain else escaped(name)
            kind = mode >> 12
            if kind != REGULAR:
                if kind == DIRECTORY:
                    inside.append(name)
                elif kind == LINK and self._links:
                    text += _target(fd, name)
            whose = dull.get((mode, uid, gid))
            if whose is None or c > since or attributes & _ATTRIBUTES or careful or m > c + _DAY:
                whose = self._look_again(fd, path, name, at, row)
            if (a | m | c | b) >= 0:
                add(_LINE % (shown, text, inode, whose, size, a, an, m, mn, c, cn, b, bn))
            else:
                times = [seconds(*t) for t in ((a, an), (m, mn), (c, cn), (b, bn))]
                add(_OLD_LINE % (shown, text, inode, whose, size, *times))
        return inside

    def _look_again(
        self, fd: int, path: bytes, name: bytes, at: int, row: tuple[int, ...]
    ) -> bytes:
        """Return mode and owner as text; a special file's line is in the ring."""
        _, _, _, uid, gid, mode, *_ = row
        whose = b"%b|%d|%d" % (mode_text(mode).encode(), uid, gid)
        if self._special.is_dull(mode, uid, gid) and len(self._dull) < _MOST_OWNERS:
            self._dull[mode, uid, gid] = whose
        look = Look(*row, *DEVICES.unpack_from(self._stat.buffer, at + DEVICES_AT))
        line = self._special.line(fd, path, name, look)
        if line:
            self._out.block(SPECIAL, line)
        return whose


def _target(fd: int, name: bytes) -> bytes:
    try:
        return b" -> " + escaped(os.readlink(name, dir_fd=fd))
    except OSError:
        return b""


def run(opener: Opener, out: JobOut, tree: bytes, asked: Mapping[str, object]) -> dict[str, object]:
    """Walk `tree`; return what became of it.

    Args:
        opener: the way in.
        out: where lines go.
        tree: an absolute directory.
        asked: `most`, `seconds`, `depth`, `beyond` (paths) and the rules, as made by `trees.request`.
    """
    begun = time.monotonic()
    special = Special(_rules(asked))
    beyond = [os.fsencode(path) for path in asked.get("beyond") or ()]  # type: ignore[attr-defined]
    quiet_links = bool(os.fstatvfs(opener.root).f_flag & _NOATIME)
    writer = BodyWriter(out, special, links=quiet_links)
    walk = TreeWalk(
        opener,
        writer,
        most=int(str(asked["most"])),
        seconds=float(str(asked["seconds"])),
        depth=int(str(asked.get("depth") or MAX_DEPTH)),
        beyond=beyond,
    )
    state, why, real = "walked", "", tree
    try:
        real = opener.resolve(tree)
        if real == tree:
            walk.run(tree)
        else:
            state = "link"
    except FileNotFoundError:
        state = "missing"
    except RefusedError as refusal:
        state, why = "not_entered", str(refusal)
    except OSError as error:
        state, why = "not_entered", os.strerror(error.errno or 0)
    finally:
        os.fchdir(opener.root)
    writer.flush()
    done = walk.walked
    return {
        "state": "stopped" if done.stopped else state,
        "why": done.stopped or why,
        "real": percent_encode(real),
        "entries": done.entries,
        "directories": done.directories,
        "not_listed": done.refused,
        "vanished": writer.vanished,
        "left_out": [[percent_encode(path), reason] for path, reason in done.left_out],
        "special": special.counts,
        "special_lines": special.lines,
        "links_read": quiet_links,
        "seconds": round(time.monotonic() - begun, 3),
    }


def _rules(asked: Mapping[str, object]) -> Rules:
    rules = Rules(since=int(str(asked["since"])), now=int(str(asked["now"])))
    rules.until = int(str(asked.get("until") or rules.until))
    for name in ("users", "groups"):
        setattr(rules, name, frozenset(asked.get(name) or ()))  # type: ignore[call-overload]
    for name in ("homes", "devices", "quiet"):
        setattr(rules, name, bool(asked.get(name)))
    return rules
