"""The second, deep pass over the processes: environment, maps, open files, threads, and the hash of each program.

One directory descriptor a process; all of one process is read together and handed on in batches that fit in memory.
Nothing here blocks on another machine: a program on a remote mount is not opened, and what takes the lock of a
memory map is left alone while a thread of the process sleeps uninterruptibly.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from errno import EBUSY, EFBIG, EREMOTE
from typing import TYPE_CHECKING

from hozen_agent.filetree import listing
from hozen_agent.proc import procparse
from hozen_agent.proc.leads import Holder, Leads
from hozen_agent.proc.sweep import ERROR, FILE, LINK, read_some
from hozen_agent.reading.heldtext import held_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.proc.exehash import Exe, ExeHashes
    from hozen_agent.proc.sweep import Entry
    from hozen_agent.reading.heldtext import Reader

BATCH = 2 << 20
MAX_FILE = 4 << 20
MAX_FDS = 16_384
MAX_THREADS = 4096
_MOST_SHARED = 4096

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILES = (
    *b"stat status cgroup limits loginuid sessionid wchan oom_score oom_score_adj".split(),
    *b"comm attr/current timers coredump_filter".split(),
)
# These take the lock of the memory map (mm/memory.c, access_remote_vm; fs/proc/task_mmu.c), or the one that a process
# keeps while it starts another program (fs/proc/base.c, lock_trace).
_LOCKING = tuple(b"cmdline environ maps auxv io personality stack syscall".split())
_ONCE_A_USER_SPACE = (b"uid_map", b"gid_map")
# Devices have no position worth reading, and every daemon holds three of them.
_PLAIN = (b"socket:", b"pipe:", b"/dev/null", b"/dev/pts/", b"/dev/tty", b"/dev/urandom")
# What a record is made of; the rest is in the tar only.
_CAPS = {b"environ": 256 << 10, b"cmdline": 256 << 10, b"mountinfo": 16 << 20}
_LINKS = (b"exe", b"cwd", b"root")
_SPACES = tuple(
    b"ns/" + name for name in b"cgroup ipc mnt net pid pid_for_children time user uts".split()
)
_TEXTS = tuple(
    b"stat status cmdline cgroup loginuid sessionid wchan attr/current oom_score_adj".split()
)
_KEPT = (*_TEXTS, *_LINKS, *_SPACES, b"exe error")
_PLACES = {name: place for place, name in enumerate(_KEPT)}


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the deep pass found of one process, for its record.

    Attributes:
        gone: why the process could not be opened, or empty.
    """

    pid: int
    values: list[bytes | None] = field(default_factory=list)
    open_files: int | None = None
    exe: Exe | None = None
    gone: str = ""

    @property
    def files(self) -> dict[bytes, bytes]:
        """Small texts and links by their names below the process's directory."""
        pairs = zip(_KEPT, self.values, strict=False)
        return {name: value for name, value in pairs if value is not None}

    @classmethod
    def of(cls, pid: int, files: dict[bytes, bytes]) -> Seen:
        """Return what was seen, as little of it as a record needs (there may be very many)."""
        return cls(pid=pid, values=list(map(files.get, _KEPT)))

    def keep(self, name: bytes, value: bytes) -> None:
        """Enter one text or link, if a record needs it."""
        place = _PLACES.get(name)
        if place is not None:
            if not self.values:
                self.values = [None] * len(_KEPT)
            self.values[place] = value


class Values:
    """Shortens texts to what a record needs; equal values of many processes become one object."""

    __slots__ = ("_met",)

    def __init__(self) -> None:
        self._met: dict[bytes, bytes] = {}

    def of(self, name: bytes, data: bytes) -> bytes:
        """Return what a record needs of the file or link `name`."""
        if name == b"status":
            data = procparse.brief_status(data)
        elif name == b"stat":
            return procparse.brief_stat(data)  # no two are equal
        if len(self._met) < _MOST_SHARED:
            return self._met.setdefault(data, data)
        return self._met.get(data, data)


class DeepPass:
    """Walks over processes; `batches` yields their raw entries, `seen` fills as it goes.

    Attributes:
        seen: by pid, complete when `batches` ended.
    """

    def __init__(
        self,
        proc: int,
        *,
        hashes: ExeHashes,
        leads: Leads | None = None,
        read: Reader | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Read below `proc`.

        Args:
            proc: descriptor of a procfs directory.
            hashes: hashes programs.
            leads: takes the deleted files met on the way.
            read: the capture's reader, for what could hang here; without it that is left out (EBUSY).
            tick: called after each process.
        """
        self._read = read
        self._tick = tick
        self._proc = proc
        self._hashes = hashes
        self._leads = Leads() if leads is None else leads
        self._start = -1
        self._users: set[bytes] = set()
        self._values = Values()
        self._entries: list[Entry] = []
        self._size = 0
        self.seen: dict[int, Seen] = {}

    def batches(self, pids: list[int]) -> Iterator[list[Entry]]:
        """Yield entries named `proc/PID/…`, about BATCH bytes at a time, unredacted."""
        for pid in pids:
            self._process(pid)
            self._tick()
            if self._size > BATCH:
                yield self._take()
        self._leads.scanned = True
        if self._entries:
            yield self._take()

    def _take(self) -> list[Entry]:
        entries, self._entries, self._size = self._entries, [], 0
        return entries

    def _add(self, name: bytes, kind: str, data: bytes = b"", number: int = 0) -> None:
        self._entries.append((name, kind, data, number))
        self._size += len(data) + 512

    def _process(self, pid: int) -> None:
        seen = self.seen[pid] = Seen(pid=pid)
        prefix = b"proc/%d/" % pid
        files: dict[bytes, bytes] = {}
        try:
            at = os.open(b"%d" % pid, _DIRECTORY, dir_fd=self._proc)
        except OSError as error:
            seen.gone = error.strerror or "not there"
            self._add(prefix[:-1], ERROR, number=error.errno or 0)
            return
        try:
            for name in _FILES:
                self._file(at, prefix, name, files)
            stat = procparse.parse_stat(files.get(b"stat", b""))
            self._start = -1 if stat is None else stat.start_ticks
            self._links(at, prefix, files)
            self._identity_maps(at, prefix, files)
            asleep = self._threads(at, prefix)
            for name in _LOCKING:
                take = self._elsewhere if asleep else self._file
                data = take(at, prefix, name, files)
                if name == b"maps" and b" (deleted)\n" in data:
                    self._leads.mapped(pid, self._start, data)
            self._mount_table(at, prefix, files)
            seen.open_files = self._descriptors(at, pid, prefix)
            seen.exe = self._program(at, pid, prefix, files)
        finally:
            os.close(at)
        seen.values = list(map(files.get, _KEPT))
        if b"stat" not in files:
            seen.gone = "it ended while it was being read"

    def _file(
        self, at: int, prefix: bytes, name: bytes, files: dict[bytes, bytes] | None = None
    ) -> bytes:
        try:
            fd = os.open(name, _FLAGS, dir_fd=at)
        except OSError as error:
            self._add(prefix + name, ERROR, number=error.errno or 0)
            return b""
        try:
            data, number = read_some(fd, _CAPS.get(name, MAX_FILE))
        finally:
            os.close(fd)
        if data or not number:
            self._add(prefix + name, FILE, data)
            if files is not None and name in _TEXTS:
                files[name] = self._values.of(name, data)
        if number:
            self._add(prefix + name, ERROR, number=number)
        return data

    def _elsewhere(self, _at: int, prefix: bytes, name: bytes, files: dict[bytes, bytes]) -> bytes:
        """Let a worker read what could hang here; after the first that hangs nobody tries again."""
        data, number = b"", EBUSY
        if self._read is not None:
            most = _CAPS.get(name, MAX_FILE)
            data, number = held_text(self._read, prefix + name, self._start, most)
            if number == EBUSY:
                self._read = None
        if data or not number:
            self._add(prefix + name, FILE, data)
            if name in _TEXTS:
                files[name] = self._values.of(name, data)
        if number:
            self._add(prefix + name, ERROR, number=number)
        return data

    def _links(self, at: int, prefix: bytes, files: dict[bytes, bytes]) -> None:
        for name in (*_LINKS, *_SPACES):
            try:
                target = os.readlink(name, dir_fd=at)
            except OSError as error:
                self._add(prefix + name, ERROR, number=error.errno or 0)
            else:
                self._add(prefix + name, LINK, target)
                files[name] = self._values.of(name, target)

    def _threads(self, at: int, prefix: bytes) -> bool:
        """Enter what each thread has of its own; tell whether one sleeps uninterruptibly."""
        asleep = False
        leader = prefix.split(b"/")[1]
        for number in self._listing(at, b"task", prefix, MAX_THREADS):
            # Rights and filters may differ from thread to thread; those of the first are the process's.
            more = () if number == leader else (b"status", b"wchan")
            for name in (b"comm", b"stat", b"children", *more):
                data = self._file(at, prefix, b"task/" + number + b"/" + name)
                if name == b"stat" and data[data.rfind(b")") + 2 :][:1] == b"D":
                    asleep = True
        return asleep

    def _identity_maps(self, at: int, prefix: bytes, files: dict[bytes, bytes]) -> None:
        """Read once a user namespace which numbers its users have outside."""
        space = files.get(b"ns/user", b"")
        if space not in self._users:
            self._users.add(space)
            for name in _ONCE_A_USER_SPACE:
                self._file(at, prefix, name)

    def _mount_table(self, at: int, prefix: bytes, files: dict[bytes, bytes]) -> None:
        """Read mountinfo once a mount namespace, and learn which mounts to stay out of."""
        space = files.get(b"ns/mnt", b"")
        if not self._leads.local.knows(space):
            self._leads.local.learn(space, self._file(at, prefix, b"mountinfo"))

    def _descriptors(self, at: int, pid: int, prefix: bytes) -> int:
        numbers = self._listing(at, b"fd", prefix, MAX_FDS)
        for number in numbers:
            try:
                target = os.readlink(b"fd/" + number, dir_fd=at)
            except OSError as error:
                self._add(prefix + b"fd/" + number, ERROR, number=error.errno or 0)
                continue
            self._add(prefix + b"fd/" + number, LINK, target)
            if target.startswith(_PLAIN):
                continue  # of sockets the tables say the rest
            fdinfo = self._file(at, prefix, b"fdinfo/" + number)
            if target.endswith(b" (deleted)"):
                holder = Holder(pid, self._start, b"fd/" + number)
                self._leads.descriptor(holder, target, fdinfo)
        return len(numbers)

    def _listing(self, at: int, name: bytes, prefix: bytes, most: int) -> list[bytes]:
        try:
            directory = os.open(name, _DIRECTORY, dir_fd=at)
        except OSError as error:
            self._add(prefix + name, ERROR, number=error.errno or 0)
            return []
        try:
            numbers = sorted(listing.names(directory, most=most), key=_numeric)
        except OSError as error:
            self._add(prefix + name, ERROR, number=error.errno or 0)
            return []
        finally:
            os.close(directory)
        if len(numbers) > most:
            self._add(prefix + name, ERROR, number=EFBIG)
        return numbers[:most]

    def _program(self, at: int, pid: int, prefix: bytes, files: dict[bytes, bytes]) -> Exe | None:
        target = files.get(b"exe", b"")
        if not target:
            return None
        holder, exe = Holder(pid, self._start, b"exe"), None
        try:
            exe = self._hashes.of(at, holder, self._leads.local)
        except OSError as error:
            files[b"exe error"] = (error.strerror or "").encode()
            self._add(prefix + b"exe (content)", ERROR, number=error.errno or EREMOTE)
        if target.endswith(b" (deleted)"):
            self._leads.program(holder, target, None if exe is None else (exe.device, exe.inode))
        return exe


def _numeric(name: bytes) -> tuple[int, bytes]:
    return (int(name), name) if name.isdigit() else (1 << 62, name)


def pids_now(proc: int) -> list[int]:
    """Return the process numbers of this moment, in order.

    Also those that a library preloaded into this program would leave out of readdir(3).

    Raises:
        OSError: procfs cannot be listed.
    """
    names = {*map(os.fsencode, os.listdir(proc)), *listing.names(proc)}
    return sorted(int(name) for name in names if name.isdigit())
