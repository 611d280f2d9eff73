"""Stage 0: the process table, socket tables and sessions of one moment, read before anything else.

Imports only what the interpreter has built in or already loaded, so that the first record costs a few milliseconds
after exec (design §5, law M02). Nothing is parsed here beyond what the reading itself needs; every
failure is kept as an entry. The bytes are unredacted: they stay in memory until `snapshot` has redacted them.
"""

from __future__ import annotations

import os
import time
from errno import EBUSY, EFBIG, ENOBUFS, ENOSYS, ESRCH, ETIMEDOUT

from hozen_agent.proc.packed import Entries

TYPE_CHECKING = False  # `typing` costs milliseconds that the first sweep does not have
if TYPE_CHECKING:
    from collections.abc import Iterable

    Entry = tuple[bytes, str, bytes, int]

FILE, LINK, ERROR = "file", "link", "error"

MAX_PROCESSES = 131_072
MAX_FDS = 16_384
MAX_TABLE = 16 << 20
MAX_CMDLINE = 256 << 10
MAX_SMALL = 64 << 10
MAX_TOTAL = 40 << 20  # what all entries may hold together: the agent's memory ceiling is 64 MiB
_RESERVED_FDS = (
    48  # descriptors left to the rest of the agent while a batch of processes is held open
)

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

# /proc/PID/net: the inode column of these leads to /proc/PID/fd/N -> socket:[inode].
NET_TABLES = tuple(
    b"net/" + name
    for name in (
        b"tcp tcp6 udp udp6 udplite udplite6 raw raw6 icmp icmp6 unix packet netlink sctp/eps sctp/assocs"
    ).split()
)
_LINKS = (b"exe", b"cwd", b"root")
_HOST = (b"uptime", b"loadavg", b"stat", b"sys/kernel/random/boot_id")


class Sweep:
    """What was read, in the order in which it was read.

    Attributes:
        entries: (name, kind, data, errno); name as in `proc/123/stat`, data the bytes of a
            file or the target of a link. A file that was cut has a file entry and an error entry (EFBIG).
        started: wall clock and CLOCK_BOOTTIME in nanoseconds before the first read.
        ended: the same after the last.
        processes: how many process directories were opened.
        complete: False when the deadline or a cap left something out; the entries say what.
    """

    __slots__ = ("complete", "ended", "entries", "processes", "started")

    def __init__(
        self,
        entries: Iterable[Entry],
        *,
        started: tuple[int, int],
        ended: tuple[int, int],
        processes: int,
        complete: bool,
    ) -> None:
        self.entries = entries
        self.started = started
        self.ended = ended
        self.processes = processes
        self.complete = complete


def now() -> tuple[int, int]:
    """Return wall clock and CLOCK_BOOTTIME (else CLOCK_MONOTONIC), both in nanoseconds."""
    return time.time_ns(), time.clock_gettime_ns(_BOOTTIME)


def sweep(proc: int, *, utmp: bytes = b"/run/utmp", seconds: float = 10.0) -> Sweep:
    """Return the processes, sockets and sessions of this moment.

    Order: all /proc/PID/stat (so that parents are there), the socket tables once a network
    namespace, then the rest of each process; at the end the processes that appeared meanwhile or
    that the C library left out, and utmp.

    Args:
        proc: descriptor of a procfs directory; nothing is read through another path.
        utmp: the session file (utmp(5)), read raw.
        seconds: after this time processes are only named, with ETIMEDOUT.
    """
    started = now()
    run = _Run(proc, started[1] + int(seconds * 1e9))
    for name in _HOST:
        run.file(b"proc/" + name, proc, name, MAX_TABLE)
    run.link(b"proc/self", proc, b"self")
    run.link(b"proc/net", proc, b"net")
    first = run.listing()
    run.processes(first)
    known = set(first)
    run.processes([pid for pid in run.listing(past_libc=True) if pid not in known])
    run.session_file(utmp)
    return Sweep(
        run.found(), started=started, ended=now(), processes=run.opened, complete=run.complete
    )


class _Run:
    """The state of one sweep."""

    __slots__ = (
        "_batch",
        "_entries",
        "_left",
        "_proc",
        "_same",
        "_until",
        "complete",
        "netns",
        "opened",
    )

    def __init__(self, proc: int, until: int) -> None:
        self._proc = proc
        self._until = until
        self._left = MAX_TOTAL
        self._batch = max(64, os.sysconf("SC_OPEN_MAX") - _RESERVED_FDS)
        self._entries = Entries()
        self._same: dict[bytes, bytes] = {}
        self.netns: set[bytes] = set()
        self.opened = 0
        self.complete = True

    def found(self) -> Entries:
        """Return everything that was entered, in its order."""
        return self._entries

    def fail(self, name: bytes, number: int) -> None:
        """Enter a failure; those of our own making also make the sweep incomplete."""
        if number in {EFBIG, ENOBUFS, ETIMEDOUT, EBUSY}:
            self.complete = False
        self._entries.tail.append((name, ERROR, b"", number))

    def file(self, name: bytes, at: int, path: bytes, cap: int) -> bytes:
        """Enter a file's bytes, or why there are none; returns them for the reader's own use."""
        try:
            fd = os.open(path, _FLAGS, dir_fd=at)
        except OSError as error:
            self.fail(name, error.errno or 0)
            return b""
        try:
            data, number = read_some(fd, cap)
        finally:
            os.close(fd)
        self._left -= len(data)
        if self._left < 0:
            data, number = b"", ENOBUFS
        if data or not number:
            self._entries.tail.append((name, FILE, data, 0))
        if number:
            self.fail(name, number)
        return data

    def link(self, name: bytes, at: int, path: bytes) -> bytes:
        """Enter a link's target, or why there is none."""
        try:
            target = os.readlink(path, dir_fd=at)
        except OSError as error:
            self.fail(name, error.errno or 0)
            return b""
        # Most processes have the same: one object in memory for all of them.
        target = self._same.setdefault(target, target)
        self._entries.tail.append((name, LINK, target, 0))
        return target

    def listing(self, *, past_libc: bool = False) -> list[bytes]:
        """Return the process numbers of this moment, our own first: its network tables stand for `net`.

        Args:
            past_libc: also those that a preloaded library hides; loading what that takes costs 3 ms.
        """
        pids = [name.encode() for name in self._numbers(past_libc=past_libc)]
        if len(pids) > MAX_PROCESSES:
            self.fail(b"proc", EFBIG)
            del pids[MAX_PROCESSES:]
        try:
            me = os.readlink(b"self", dir_fd=self._proc)
        except OSError:
            return pids  # a procfs of another pid namespace; `proc/self` already carries the error
        if me in pids:
            pids.remove(me)
            pids.insert(0, me)
        return pids

    def _numbers(self, *, past_libc: bool) -> list[str]:
        names = os.listdir(self._proc)
        if past_libc:
            try:
                from hozen_agent.filetree import listing
            except (
                ImportError
            ):  # an interpreter without ctypes, or one that cannot be read any more
                self.fail(b"proc", ENOSYS)
            else:
                kernel = {name.decode("latin-1") for name in listing.names(self._proc)}
                names += kernel.difference(names)
        return [name for name in names if name.isdigit()]

    def processes(self, pids: list[bytes]) -> None:
        """Read processes in batches whose directories all stay open: a reused pid gives ESRCH, not a stranger."""
        for start in range(0, len(pids), self._batch):
            held: list[tuple[bytes, int, bool]] = []
            try:
                self._table(pids[start : start + self._batch], held)
                waiting = [
                    (prefix, at) for prefix, at, sleeps in held if self._details(prefix, at, sleeps)
                ]
                self._again(waiting)
            finally:
                for _, at, _ in held:
                    os.close(at)

    def _table(self, pids: Iterable[bytes], held: list[tuple[bytes, int, bool]]) -> None:
        """Open each process, read its stat; read the socket tables of every namespace not met before."""
        fresh = []
        for pid in pids:
            prefix = b"proc/" + pid + b"/"
            if time.clock_gettime_ns(_BOOTTIME) > self._until:
                self.fail(prefix[:-1], ETIMEDOUT)
                continue
            try:
                at = os.open(pid, _DIRECTORY, dir_fd=self._proc)
            except OSError as error:
                self.fail(prefix[:-1], error.errno or ESRCH)
                continue
            stat = self.file(prefix + b"stat", at, b"stat", MAX_SMALL)
            held.append((prefix, at, _uninterruptible(stat)))
            netns = self.link(prefix + b"ns/net", at, b"ns/net")
            if netns and netns not in self.netns:
                self.netns.add(netns)
                fresh.append((prefix, at))
            self._entries.pack()
        self.opened += len(held)
        for prefix, at in fresh:
            for table in NET_TABLES:
                self.file(prefix + table, at, table, MAX_TABLE)

    def _details(self, prefix: bytes, at: int, sleeps: bool) -> bool:
        """Read the rest of one process; True when its command line has to wait."""
        if time.clock_gettime_ns(_BOOTTIME) > self._until:
            self.fail(prefix + b"status", ETIMEDOUT)
            return False
        self.file(prefix + b"status", at, b"status", MAX_SMALL)
        # Reading cmdline takes the lock of the process's memory map; behind a task that sleeps
        # uninterruptibly it could hang for ever (and no signal but SIGKILL would end it).
        if not sleeps:
            self.file(prefix + b"cmdline", at, b"cmdline", MAX_CMDLINE)
        self.file(prefix + b"cgroup", at, b"cgroup", MAX_SMALL)
        for name in _LINKS:
            self.link(prefix + name, at, name)
        self._descriptors(prefix + b"fd", at)
        self._entries.pack()
        return sleeps

    def _descriptors(self, name: bytes, at: int) -> None:
        """Enter the links of sockets, network namespaces and deleted or memory-only files; the deep pass has all."""
        try:
            directory = os.open(b"fd", _DIRECTORY, dir_fd=at)
        except OSError as error:
            self.fail(name, error.errno or 0)
            return
        try:
            numbers = os.listdir(directory)
            if len(numbers) > MAX_FDS:
                self.fail(name, EFBIG)
                del numbers[MAX_FDS:]
            for number in numbers:
                raw = number.encode()
                try:
                    target = os.readlink(raw, dir_fd=directory)
                except OSError as error:
                    self.fail(name + b"/" + raw, error.errno or 0)
                    continue
                if target.startswith((b"socket:", b"net:[")) or target.endswith(b" (deleted)"):
                    self._entries.tail.append((name + b"/" + raw, LINK, target, 0))
        except OSError as error:
            self.fail(name, error.errno or 0)
        finally:
            os.close(directory)

    def _again(self, waiting: list[tuple[bytes, int]]) -> None:
        """Read the command lines of processes that slept uninterruptibly before and no longer do."""
        for prefix, at in waiting:
            try:
                fd = os.open(b"stat", _FLAGS, dir_fd=at)
            except OSError as error:
                self.fail(prefix + b"cmdline", error.errno or 0)
                continue
            stat, _ = read_some(fd, MAX_SMALL)
            os.close(fd)
            if _uninterruptible(stat):
                self.fail(prefix + b"cmdline", EBUSY)
            else:
                self.file(prefix + b"cmdline", at, b"cmdline", MAX_CMDLINE)

    def session_file(self, path: bytes) -> None:
        """Enter utmp, without touching its access time where that is allowed."""
        name = path.lstrip(b"/")
        try:
            fd = os.open(path, _FLAGS | os.O_NOFOLLOW | os.O_NOATIME)
        except PermissionError:  # O_NOATIME is for the owner and root
            self.file(name, self._proc, path, MAX_TABLE)
            return
        except OSError as error:
            self.fail(name, error.errno or 0)
            return
        data, number = read_some(fd, MAX_TABLE)
        os.close(fd)
        if data or not number:
            self._entries.tail.append((name, FILE, data, 0))
        if number:
            self.fail(name, number)


def read_small(path: bytes, *, at: int, cap: int = MAX_SMALL) -> bytes:
    """Return a file's bytes, at most `cap`; nothing when it cannot be read (for lookups, never for evidence)."""
    try:
        fd = os.open(path, _FLAGS, dir_fd=at)
    except OSError:
        return b""
    try:
        return read_some(fd, cap)[0]
    finally:
        os.close(fd)


def read_some(fd: int, cap: int) -> tuple[bytes, int]:
    """Return what is there up to `cap` bytes, and 0 or the errno that ended it (EFBIG at the cap)."""
    try:
        data = os.read(fd, 4096)
        more = os.read(fd, 65536) if data else b""
        if not more and len(data) <= cap:
            return data, 0
        parts = [data, more]
        size = len(data) + len(more)
        while more and size <= cap:
            more = os.read(fd, 65536)
            parts.append(more)
            size += len(more)
    except OSError as error:
        return b"", error.errno or 0
    data = b"".join(parts)
    return (data, 0) if size <= cap else (data[:cap], EFBIG)


def _uninterruptible(stat: bytes) -> bool:
    """Tell whether /proc/PID/stat says state D (proc_pid_stat(5), field 3; the name may hold parentheses)."""
    end = stat.rfind(b")")
    return stat[end + 2 : end + 3] == b"D"
