"""Why a file is worth a second look: one JSON line for each such file, beside its line in the bodyfile.

A reason is an observation, never a verdict: most SUID programs of a host belong there.
"""

from __future__ import annotations

import os
import re
import stat as modes
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hozen_agent.filetree import fscaps
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode

MOST_LINES: Final = 50_000
MOST_RECENT: Final = 2_000
IMMUTABLE, APPEND_ONLY, VERITY = 0x10, 0x20, 0x0010_0000
_DAY: Final = 86_400
_X: Final = 0o111
# Where programs are not expected: what everybody may write, what only holds data.
_ODD_PLACES: Final = (
    b"/tmp/", b"/var/tmp/", b"/dev/", b"/run/", b"/var/spool/", b"/var/mail/", b"/var/log/", b"/var/cache/",
    b"/var/crash/", b"/usr/share/doc/", b"/usr/share/man/", b"/usr/share/locale/", b"/usr/share/fonts/",
    b"/usr/share/icons/", b"/usr/include/", b"/boot/", b"/lost+found/",
)  # fmt: skip
_HIDDEN_DIRECTORY: Final = re.compile(rb"/\.[^/]*/")
_ODD_NAME: Final = re.compile(
    "\\A[. ]+\\Z|\\A | \\Z|[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\udc80-\udcff]"
)


class Look(NamedTuple):
    """What one statx(2) said; times in whole seconds and nanoseconds."""

    mask: int
    attributes: int
    links: int
    uid: int
    gid: int
    mode: int
    inode: int
    size: int
    a: int
    an: int
    b: int
    bn: int
    c: int
    cn: int
    m: int
    mn: int
    rmajor: int
    rminor: int
    major: int
    minor: int


@dataclass(slots=True, kw_only=True)
class Rules:
    """What counts as worth a line in one tree.

    Attributes:
        since: seconds; a change of attributes or content after it is recent.
        until: seconds; what was made after it is not called recent (a file is a stretch from making to last change).
        now: seconds; a change of content a day or more later lies in the future.
        users: known uids, empty when they could not be read; `groups` likewise.
        homes: the tree belongs to people: a leading dot and recent work are usual there.
        devices: the tree is made of device nodes: there a regular file is the odd one.
        quiet: changes all the time: nothing in it is called recent unless it can be executed.
    """

    since: int
    now: int
    until: int = 1 << 62
    users: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()
    homes: bool = False
    devices: bool = False
    quiet: bool = False


@dataclass(slots=True)
class Special:
    """Judges files and makes their lines.

    Attributes:
        counts: how many files had each reason; those beyond the caps are counted and have no line.
        recent: still gives lines for recent changes.
    """

    rules: Rules
    counts: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    recent: bool = True

    def is_dull(self, mode: int, uid: int, gid: int) -> bool:
        """Return whether mode and owner alone call for no further look."""
        return not self._by_mode(mode, uid, gid) and not (
            modes.S_ISREG(mode) and (mode & _X or self.rules.devices)
        )

    def _by_mode(self, mode: int, uid: int, gid: int) -> list[str]:
        kind = modes.S_IFMT(mode)
        reasons = []
        if kind == modes.S_IFREG:
            reasons += ["suid"] if mode & modes.S_ISUID else []
            reasons += ["sgid"] if mode & modes.S_ISGID else []
            reasons += ["world_writable"] if mode & modes.S_IWOTH else []
        elif kind == modes.S_IFDIR:
            if mode & (modes.S_IWOTH | modes.S_ISVTX) == modes.S_IWOTH:
                reasons.append("world_writable")
        elif kind in {modes.S_IFCHR, modes.S_IFBLK} and not self.rules.devices:
            reasons.append("device_node")
        if self.rules.users and uid not in self.rules.users:
            reasons.append("no_owner")
        if self.rules.groups and gid not in self.rules.groups:
            reasons.append("no_group")
        return reasons

    def line(self, fd: int, directory: bytes, name: bytes, look: Look) -> bytes:
        """Return the JSON line of a file in the open directory, or nothing when it is an ordinary one."""
        path = directory + name
        program = modes.S_ISREG(look.mode) and look.mode & _X
        capability = _capability(fd, name) if program else b""
        reasons = [
            *self._by_mode(look.mode, look.uid, look.gid),
            *(["capability"] if capability else []),
            *(["immutable"] if look.attributes & IMMUTABLE else []),
            *(["append_only"] if look.attributes & APPEND_ONLY else []),
            *self._by_place(path, name, look.mode),
            *self._by_time(look),
        ]
        if look.rmajor == look.rminor == 0 and "device_node" in reasons:
            reasons.remove("device_node")  # a whiteout of overlayfs
        return self._made(path, reasons, look, capability) if reasons else b""

    def _by_place(self, path: bytes, name: bytes, mode: int) -> list[str]:
        reasons = []
        if _ODD_NAME.search(name.decode("utf-8", "surrogateescape")):
            reasons.append("odd_name")
        elif name.startswith(b".") and not self.rules.homes:
            reasons.append("hidden")
        if modes.S_ISREG(mode):
            if self.rules.devices:
                reasons.append("regular_among_devices")
            odd = path.startswith(_ODD_PLACES) or (
                not self.rules.homes and _HIDDEN_DIRECTORY.search(path)
            )
            if mode & _X and odd:
                reasons.append("executable_in_odd_place")
        return reasons

    def _by_time(self, look: Look) -> list[str]:
        reasons = []
        if look.m > self.rules.now + _DAY or look.c > self.rules.now + _DAY:
            reasons.append("changed_in_future")
        if look.m < 0 or look.a < 0 or look.b < 0:
            reasons.append("before_1970")
        usual = self.rules.quiet and not (modes.S_ISREG(look.mode) and look.mode & _X)
        within = look.c > self.rules.since and look.b <= self.rules.until
        if within and not usual and not modes.S_ISDIR(look.mode):
            reasons.append("changed_recently")
        return reasons

    def _made(self, path: bytes, reasons: list[str], look: Look, capability: bytes) -> bytes:
        for reason in reasons:
            self.counts[reason] = self.counts.get(reason, 0) + 1
        if reasons == ["changed_recently"]:
            if self.counts["changed_recently"] > MOST_RECENT:
                self.recent = False
                return b""
        elif self.lines >= MOST_LINES:
            return b""
        self.lines += 1
        record: dict[str, object] = {
            "path": percent_encode(path),
            "why": reasons,
            "mode": f"{look.mode:07o}",
            "uid": look.uid,
            "gid": look.gid,
            "size": str(look.size),
            "dev": str(os.makedev(look.major, look.minor)),
            "ino": str(look.inode),
            "nlink": look.links,
            "mtime": _ns(look.m, look.mn),
            "ctime": _ns(look.c, look.cn),
            "btime": _ns(look.b, look.bn) if look.mask & 0x800 else None,
        }
        if capability:
            record["capabilities"] = fscaps.parse(capability)
        if modes.S_ISCHR(look.mode) or modes.S_ISBLK(look.mode):
            record["device"] = f"{look.rmajor}:{look.rminor}"
        return dump_line(record)


def _capability(fd: int, name: bytes) -> bytes:
    """Return the capability attribute of a file in the open directory; reading it opens nothing."""
    try:
        os.fchdir(fd)  # there is no such call relative to a descriptor
        return os.getxattr(name, b"security.capability", follow_symlinks=False)
    except OSError:
        return b""  # none, no support, or gone


def _ns(seconds: int, part: int) -> str:
    return str(seconds * 10**9 + part)
