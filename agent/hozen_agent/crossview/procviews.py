"""The ways of asking which processes there are; each is one view, none is trusted more than another."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.crossview import raw
from hozen_agent.proc.sweep import read_small
from hozen_agent.reading import mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

INIT_PID_NAMESPACE: Final = b"pid:[4026531836]"  # PROC_PID_INIT_INO, include/uapi/linux/nsfs.h
MAX_CGROUPS: Final = 20_000
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_COVERING: Final = re.compile(rb"/proc/(\d+)(/.*)?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Procfs:
    """A procfs directory to ask through.

    Attributes:
        name: `mounted` for /proc as programs of the host see it, `detached` for one that nobody can cover.
    """

    name: str
    fd: int

    def by_libc(self) -> Iterator[int]:
        """Yield the process numbers that readdir(3) of the C library shows."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        return (int(name) for name in os.listdir(self.fd) if name.isdigit())

    def by_kernel(self) -> Iterator[int]:
        """Yield the process numbers that getdents64(2) shows."""
        return (int(name) for name, _, _ in raw.listing(self.fd) if name.isdigit())


def procfs_views(proc: int, root: int) -> tuple[list[Procfs], str]:
    """Return the procfs directories there are, the trusted one first, and why the mounted one is not among them.

    The caller closes every descriptor but the first, which is `proc`.
    """
    first = Procfs(name="detached" if _detached(proc) else "mounted", fd=proc)
    if first.name == "mounted":
        return [first], "there is no detached procfs here: /proc as mounted is the only one"
    try:
        if mounts.is_remote(mounts.MountTable(mounts.read_mountinfo(proc)).holding(b"/proc").kind):
            return [first], "/proc is covered by a mount that may hang"
        fd = os.open(b"proc", _DIRECTORY, dir_fd=root)
    except OSError as error:
        return [first], f"/proc as mounted cannot be opened: {error.strerror}"
    return [first, Procfs(name="mounted", fd=fd)], ""


def _detached(proc: int) -> bool:
    """Tell whether the procfs is a mount that the mount table does not list."""
    text = read_small(b"self/fdinfo/%d" % proc, at=proc)
    found = re.search(rb"^mnt_id:\s*(\d+)$", text, re.MULTILINE)
    if found is None:
        return False
    try:
        return int(found[1]) not in {mount.mount_id for mount in mounts.read_mountinfo(proc)}
    except OSError:
        return False


def listed_threads(proc: int, pids: Iterable[int]) -> dict[int, int]:
    """Return each thread number that is not a process number, with its process; those that end meanwhile are left out.

    A process of one thread has no others: the link count of its `task` says how many there are (fs/proc/base.c).
    """
    found: dict[int, int] = {}
    for pid in pids:
        path = b"%d/task" % pid
        try:
            if os.stat(path, dir_fd=proc).st_nlink <= 3:  # noqa: PLR2004 - `.`, `..`, one thread
                continue
            fd = os.open(path, _DIRECTORY, dir_fd=proc)
        except OSError:
            continue
        try:
            found.update((int(name), pid) for name, _, _ in raw.listing(fd))
        except OSError:
            pass
        finally:
            os.close(fd)
    return found


def thread_total(proc: int, pids: Iterable[int]) -> int:
    """Return how many threads the listed processes have together."""
    total = 0
    for pid in pids:
        try:
            total += os.stat(b"%d/task" % pid, dir_fd=proc).st_nlink - 2
        except OSError:
            continue
    return total


def counter(proc: int) -> tuple[int, int] | None:
    """Return the kernel's own count of tasks and the number it gave last, from /proc/loadavg (proc_loadavg(5))."""
    words = read_small(b"loadavg", at=proc).split()
    try:
        return int(words[3].split(b"/")[1]), int(words[4])
    except (IndexError, ValueError):
        return None


def pid_max(proc: int) -> int:
    """Return the highest process number the kernel gives, 4,194,304 when it does not say."""
    text = read_small(b"sys/kernel/pid_max", at=proc).strip()
    return int(text) if text.isdigit() else 1 << 22


def in_first_namespace(proc: int) -> bool:
    """Tell whether this process is in the first pid namespace, the only one the kernel's count belongs to."""
    try:
        return os.readlink(b"self/ns/pid", dir_fd=proc) == INIT_PID_NAMESPACE
    except OSError:
        return False


def covers(proc: int) -> dict[bytes, int]:
    """Return the mount points on or below /proc/PID with that number, as we and the first process see them."""
    points: set[bytes] = set()
    for whose in (b"self", b"1"):
        table = mounts.parse_mountinfo(
            read_small(whose + b"/mountinfo", at=proc, cap=mounts.MAX_TABLE)
        )
        points.update(mount.point for mount in table)
    return {point: int(found[1]) for point in points if (found := _COVERING.match(point))}


def control_groups(
    proc: int, root: int, tick: Callable[[], None]
) -> tuple[str, Callable[[], set[int]]] | None:
    """Return the mount point of a hierarchy that holds every process, and what yields the numbers in it."""
    try:
        table = mounts.MountTable(mounts.read_mountinfo(proc))
    except OSError:
        return None
    points = [
        point
        for kind in (b"cgroup2", b"cgroup")
        for point, mount in sorted(table.points.items())
        if mount.kind == kind and mount.root in {b"/", b"/.."}
    ]
    if not points:
        return None
    return os.fsdecode(points[0]), lambda: _grouped(root, points[0], tick)


def _grouped(root: int, point: bytes, tick: Callable[[], None]) -> set[int]:
    found: set[int] = set()
    todo = [point.strip(b"/")]
    for _ in range(MAX_CGROUPS):
        if not todo:
            break
        path = todo.pop()
        tick()
        try:
            fd = os.open(path, _DIRECTORY, dir_fd=root)
        except OSError:
            if path == point.strip(b"/"):
                raise
            continue  # a group that was removed meanwhile
        try:
            found.update(
                int(line) for line in read_small(b"cgroup.procs", at=fd, cap=16 << 20).split()
            )
            todo += [path + b"/" + name for name, _, kind in raw.listing(fd) if kind == 4]  # noqa: PLR2004 - DT_DIR
        except OSError:
            continue
        finally:
            os.close(fd)
    return found - {0}  # 0 stands for a process of another pid namespace
