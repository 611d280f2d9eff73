"""Deleted files that processes still hold: found in passing by the deep pass, recovered afterwards.

A lead is only a link that ends in ` (deleted)`; whether the file is really gone is asked of the inode (agent-floor §3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_agent.reading import mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LEADS: Final = 16_384
MAX_HOLDERS: Final = 32
SHOWN: Final = 20
_GONE: Final = b" (deleted)"
# Shared memory that has no file: it is part of the memory of its processes.
_NO_FILE: Final = (
    b"/dev/zero (deleted)", b"/SYSV", b"/[aio]", b"/anon_hugepage", b"/drm mm object", b"/i915",
)  # fmt: skip
_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True)
class Holder:
    """One process that holds the file, and the link below its directory that leads there."""

    pid: int
    start_ticks: int
    name: bytes


@dataclass(slots=True)
class Lead:
    """One file, as far as links and numbers tell.

    Attributes:
        target: what the link says, with its ending.
        holders: at most MAX_HOLDERS; `more` counts the others.
    """

    target: bytes
    holders: list[Holder] = field(default_factory=list)
    more: int = 0


class LocalMounts:
    """The mounts that never wait for another machine, by their numbers, which are the kernel's own everywhere."""

    __slots__ = ("_known", "_remote", "ids")

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._remote: set[int] = set()
        self.ids: set[int] = set()

    def knows(self, space: bytes) -> bool:
        """Return whether the mount namespace was learned."""
        return space in self._known

    def learn(self, space: bytes, mountinfo: bytes) -> None:
        """Take in the mount table of one namespace."""
        found = mounts.parse_mountinfo(mountinfo)
        if not found:
            return
        self._known.add(space)
        self._remote |= mounts.MountTable(found).skipped_ids
        self._remote |= {m.mount_id for m in found if mounts.is_remote(m.kind)}
        self.ids |= {m.mount_id for m in found}
        self.ids -= self._remote


class Leads:
    """What to recover.

    Attributes:
        scanned: whether all processes were looked at.
        local: the mounts of every namespace met.
        left_out: leads beyond MAX_LEADS.
        not_seen: what of processes could not be looked at: how many processes, and the first of them.
    """

    __slots__ = ("_found", "left_out", "local", "not_seen", "scanned")

    def __init__(self) -> None:
        self._found: dict[tuple[bytes, ...], Lead] = {}
        self.local = LocalMounts()
        self.left_out = 0
        self.not_seen: dict[str, tuple[int, list[int]]] = {}
        self.scanned = False

    def __iter__(self) -> Iterator[Lead]:
        """Yield each lead."""
        return iter(self._found.values())

    def missed(self, what: str, pid: int) -> None:
        """Enter that something of a process was not looked at; the first SHOWN processes are named."""
        count, pids = self.not_seen.get(what, (0, []))
        self.not_seen[what] = (count + 1, [*pids, pid][:SHOWN])

    def program(self, holder: Holder, target: bytes, inode: tuple[int, int] | None) -> None:
        """Take in the program of a process; `inode` is device and inode where they are known."""
        which = (b"%d" % holder.pid,) if inode is None else (b"%d" % inode[0], b"%d" % inode[1])
        self._add((b"exe", *which), holder, target)

    def descriptor(self, holder: Holder, target: bytes, fdinfo: bytes) -> None:
        """Take in an open file; its fdinfo says which mount and, from Linux 5.14 on, which inode."""
        which = tuple(
            line for line in fdinfo.split(b"\n") if line.startswith((b"ino:", b"mnt_id:"))
        )
        if len(which) < 2:  # noqa: PLR2004 - then each descriptor is a file of its own
            which = (b"%d" % holder.pid, holder.name)
        self._add((b"fd", *which), holder, target)

    def mapped(self, pid: int, start_ticks: int, maps: bytes) -> None:
        """Take in the deleted files that a memory map names (proc_pid_maps(5)), its program left out."""
        for line in maps.split(b"\n"):
            if not line.endswith(_GONE):
                continue
            parts = line.split(None, _COLUMNS - 1)
            if len(parts) == _COLUMNS and parts[4] != b"0":
                name = b"map_files/" + _plain(parts[0])
                self._add(
                    (b"map", parts[3], parts[4]),
                    Holder(pid, start_ticks, name),
                    _unescape(parts[5]),
                )

    def _add(self, key: tuple[bytes, ...], holder: Holder, target: bytes) -> None:
        if not target.endswith(_GONE) or target.startswith(_NO_FILE):
            return
        lead = self._found.get(key)
        if lead is None:
            if len(self._found) >= MAX_LEADS:
                self.left_out += 1
                return
            lead = self._found[key] = Lead(target)
        if lead.holders and lead.holders[-1].pid == holder.pid and key[0] == b"map":
            return  # a library is mapped in several pieces
        if len(lead.holders) < MAX_HOLDERS:
            lead.holders.append(holder)
        else:
            lead.more += 1


def _plain(span: bytes) -> bytes:
    """Return an address range as map_files names it: without leading zeros."""
    return b"-".join(part.lstrip(b"0") or b"0" for part in span.split(b"-"))


def _unescape(path: bytes) -> bytes:
    return path.replace(b"\\012", b"\n")  # the only character that the kernel escapes there
