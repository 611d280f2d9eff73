"""All network namespaces of the host: those of processes, those that only a mount or a descriptor keeps alive.

A namespace without a process is a good place to hide a listener: its socket is held by a process that lives elsewhere.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_agent.net.netenter import Place
from hozen_agent.proc.sweep import LINK, read_small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.proc.sweep import Sweep

MOST: Final = 4096
_MOST_NAMED: Final = 64  # processes, paths and descriptors of one namespace that a record names
_MOUNTINFO_MAX: Final = 16 << 20
_LINK: Final = re.compile(rb"net:\[(\d{1,20})\]")
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(slots=True)
class Space:
    """One network namespace and what keeps it alive.

    Attributes:
        inode: its number, as in `net:[4026531840]`.
        processes: how many processes live in it.
        pids: the first of them.
        descriptors: (pid, descriptor) that hold it open.
        paths: (pid that sees it, absolute path) of mounts that pin it.
    """

    inode: int
    processes: int = 0
    pids: list[int] = field(default_factory=list)
    descriptors: list[tuple[int, int]] = field(default_factory=list)
    paths: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def places(self) -> Iterator[Place]:
        """Yield the ways in, the surest first."""
        for pid in self.pids:
            yield Place(self.inode, "process", pid)
        for pid, descriptor in self.descriptors:
            yield Place(self.inode, "descriptor", pid, b"%d" % descriptor)
        for pid, path in self.paths:
            yield Place(self.inode, "path", pid, path)


class Spaces:
    """The namespaces found; look them up by number.

    Attributes:
        by_inode: in the order in which they were met, the capture's own first.
        left_out: namespaces beyond MOST.
    """

    def __init__(self, sweep: Sweep, proc: int) -> None:
        """Take those of the sweep, and look into each mount namespace for pinned ones."""
        self.by_inode: dict[int, Space] = {}
        self.left_out = 0
        pids = self._of_sweep(sweep)
        self._pinned(pids, proc)

    def _space(self, inode: int) -> Space | None:
        space = self.by_inode.get(inode)
        if space is None:
            if len(self.by_inode) >= MOST:
                self.left_out += 1
                return None
            space = self.by_inode[inode] = Space(inode)
        return space

    def _of_sweep(self, sweep: Sweep) -> list[bytes]:
        pids: list[bytes] = []
        for name, kind, data, _ in sweep.entries:
            if kind != LINK or not data.startswith(b"net:["):
                continue
            found = _LINK.fullmatch(data)
            parts = name.split(b"/")
            space = self._space(int(found[1])) if found else None
            if name.endswith(b"/ns/net"):
                pids.append(parts[1])
                if space is not None:
                    space.processes += 1
                    if len(space.pids) < _MOST_NAMED:
                        space.pids.append(int(parts[1]))
            elif (
                parts[2:3] == [b"fd"] and space is not None and len(space.descriptors) < _MOST_NAMED
            ):
                space.descriptors.append((int(parts[1]), int(parts[3])))
        return pids

    def _pinned(self, pids: list[bytes], proc: int) -> None:
        """Read the mounts of the first process of each mount namespace."""
        met: set[bytes] = set()
        for pid in sorted(pids, key=int):
            try:
                mounts = os.readlink(pid + b"/ns/mnt", dir_fd=proc)
            except OSError:
                continue  # ended meanwhile, or not ours to see
            if mounts in met:
                continue
            met.add(mounts)
            text = read_small(pid + b"/mountinfo", at=proc, cap=_MOUNTINFO_MAX)
            for inode, path in pinned(text):
                space = self._space(inode)
                if space is not None and len(space.paths) < _MOST_NAMED:
                    space.paths.append((int(pid), path))


def pinned(mountinfo: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number, mount point) of each network namespace that is mounted (proc_pid_mountinfo(5))."""
    for line in mountinfo.split(b"\n"):
        if b" net:[" not in line:
            continue
        words = line.split(b" ")
        found = _LINK.fullmatch(words[3]) if len(words) > 4 else None  # noqa: PLR2004
        if found is not None and b" - nsfs " in line:
            yield int(found[1]), _ESCAPE.sub(lambda hit: bytes([int(hit[1], 8) & 0xFF]), words[4])
