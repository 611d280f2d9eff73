"""Directories whose listing and whose inodes disagree; runs in a reading helper, since a disk may hang.

Each directory is listed by readdir(3) and by getdents64(2), each of its names is asked for by statx(2), and names known
from elsewhere are asked for although they may not be listed. Where its times moved meanwhile, the look is made again.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hozen_agent import syscalls
from hozen_agent.crossview import raw
from hozen_agent.reading.safeopen import RefusedError
from hozen_hashes.names import percent_decode, percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.jobwork import JobOut

    Found = dict[str, dict[str, object]]

MAX_ENTRIES: Final = 20_000
MAX_NAMED: Final = 200  # names of one disagreement of one directory
TRIES: Final = 4
ENTRIES, ANSWERS = 0, 1  # the two streams of the job
# On these the number in the directory entry is that of the inode, and a directory's link count counts its directories.
EXACT: Final = {0xEF53: "ext", 0x58465342: "xfs", 0x01021994: "tmpfs", 0xF2F52010: "f2fs"}
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GAP: Final = 0.03
_DT_DIR, _DT_UNKNOWN = 4, 0
_INODE: Final = struct.Struct("=32xQ")  # in struct statx
_MOUNT: Final = struct.Struct("=144xQ")
_LEAST_LINKS = 2
_KINDS: Final = (
    "only_readdir", "only_getdents64", "listed_but_absent", "not_listed_but_there", "other_inode", "unknown_mount",
    "links",
)  # fmt: skip


@dataclass(slots=True)
class Look:
    """One look at a directory.

    Attributes:
        found: by kind of disagreement, the names, percent-encoded, with what differs.
        moved: its times changed while it was looked at.
    """

    entries: list[tuple[bytes, int, int]]
    found: Found = field(default_factory=dict)
    moved: bool = False
    links: int | None = None
    directories: int | None = None


def run(
    opener: Opener, out: JobOut, _path: bytes, asked: Mapping[str, object]
) -> dict[str, object]:
    """Answer for each directory of `asked`, with the names to ask for in it; nothing is left open."""
    groups: Any = asked["directories"]
    for path, known in groups:
        started = time.time_ns()
        answer: dict[str, object] = {"directory": path, "started": str(started)}
        try:
            names = [percent_decode(name) for name in known]
            answer |= _directory(opener, percent_decode(path), names, out)
        except RefusedError as refusal:
            answer["reason"] = str(refusal)
        except OSError as error:
            answer["reason"] = error.strerror or "error"
            answer["missing"] = isinstance(error, FileNotFoundError | NotADirectoryError)
        answer["ended"] = str(time.time_ns())
        out.block(ANSWERS, json.dumps(answer).encode() + b"\n")
    return {"directories": len(groups)}


def _directory(opener: Opener, path: bytes, known: list[bytes], out: JobOut) -> dict[str, object]:
    """Return how the views of one directory compare; two quiet looks must agree on a disagreement."""
    parent = opener.enter(path.rstrip(b"/"))
    try:
        fd = os.open(b".", _LIST | opener.noatime, dir_fd=parent)
    except PermissionError:
        fd = os.open(b".", _LIST, dir_fd=parent)
    try:
        kept: Look | None = None
        entries = 0
        for number in range(TRIES):
            out.block(ENTRIES, b"")
            look = _look(opener, fd, path, known)
            entries = len(look.entries)
            if number == 0:
                rows = (b"%d %d %b\0" % (inode, kind, name) for name, inode, kind in look.entries)
                out.block(ENTRIES, b"%b/\0" % path.rstrip(b"/") + b"".join(rows) + b"\0")
            if not look.moved:
                if not any(look.found.values()):
                    return _answer(fd, look, {})
                if kept is not None:
                    return _answer(fd, look, _both(kept.found, look.found))
                kept = look
            time.sleep(_GAP)
        return {"entries": entries, "reason": "it changed at each look"}
    finally:
        os.close(fd)


def _answer(fd: int, look: Look, found: Found) -> dict[str, object]:
    shown = {kind: list(names.values())[:MAX_NAMED] for kind, names in found.items() if names}
    return {
        "filesystem": _exact(fd),
        "entries": len(look.entries),
        "links": look.links,
        "directories": look.directories,
        "found": shown,
        "left_out": sum(max(0, len(names) - MAX_NAMED) for names in found.values()),
        "beyond": "" if _whole(look.entries) else f"{MAX_ENTRIES} entries or more",
    }


def _whole(entries: list[tuple[bytes, int, int]]) -> bool:
    """Return whether the listing came to its end before the bound."""
    return len(entries) < MAX_ENTRIES


def _both(one: Found, two: Found) -> Found:
    return {
        kind: {n: what for n, what in two[kind].items() if one[kind].get(n) == what}
        for kind in one.keys() & two.keys()
    }


def _look(opener: Opener, fd: int, path: bytes, known: list[bytes]) -> Look:
    before = os.fstat(fd)
    os.lseek(fd, 0, os.SEEK_SET)
    libc = {os.fsencode(name) for name in os.listdir(fd)}
    entries = raw.listing(fd, most=MAX_ENTRIES)
    listed = {name for name, _, _ in entries}
    look = Look(entries, {kind: {} for kind in _KINDS})
    if _whole(entries):
        for kind, names in (("only_readdir", libc - listed), ("only_getdents64", listed - libc)):
            look.found[kind] = {n: {"name": n} for n in map(percent_encode, sorted(names))}
        _unlisted(opener, fd, path, known, look)
        _links(fd, entries, before, look)
    _inodes(opener, fd, path, entries, look)
    after = os.fstat(fd)
    look.moved = (before.st_mtime_ns, before.st_ctime_ns) != (after.st_mtime_ns, after.st_ctime_ns)
    return look


def _unlisted(opener: Opener, fd: int, path: bytes, known: list[bytes], look: Look) -> None:
    """Names that are known from elsewhere and answer, although no listing shows them."""
    listed = {name for name, _, _ in look.entries}
    for name in known:
        if name in listed or opener.table.skips(path.rstrip(b"/") + b"/" + name) is not None:
            continue
        shown = percent_encode(name)
        if (found := _ask(opener, fd, name)) is not None:
            look.found["not_listed_but_there"][shown] = {"name": shown, "inode": str(found[0])}


def _links(fd: int, entries: list[tuple[bytes, int, int]], before: os.stat_result, look: Look) -> None:  # fmt: skip
    """A directory has a link from each directory in it, from its own `.` and from its parent."""
    kinds = [kind for _, _, kind in entries]
    if _exact(fd) is None or before.st_nlink < _LEAST_LINKS or _DT_UNKNOWN in kinds:
        return
    look.links, look.directories = before.st_nlink, kinds.count(_DT_DIR)
    if look.links != look.directories + _LEAST_LINKS:
        look.found["links"]["."] = {
            "name": ".", "links": look.links, "directories": look.directories,
        }  # fmt: skip


def _inodes(
    opener: Opener, fd: int, path: bytes, entries: list[tuple[bytes, int, int]], look: Look
) -> None:
    """Compare the inode number of each entry with that of what the name leads to."""
    here = _ask(opener, fd, b"", flags=syscalls.AT_EMPTY_PATH)
    exact = _exact(fd) is not None
    for name, inode, _ in entries:
        whole = path.rstrip(b"/") + b"/" + name
        if opener.table.skips(whole) is not None:
            continue
        found, shown = _ask(opener, fd, name), percent_encode(name)
        if found is None:
            look.found["listed_but_absent"][shown] = {"name": shown, "entry_inode": str(inode)}
        elif here is not None and found[1] != here[1]:
            if whole not in opener.table.points:
                look.found["unknown_mount"][shown] = {"name": shown, "mount_id": found[1]}
        elif exact and found[0] != inode:
            look.found["other_inode"][shown] = {
                "name": shown, "entry_inode": str(inode), "inode": str(found[0]),
            }  # fmt: skip


def _ask(
    opener: Opener, fd: int, name: bytes, *, flags: int = syscalls.AT_SYMLINK_NOFOLLOW
) -> tuple[int, int] | None:
    """Return inode and mount id of a name; None when there is none.

    Raises:
        OSError: it cannot be asked for another reason.
    """
    try:
        syscalls.statx_into(fd, name, opener.stat_address, flags=flags)
    except FileNotFoundError:
        return None
    data = ctypes.string_at(opener.stat_address, syscalls.STATX_SIZE)
    return _INODE.unpack_from(data)[0], _MOUNT.unpack_from(data)[0]


def _exact(fd: int) -> str | None:
    """Return the kind of file system where inode numbers and link counts are exact, else None."""
    return EXACT.get(_statfs_type(fd))


def _statfs_type(fd: int) -> int:
    buffer = ctypes.create_string_buffer(256)
    if _libc.fstatfs(ctypes.c_int(fd), buffer) != 0:
        return 0
    return int(ctypes.cast(buffer, ctypes.POINTER(ctypes.c_long))[0]) & 0xFFFFFFFF


_libc = ctypes.CDLL(None, use_errno=True)
