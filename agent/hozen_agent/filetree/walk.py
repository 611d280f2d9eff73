"""Finds what file patterns name, in one bounded pass over the directories (ForensicArtifacts' path globbing).

A pattern is an absolute path as bytes. In one component `*` stands for any bytes and `?` for one; a component `**`
stands for any number of directories, `**3` for at most three. Bytes are bytes: no case folding, no decoding, no
classes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat as modes
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent import syscalls
from hozen_agent.reading import safeopen
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_agent.reading.safeopen import Opener

MAX_DEPTH: Final = 64
MAX_PATTERN: Final = 4096
MAX_ROUNDS: Final = 8  # links in patterns that lead to links in patterns
MAX_EXTRA: Final = 1000
SORTED: Final = 16_384  # paths in memory at a time; the agent as a whole stays within 64 MiB
_ANY_DEPTH: Final = re.compile(rb"\*\*([0-9]{0,2})\Z")
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRENT: Final = struct.Struct("<QqHB")
_LOOK: Final = struct.Struct("<28xH10xQ64xqI")  # mode, size and mtime in struct statx
_DIR, _LNK, _UNKNOWN, _OTHER = 4, 10, 0, 8
_KINDS: Final = {modes.S_IFDIR: _DIR, modes.S_IFLNK: _LNK}
_INSIDE: Final = (
    syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where a walk stops; each stop is reported."""

    entries: int = 8_000_000
    found: int = 4_000_000
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class _Part:
    """One component: a literal name, a glob, or (`depth` ≥ 0) any number of directories up to `depth`."""

    name: bytes = b""
    glob: re.Pattern[bytes] | None = None
    depth: int = -1

    def takes(self, name: bytes) -> bool:
        return name == self.name if self.glob is None else self.glob.match(name) is not None


Pattern = tuple[_Part, ...]
# Where a walk stands in a pattern: the pattern, the next component, and how deep a `**` may still go.
_State = tuple[Pattern, int, int]


def compile_pattern(pattern: bytes) -> Pattern:
    """Return the pattern's components.

    Raises:
        UsageError: it is not absolute, too long, holds NUL or `..`.
    """
    shown = ascii(os.fsdecode(pattern[:80]))
    if not pattern.startswith(b"/") or b"\0" in pattern or len(pattern) > MAX_PATTERN:
        raise UsageError(f"file pattern {shown} is not an absolute path", hint="begin it with /")
    names = [name for name in pattern.split(b"/") if name not in {b"", b"."}]
    if b".." in names:
        raise UsageError(f"file pattern {shown} holds `..`", hint="write the path without it")
    return tuple(map(_part, names))


def _part(name: bytes) -> _Part:
    deep = _ANY_DEPTH.match(name)
    if deep:
        return _Part(depth=min(int(deep[1] or MAX_DEPTH), MAX_DEPTH))
    if b"*" not in name and b"?" not in name:
        return _Part(name)
    text = b"".join({42: b".*", 63: b"."}.get(byte, re.escape(bytes([byte]))) for byte in name)
    return _Part(glob=re.compile(re.sub(rb"(?:\.\*)+", b".*", text) + rb"\Z", re.DOTALL))


def is_literal(pattern: bytes) -> bool:
    """Return whether the pattern names one path."""
    return b"*" not in pattern and b"?" not in pattern


def _spread(states: Iterable[_State]) -> list[_State]:
    """Return the states with those added that a `**` standing for no directory leads to."""
    todo, done = list(states), dict[_State, None]()
    while todo:
        state = todo.pop()
        if state in done:
            continue
        done[state] = None
        pattern, at, _ = state
        if pattern[at].depth >= 0 and at + 1 < len(pattern):
            todo.append(_at(pattern, at + 1))
    return list(done)


def _at(pattern: Pattern, at: int) -> _State:
    return pattern, at, pattern[at].depth


def _after(states: list[_State], name: bytes) -> tuple[bool, list[_State]]:
    """Return whether `name` completes a pattern, and the states that hold inside it if it is a directory."""
    complete, inside = False, []
    for pattern, at, left in states:
        part, last = pattern[at], at + 1 == len(pattern)
        if part.depth >= 0:
            complete = complete or (last and left > 0)
            if left > 1 or (left == 1 and not last):
                inside.append((pattern, at, left - 1))
        elif part.takes(name):
            complete = complete or last
            if not last:
                inside.append(_at(pattern, at + 1))
    return complete, inside


def _rest(state: _State) -> Pattern:
    """Return what is left of a pattern from where a walk stands in it."""
    pattern, at, left = state
    part = pattern[at]
    return ((_Part(depth=left) if part.depth >= 0 else part), *pattern[at + 1 :])


def matches(patterns: Iterable[Pattern], path: bytes) -> bool:
    """Return whether a pattern names the path, by its text."""
    states = _spread(_at(pattern, 0) for pattern in patterns)
    complete = False
    for name in path.split(b"/")[1:]:
        complete, inside = _after(states, name)
        states = _spread(inside)
    return complete


class _EnoughError(Exception):
    """A bound was reached."""


class Walker:
    """One pass over the directories that a set of patterns leads into.

    Attributes:
        note: told what was left out.
        alive: called before each directory, so that a long search is not taken for a hang.
        size: bytes of the path that is given to `emit`, if timed; -1 where nobody could ask.
    """

    __slots__ = (
        "_address", "_alive", "_bounds", "_buffer", "_deadline", "_earlier", "_emit", "_enters", "_entries", "_extra",
        "_found", "_next", "_opener", "_timed", "note", "size",
    )  # fmt: skip

    def __init__(
        self,
        opener: Opener,
        emit: Callable[[bytes, int], None],
        note: Callable[[str], None],
        alive: Callable[[], None],
        *,
        bounds: Bounds,
        timed: bool = False,
        enters: Callable[[int, bytes], bool] | None = None,
    ) -> None:
        """Prepare a walk; `enters` is asked with descriptor and path of each opened directory whether to go through."""
        self._timed = timed
        self._enters = enters
        self.size = -1
        self._opener = opener
        self._emit = emit
        self.note = note
        self._alive = alive
        self._bounds = bounds
        self._deadline = time.monotonic() + bounds.seconds
        self._entries = self._found = 0
        self._buffer = ctypes.create_string_buffer(1 << 15)
        self._address = ctypes.addressof(self._buffer)
        self._extra: list[bytes] = []
        self._earlier: dict[bytes, list[Pattern]] = {}
        self._next: list[Pattern] = []

    def run(self, patterns: Iterable[bytes]) -> None:
        """Every path that a pattern names was given to `emit`, with its mtime in ns if timed, or a note says why."""
        self._next = [pattern for text in patterns if (pattern := compile_pattern(text))]
        try:
            root = os.open(".", _LIST | self._opener.noatime, dir_fd=self._opener.root)
        except PermissionError:
            root = os.open(".", _LIST, dir_fd=self._opener.root)
        try:
            for _ in range(MAX_ROUNDS):
                now, self._next = list(dict.fromkeys(self._next)), []
                self._directory(root, b"", _spread(_at(pattern, 0) for pattern in now))
                for pattern in now:  # by what they begin with: there can be thousands
                    self._earlier.setdefault(pattern[0].name, []).append(pattern)
                if not self._next:
                    break
            self._links()
        except _EnoughError as bound:
            self.note(f"walk stopped: {bound}; {self._found} paths found until then")
        finally:
            os.close(root)

    def _links(self) -> None:
        """What a literal link of a pattern points to is found under its real path."""
        seen: set[bytes] = set()
        for path in self._extra[:MAX_EXTRA]:
            try:
                real = self._opener.resolve(path)
            except (OSError, safeopen.RefusedError):
                continue  # a dangling link: the link itself was recorded
            if real not in seen:
                seen.add(real)
                self._hit(real, 0)

    def _hit(self, path: bytes, mtime: int) -> None:
        if self._earlier:
            first = path.split(b"/", 2)[1]
            if matches((*self._earlier.get(first, ()), *self._earlier.get(b"", ())), path):
                return  # found before, without a link on the way
        self._found += 1
        if self._found > self._bounds.found:
            raise _EnoughError(f"more than {self._bounds.found} paths")
        self._emit(path, mtime)

    def _directory(self, fd: int, path: bytes, states: list[_State]) -> None:
        """Go through one open directory; literal names are looked up, anything else is listed."""
        if time.monotonic() > self._deadline:
            raise _EnoughError(f"{self._bounds.seconds:.0f} s are over")
        literal = {p[at].name for p, at, _ in states if p[at].depth < 0 and p[at].glob is None}
        if all(p[at].depth < 0 and p[at].glob is None for p, at, _ in states):
            entries: Iterable[tuple[bytes, int]] = [(name, _UNKNOWN) for name in sorted(literal)]
        else:
            entries = self._listed(fd, path)
        named: dict[bytes, list[_State]] = {}
        others: list[_State] = []
        for state in states:
            part = state[0][state[1]]
            plain = part.depth < 0 and part.glob is None
            (named.setdefault(part.name, []) if plain else others).append(state)
        for name, kind in entries:
            here = [*named[name], *others] if name in named else others
            self._entry(fd, path + b"/" + name, name, kind, here, literal=name in literal)

    def _entry(
        self, fd: int, path: bytes, name: bytes, kind: int, states: list[_State], *, literal: bool
    ) -> None:
        complete, inside = _after(states, name)
        if not complete and not inside:
            return
        if self._opener.table.skips(path) is not None:
            self.note(f"not entered, a remote mount: {_shown(path)}")
            return
        if kind == _UNKNOWN:
            kind = self._kind(fd, name)
        if kind == _DIR:
            if inside:
                self._enter(fd, path, name, inside)
            elif literal and complete:
                self._hit(path, 0)
        elif kind >= 0 and (complete or (literal and kind == _LNK)):
            _, mtime, self.size = self._look(fd, name) if self._timed else (0, 0, -1)
            self._hit(path, mtime)
            self.size = -1
            if literal and kind == _LNK:
                self._follow(path, inside)

    def _follow(self, path: bytes, inside: list[_State]) -> None:
        """A link that a pattern names in full leads on: to a file, or into a directory."""
        if not inside:
            self._extra.append(path)
            return
        self._alive()
        try:
            real = self._opener.resolve(path)
        except safeopen.RefusedError as refusal:
            self.note(f"not entered: {_shown(path)}, {refusal}")
            return
        except OSError as error:
            self.note(f"not entered: {_shown(path)}, {os.strerror(error.errno or 0)}")
            return
        names = tuple(_Part(name) for name in real.split(b"/") if name)
        self._next += [(*names, *_rest(state)) for state in inside]

    def _enter(self, fd: int, path: bytes, name: bytes, inside: list[_State]) -> None:
        """A directory below is gone through, unless it is on a mount to stay out of."""
        if path.count(b"/") > MAX_DEPTH:
            self.note(f"not entered, deeper than {MAX_DEPTH} directories: {_shown(path)}")
            return
        self._alive()
        try:
            opened = self._open(fd, path, name)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EPERM}:
                self._hit(path, 0)  # the reader makes a denied item of it
            elif error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                self.note(f"not entered: {_shown(path)}, {os.strerror(error.errno or 0)}")
            return
        try:
            if self._enters is None or self._enters(opened, path):
                self._directory(opened, path, _spread(inside))
        finally:
            os.close(opened)

    def _open(self, fd: int, path: bytes, name: bytes) -> int:
        flags = _LIST | self._opener.noatime
        if not self._opener.openat2 or path in self._opener.table.points:
            return self._plain_open(fd, name, flags)
        try:
            return syscalls.openat2(fd, name, flags, resolve=_INSIDE)
        except OSError as error:
            if error.errno == errno.EXDEV:  # mounted since the table was read
                self._opener.refresh()
                if path not in self._opener.table.points or self._opener.table.skips(path):
                    raise
                return self._plain_open(fd, name, flags)
            if error.errno == errno.EPERM and self._opener.noatime:
                return syscalls.openat2(fd, name, _LIST, resolve=_INSIDE)
            raise

    def _plain_open(self, fd: int, name: bytes, flags: int) -> int:
        try:
            return os.open(name, flags, dir_fd=fd)
        except PermissionError as error:
            if error.errno != errno.EPERM:
                raise
        return os.open(name, _LIST, dir_fd=fd)

    def _listed(self, fd: int, path: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield (name, d_type) of a directory, sorted when it is not huge."""
        batch: list[tuple[bytes, int]] = []
        try:
            for entry in self._read(fd):
                batch.append(entry)
                if len(batch) > SORTED:
                    yield from batch
                    batch.clear()
        except OSError as error:
            self.note(f"not listed to its end: {_shown(path)}, {os.strerror(error.errno or 0)}")
        yield from sorted(batch)

    def _read(self, fd: int) -> Iterator[tuple[bytes, int]]:
        """Yield the records of getdents64; its own buffer, as directories nest."""
        buffer = self._buffer
        while size := syscalls.getdents64(fd, self._address, len(buffer)):
            self._alive()  # a directory of millions of names takes its time
            data, at, found = buffer.raw[:size], 0, []
            while at < size:
                _, _, length, kind = _DIRENT.unpack_from(data, at)
                name = data[at + _DIRENT.size : data.index(b"\0", at + _DIRENT.size)]
                at += length
                if name not in {b".", b".."}:
                    found.append((name, kind))
            self._entries += len(found)
            if self._entries > self._bounds.entries:
                raise _EnoughError(f"more than {self._bounds.entries} directory entries")
            yield from found

    def _look(self, fd: int, name: bytes) -> tuple[int, int, int]:
        """Return (mode, mtime in ns, size) of a name, without asking a server; (0, 0, -1) when it cannot be asked."""
        try:
            if not self._opener.statx:
                st = os.stat(name, dir_fd=fd, follow_symlinks=False)
                return st.st_mode, st.st_mtime_ns, st.st_size
            address = self._opener.stat_address
            syscalls.statx_into(fd, name, address, flags=syscalls.AT_SYMLINK_NOFOLLOW)
        except OSError:
            return 0, 0, -1
        mode, size, seconds, part = _LOOK.unpack(ctypes.string_at(address, _LOOK.size))
        return mode, seconds * 10**9 + part, size

    def _kind(self, fd: int, name: bytes) -> int:
        """Return the d_type of a name, -1 when it does not exist or cannot be asked."""
        mode = self._look(fd, name)[0]
        return _KINDS.get(modes.S_IFMT(mode), _OTHER) if mode else -1


def _shown(path: bytes) -> str:
    return ascii(os.fsdecode(path))[1:-1]
