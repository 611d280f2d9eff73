"""Which files of the system's trees can be executed or loaded, and what the package databases say of each."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.filetree.bulkstat import DIRECTORY, REGULAR, BulkStat
from hozen_agent.pkg.model import Claim, Package
from hozen_agent.reading.safeopen import RefusedError

if TYPE_CHECKING:
    from hozen_agent.pkg.pkgdb import Databases
    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.jobwork import JobOut

MOST: Final = 100_000
MOST_MISSING: Final = 2_000
_LIBRARY: Final = re.compile(rb"\.so(?:\.[0-9.]+)?\Z")
_MERGED: Final = (b"/bin", b"/sbin", b"/lib", b"/lib32", b"/lib64", b"/libx32")
# Where a program or a module that logins load is expected: checked also when nothing else is.
_PLACES: Final = re.compile(
    rb"/(?:usr/)?(?:local/)?(?:s?bin|libexec(?:/.*)?|lib/systemd(?:/.*)?|lib(?:64|/[a-z0-9_-]+)?/security)/[^/]+\Z"
)
_REST: Final = 5
_SYSTEM: Final = re.compile(rb"/(?:usr/(?!local/)|s?bin/|lib[0-9a-z]*/)")


@dataclass(slots=True)
class Program:
    """A file that can be executed or loaded."""

    path: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    ctime: int
    capable: bool
    owner: bytes = b""
    claim: Claim | None = None


class Finding:
    """Visits directories for a TreeWalk and keeps the programs."""

    def __init__(self, out: JobOut) -> None:
        self._out = out
        self._stat = BulkStat()
        self.programs: dict[bytes, Program] = {}
        self.beyond = 0

    def breathe(self) -> None:
        """As Visitor.breathe."""
        if self._out.due():
            self._out.block(0, b"")

    def names(self, fd: int, path: bytes, shown: bytes, names: list[bytes]) -> list[bytes]:  # noqa: ARG002
        """As Visitor.names."""
        inside = []
        for _, name, row in self._stat.of(fd, names):
            kind = row[5] >> 12
            if kind == DIRECTORY:
                inside.append(name)
            elif kind == REGULAR and (row[5] & 0o111 or _LIBRARY.search(name)):
                self._keep(fd, path + name, name, row)
        return inside

    def _keep(self, fd: int, path: bytes, name: bytes, row: tuple[int, ...]) -> None:
        if len(self.programs) >= MOST:
            self.beyond += 1
            return
        _, _, _, uid, gid, mode, _, size, _, _, _, _, c, cn, m, mn = row
        second = 10**9
        capable = bool(mode & 0o111) and _has_capability(fd, name)
        self.programs[path] = Program(
            path, mode, uid, gid, size, m * second + mn, c * second + cn, capable
        )


def _has_capability(fd: int, name: bytes) -> bool:
    try:
        os.fchdir(fd)
        return bool(os.getxattr(name, b"security.capability", follow_symlinks=False))
    except OSError:
        return False


class Claims:
    """Joins what packages say with what was found.

    Attributes:
        missing: claims of programs that are not there.
        packages: how many there are.
    """

    def __init__(self, opener: Opener, programs: dict[bytes, Program]) -> None:
        self._opener = opener
        self._programs = programs
        self._known = dict(programs)
        for merged in _MERGED:
            self._alias(merged)
        self.missing: list[Claim] = []
        self.packages = 0

    def _alias(self, place: bytes) -> None:
        """Of a merged /usr, packages may name the same file below /bin or below /usr/bin."""
        try:
            if self._opener.resolve(place) != b"/usr" + place:
                return
        except (OSError, RefusedError):
            return
        inside = b"/usr" + place + b"/"
        for path, program in self._programs.items():
            if path.startswith(inside):
                self._known[path[4:]] = program

    def join(self, databases: Databases) -> None:
        """Every program has its owner and its claim, if a package names it."""
        known = self._known
        for entry in databases.entries():
            if isinstance(entry, Package):
                self.packages += 1
                continue
            program = known.get(entry.path)
            if program is None:
                self._perhaps_missing(entry)
            elif program.claim is None or (entry.digest and not program.claim.digest):
                program.claim, program.owner = entry, entry.package
        left = {path for path, program in known.items() if not program.owner}
        for path, package in databases.listed(left):
            known[path].owner = package

    def _perhaps_missing(self, claim: Claim) -> None:
        if claim.config or len(self.missing) >= MOST_MISSING or not _PLACES.match(claim.path):
            return
        parent, _, name = claim.path.rpartition(b"/")
        try:
            os.stat(name, dir_fd=self._opener.enter(parent), follow_symlinks=False)
        except FileNotFoundError:
            self.missing.append(claim)
        except (OSError, RefusedError):
            return


def order(programs: dict[bytes, Program], *, since: int, everything: bool) -> list[Program]:
    """Return the programs to read, the most telling first, the newest of these first.

    Args:
        programs: all that were found.
        since: nanoseconds; what changed later is looked at wherever it lies.
        everything: those of a package that lie elsewhere and did not change, too.
    """
    ranked = [(_rank(program, since), -program.ctime, program.path) for program in programs.values()]  # fmt: skip
    return [programs[path] for rank, _, path in sorted(ranked) if everything or rank < _REST]


def _rank(program: Program, since: int) -> int:
    recent = program.ctime > since
    if program.mode & 0o6000 or program.capable:
        return 0
    if not program.owner:
        return 1 if recent or _SYSTEM.match(program.path) else 3
    if _PLACES.match(program.path):
        return 2
    return 4 if recent else _REST
