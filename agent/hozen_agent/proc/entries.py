"""Small kernel files read into entries, each with its bytes or its error (the same form as the sweep's)."""

from __future__ import annotations

import os
from errno import EFBIG
from typing import TYPE_CHECKING

from hozen_agent.filetree.listing import names
from hozen_agent.proc.sweep import ERROR, FILE, LINK, read_some

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hozen_agent.proc.sweep import Entry

MAX_FILE = 16 << 20

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def read_entries(
    at: int, directory: bytes, paths: Iterable[bytes], *, name: bytes, cap: int = MAX_FILE
) -> list[Entry]:
    """Return an entry for each path: file, link, or error.

    Args:
        at: descriptor that `directory` is relative to.
        directory: opened once; all paths are relative to it, so that they are of one process.
        paths: files of procfs or sysfs; no other file system may be named here, reads are not guarded.
        name: put before `directory/path` to make the entry's name, as in `proc/`.
        cap: a file is cut there, with EFBIG.
    """
    prefix = name + directory.strip(b"/") + (b"/" if directory.strip(b"/") else b"")
    try:
        opened = os.open(directory or b".", _DIRECTORY, dir_fd=at)
    except OSError as error:
        return [(prefix.rstrip(b"/"), ERROR, b"", error.errno or 0)]
    try:
        return [entry for path in paths for entry in _entry(opened, path, prefix + path, cap)]
    finally:
        os.close(opened)


def listing(at: int, directory: bytes, *, most: int = 65_536) -> list[bytes]:
    """Return the sorted names in a directory of procfs or sysfs.

    Raises:
        OSError: it cannot be listed.
    """
    opened = os.open(directory, _DIRECTORY, dir_fd=at)
    try:
        return sorted(names(opened, most=most))[:most]
    finally:
        os.close(opened)


def listing_or_error(at: int, directory: bytes, *, most: int) -> tuple[list[bytes], list[Entry]]:
    """Return the sorted names in a directory, and an entry for what is not among them: a refusal, EFBIG beyond `most`.

    A directory that is not there is empty: which there are depends on the machine.
    """
    try:
        found = listing(at, directory, most=most + 1)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [(directory, ERROR, b"", error.errno or 0)]
    beyond: list[Entry] = [(directory, ERROR, b"", EFBIG)] if len(found) > most else []
    return found[:most], beyond


def _entry(at: int, path: bytes, name: bytes, cap: int) -> list[Entry]:
    try:
        fd = os.open(path, _FLAGS, dir_fd=at)
    except OSError as error:
        return [_link(at, path, name, error.errno or 0)]
    try:
        data, number = read_some(fd, cap)
    finally:
        os.close(fd)
    failed: list[Entry] = [(name, ERROR, b"", number)] if number else []
    return [(name, FILE, data, 0), *failed] if data or not number else failed


def _link(at: int, path: bytes, name: bytes, number: int) -> Entry:
    try:
        return (name, LINK, os.readlink(path, dir_fd=at), 0)
    except OSError:
        return (name, ERROR, b"", number)
