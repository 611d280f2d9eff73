"""What makes the loader put a library into programs: /etc/ld.so.preload and the LD_ variables of running processes.

The file is read three ways: by the C library, past it, and below the root of the first process. A library that hides
itself answers the first with "no such file".
"""

from __future__ import annotations

import os
import stat
from errno import EINVAL
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_agent.clock import now
from hozen_agent.crossview import raw
from hozen_agent.crossview.views import Part
from hozen_agent.filetree import listing
from hozen_agent.proc import procparse
from hozen_agent.proc.deep import pids_now
from hozen_agent.proc.sweep import read_small, read_some
from hozen_agent.reading import mounts
from hozen_hashes.names import percent_encode, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_agent.context import Context

PRELOAD: Final = b"etc/ld.so.preload"
MAX_FILE: Final = 1 << 20
MAX_FACTS: Final = 4096
MAX_MAPS: Final = 8 << 20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_VARIABLES: Final = tuple(
    name + b"="
    for name in (
        b"LD_PRELOAD LD_AUDIT LD_LIBRARY_PATH LD_DEBUG_OUTPUT LD_PROFILE LD_ORIGIN_PATH GLIBC_TUNABLES"
    ).split()
)
_PRELOADING: Final = (b"LD_PRELOAD=", b"LD_AUDIT=")
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW
_ALSO: Final = "a first process that runs in a root of its own, as in a container"
_ALSO_LIBC: Final = "a library that was preloaded into this very program for another reason"


def compare(ctx: Context) -> Part:
    """Return how the preload file reads by each way, and which processes were told to load something."""
    part = Part(name="loader")
    libraries = _file(ctx, part)
    libraries |= _environments(ctx, part)
    if libraries:
        _mapped(ctx, part, libraries)
    return part


def _file(ctx: Context, part: Part) -> set[bytes]:
    """Compare the ways of reading the file; return the libraries it names by any of them."""
    ways: dict[str, Callable[[], bytes]] = {}
    if not _local(ctx.proc, b"self", b"/" + PRELOAD):
        part.not_compared("ld.so.preload", "/etc is on a mount that may hang")
        return set()
    ways["libc"] = lambda: _by_libc(ctx.root)
    if raw.KNOWN:
        ways["syscall"] = lambda: _by_syscall(ctx.root, PRELOAD)
    if raw.KNOWN and _local(ctx.proc, b"1", b"/" + PRELOAD):
        ways["syscall below /proc/1/root"] = lambda: _by_syscall(ctx.proc, b"1/root/" + PRELOAD)
    else:
        part.not_compared("ld.so.preload below /proc/1/root", "its mounts cannot be told or may hang")  # fmt: skip
    first = now()[0]
    found = _twice(part, ways)
    texts = {name: data for name, (data, _) in found.items() if data is not None}
    if len(set(found.values())) > 1:
        part.observe(
            "ld.so.preload reads differently by different ways", {"path": "/" + PRELOAD.decode()},
            seen=texts, not_seen=found.keys() - texts.keys(),
            also=_ALSO if found.get("libc") == found.get("syscall") else _ALSO_LIBC, first=first,
        )  # fmt: skip
    part.compared("ld.so.preload", "differ" if len(set(found.values())) > 1 else "agree")
    return {word for data in texts.values() for word in data.replace(b":", b" ").split()[:64]}


def _twice(part: Part, ways: dict[str, Callable[[], bytes]]) -> dict[str, tuple[bytes | None, str]]:
    """Return content or error by way, of a second look when the first disagreed (somebody may be writing)."""
    found: dict[str, tuple[bytes | None, str]] = {}
    for number in (1, 2):
        found = {}
        for name, ask in ways.items():
            started = now()[0]
            try:
                data, error = ask(), ""
                part.keep(b"%d/ld.so.preload.%b" % (number, name.replace("/", "_").encode()), data)
                found[name] = data, error
            except OSError as problem:
                found[name] = None, problem.strerror or "error"
            data_now = found[name][0]
            part.lines.append(
                {
                    "line": "view", "part": part.name, "view": f"ld.so.preload by {name}", "pass": number,
                    "count": None if data_now is None else len(data_now.split()), "started": rfc3339(started),
                    "ended": rfc3339(now()[0]),
                    "sha256": None if data_now is None else sha256(data_now).hexdigest(),
                    "reason": found[name][1] or None,
                }
            )  # fmt: skip
        if len(set(found.values())) == 1:
            break
    return found


def _by_libc(root: int) -> bytes:
    fd = os.open(PRELOAD, _FLAGS, dir_fd=root)
    try:
        return _regular(fd) or read_some(fd, MAX_FILE)[0]
    finally:
        os.close(fd)


def _by_syscall(directory: int, path: bytes) -> bytes:
    """Read past the C library; below another root our view's promise on access times does not hold, so ask for it."""
    pinned = raw.open_at(directory, path, os.O_PATH | os.O_NOFOLLOW)
    try:
        _regular(pinned)
    finally:
        os.close(pinned)
    try:
        return raw.read_all(directory, path, most=MAX_FILE, flags=os.O_NOFOLLOW | os.O_NOATIME)
    except PermissionError:
        return raw.read_all(directory, path, most=MAX_FILE, flags=os.O_NOFOLLOW)


def _regular(fd: int) -> bytes:
    """Return nothing for a regular file.

    Raises:
        OSError: it is something else; that is never read.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(EINVAL, "it is not a regular file")
    return b""


def _local(proc: int, pid: bytes, path: bytes) -> bool:
    """Tell whether a path in the mounts of `pid` lies on a file system that waits for nobody."""
    data = read_small(pid + b"/mountinfo", at=proc, cap=mounts.MAX_TABLE)
    return bool(data) and mounts.MountTable(mounts.parse_mountinfo(data)).skips(path) is None


def _environments(ctx: Context, part: Part) -> set[bytes]:
    """Write down LD_ variables of processes; return what LD_PRELOAD and LD_AUDIT name."""
    libraries: set[bytes] = set()
    read = met = 0
    for pid, at in _each(ctx):
        data = _locked(at, b"environ")
        read += bool(data)
        if b"LD_" not in data and b"GLIBC_TUNABLES=" not in data:
            continue
        for line in data.split(b"\0"):
            if not line.startswith(_VARIABLES):
                continue
            met += 1
            if line.startswith(_PRELOADING):
                libraries.update(line.partition(b"=")[2].replace(b":", b" ").split()[:64])
            if met <= MAX_FACTS:
                name, _, value = ctx.redactor.text(line[:4096], {}).partition(b"=")
                part.fact(
                    "loader variable", pid=pid, start_ticks=_start(at), variable=name.decode("ascii", "replace"),
                    value=percent_encode(value),
                )  # fmt: skip
    if met > MAX_FACTS:
        part.not_compared("loader variables", f"{met - MAX_FACTS} more were left out")
    part.compared("loader variables", "agree" if not met else "found", processes=read, variables=met)  # fmt: skip
    return libraries


def _mapped(ctx: Context, part: Part, libraries: Iterable[bytes]) -> None:
    """Write down of each library how many processes have it in their memory map."""
    holders: dict[bytes, list[int]] = {library: [] for library in libraries}
    looked = 0
    for pid, at in _each(ctx):
        maps = _locked(at, b"maps")
        looked += bool(maps)
        for library, pids in holders.items():
            if library.rsplit(b"/", 1)[-1] in maps:
                pids.append(pid)
    for library, pids in sorted(holders.items()):
        part.fact(
            "preloaded library", path=percent_encode(library), mapped_in=len(pids), processes=looked, pids=pids[:256]
        )  # fmt: skip


def _each(ctx: Context) -> Iterator[tuple[int, int]]:
    """Yield each process with a descriptor of its directory, which a later process of the same number never answers."""
    try:
        names = [n for n, _, _ in raw.listing(ctx.proc)] if raw.KNOWN else []
        pids = sorted(int(n) for n in names if n.isdigit()) or pids_now(ctx.proc)
    except OSError:
        return
    for pid in pids:
        ctx.tick()
        try:
            at = os.open(b"%d" % pid, _DIRECTORY, dir_fd=ctx.proc)
        except OSError:
            continue
        try:
            yield pid, at
        finally:
            os.close(at)


def _locked(at: int, name: bytes) -> bytes:
    """Return a file that takes the lock of the memory map, nothing behind a task that sleeps uninterruptibly."""
    try:
        fd = os.open(b"task", _DIRECTORY, dir_fd=at)
    except OSError:
        return b""
    try:
        for task in listing.names(fd):
            found = procparse.parse_stat(read_small(task + b"/stat", at=fd))
            if found is None or found.state == "D":
                return b""
    except OSError:
        return b""
    finally:
        os.close(fd)
    return read_small(name, at=at, cap=MAX_MAPS)


def _start(at: int) -> str | None:
    found = procparse.parse_stat(read_small(b"stat", at=at))
    return None if found is None else str(found.start_ticks)
