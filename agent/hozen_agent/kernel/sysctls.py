"""Every setting below /proc/sys that reading neither changes nor betrays."""

from __future__ import annotations

import os
import re
from errno import EFBIG, ENOENT
from typing import TYPE_CHECKING, Final

from hozen_agent.proc.entries import read_entries
from hozen_agent.proc.sweep import ERROR, FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.proc.sweep import Entry

MAX_SETTINGS: Final = 6_000
MAX_INTERFACES: Final = 64
_DEEPEST: Final = 8
_CAP: Final = 64 << 10
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
# Secrets; values made anew at each reading; a reading that makes every processor work; and another file system.
_LEFT_OUT: Final = re.compile(
    rb"(?:.*/)?stable_secret\Z|net/ipv4/tcp_fastopen_key\Z|net/core/netdev_rss_key\Z|kernel/random/uuid\Z|vm/stat_refresh\Z|fs/binfmt_misc(?:/|\Z)"
)
_PER_INTERFACE: Final = re.compile(rb"net/ipv[46]/(?:conf|neigh)\Z")


def settings(proc: int) -> list[Entry]:
    """Return an entry for every readable setting, at most MAX_SETTINGS; that the bound was reached is an entry too."""
    found: list[Entry] = []
    for directory, names, lacking in _directories(proc, b""):
        if lacking:
            found.append((b"proc/sys/" + directory, ERROR, b"", lacking))
        room = MAX_SETTINGS - len(found)
        if room <= 0:
            return [*found, (b"proc/sys", ERROR, b"", EFBIG)]
        path = b"sys/" + directory if directory else b"sys"
        entries = read_entries(proc, path, names[:room], name=b"proc/", cap=_CAP)
        # Of a setting that is only written, or another namespace's, there is nothing to say.
        found += [entry for entry in entries if entry[1] == FILE]
    return found or [(b"proc/sys", ERROR, b"", ENOENT)]


def _directories(
    proc: int, directory: bytes, depth: int = 0
) -> Iterator[tuple[bytes, list[bytes], int]]:
    """Yield each directory below /proc/sys with the names of the files in it that may be read.

    The third is the error of a directory that is not listed to its end; EFBIG where some below it are left out.
    """
    try:
        fd = os.open(b"sys/" + directory, _DIRECTORY, dir_fd=proc)
    except FileNotFoundError:
        return
    except OSError as error:
        yield directory, [], error.errno or 0
        return
    files, below, lacking = [], [], 0
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                path = directory + b"/" + name if directory else name
                if _LEFT_OUT.match(path):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    below.append(path)
                elif entry.stat(follow_symlinks=False).st_mode & 0o444:
                    files.append(name)
    except OSError as error:
        lacking = error.errno or 0  # what was listed so far is read
    finally:
        os.close(fd)
    most = MAX_INTERFACES if _PER_INTERFACE.match(directory) else len(below)
    wanted = sorted(below)[:most] if depth < _DEEPEST else []
    if len(wanted) < len(below):
        lacking = lacking or EFBIG
    if files or lacking:
        yield directory, sorted(files), lacking
    for path in wanted:
        yield from _directories(proc, path, depth + 1)
