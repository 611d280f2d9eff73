"""Which directories are compared, which names are asked for in them, and what the helper answered."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from hozen_agent.crossview import raw
from hozen_agent.crossview.views import Part
from hozen_agent.proc.sweep import LINK, read_small
from hozen_agent.reading import mounts
from hozen_agent.workers.jobs import Job, pool_of
from hozen_agent.workers.jobwork import DIRECTORIES
from hozen_hashes.names import percent_encode, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context

CHOSEN: Final = (
    b"/ /bin /sbin /lib /lib64 /etc /etc/cron.d /etc/init.d /etc/ld.so.conf.d /etc/pam.d /etc/profile.d "
    b"/etc/ssh /etc/sudoers.d /etc/systemd/system /etc/udev/rules.d /etc/update-motd.d /home /opt /root /run /srv "
    b"/dev/shm /tmp /usr /usr/bin /usr/sbin /usr/lib /usr/lib64 /usr/lib/systemd/system /usr/lib/x86_64-linux-gnu "
    b"/usr/lib/aarch64-linux-gnu /usr/local /usr/local/bin /usr/local/lib /usr/local/sbin /usr/share /var /var/lib "
    b"/var/log /var/spool/cron /var/spool/cron/crontabs /var/tmp /var/www"
).split()
NAMED: Final = (b"/etc/ld.so.preload",)  # asked for although it may not be listed
MAX_DIRECTORIES: Final = 400
MAX_REQUEST: Final = 24 << 10
MAX_KEPT: Final = 8 << 20
_TEXT: Final = {
    "only_readdir": ("a name that only the C library lists", ["readdir"], ["getdents64"]),
    "only_getdents64": ("a name that the C library leaves out", ["getdents64"], ["readdir"]),
    "listed_but_absent": ("a name that is listed and does not exist", ["getdents64"], ["statx"]),
    "not_listed_but_there": ("a name that exists and is not listed", ["statx"], ["getdents64"]),
    "other_inode": ("a directory entry with another inode than its name leads to", ["getdents64", "statx"], []),
    "unknown_mount": ("a mount that the mount table does not show", ["statx"], ["mountinfo"]),
    "links": ("a link count that does not fit the listed directories", ["statx"], ["getdents64"]),
}  # fmt: skip
_ALSO: Final = {
    "only_readdir": "a C library that was changed for another reason",
    "only_getdents64": "a C library that was changed for another reason",
    "listed_but_absent": "a damaged file system, or one that answers differently to this program",
    "not_listed_but_there": "a file system that resolves names it does not list",
    "other_inode": "a file system in layers",
    "unknown_mount": "a mount made at that moment",
    "links": "a damaged file system",
}


def compare(ctx: Context) -> Part:
    """Return what the helper found in the chosen directories and in those that running programs lie in."""
    part = Part(name="directories")
    pool = pool_of(ctx)
    if pool is None or not raw.KNOWN:
        part.not_compared("directories", "there is no reader for it here")
        return part
    groups, beyond = directories(ctx)
    if beyond:
        part.not_compared("directories of programs", f"{beyond} beyond {MAX_DIRECTORIES}")
    dropped = 0
    for request in _requests(groups):
        job = Job(pool, DIRECTORIES, b"/", {"directories": request})
        answers, kept = b"", 0
        for stream, data in job:
            if stream:
                answers += data
            elif kept + len(data) <= MAX_KEPT:
                kept += len(data)
                part.keep(b"%d/getdents64" % len(part.raw), data)
            else:
                dropped += len(data)
        for line in answers.splitlines():
            _answered(part, json.loads(line))
        if job.lost:
            part.not_compared("directories", f"the rest of a request: {job.lost}")
    if dropped:
        part.fact("raw listings left out", bytes=str(dropped), reason=f"more than {MAX_KEPT} bytes")
    _stacked(ctx, part)
    return part


def directories(ctx: Context) -> tuple[dict[bytes, set[bytes]], int]:
    """Return the directories to compare, each with the names to ask for: programs that run, and a few fixed ones.

    The number is that of further directories, which are too many.
    """
    beyond: set[bytes] = set()
    groups: dict[bytes, set[bytes]] = {path: set() for path in CHOSEN}
    for path in (*NAMED, *_programs(ctx)):
        parent, _, name = path.rpartition(b"/")
        if parent in groups or len(groups) < MAX_DIRECTORIES:
            groups.setdefault(parent or b"/", set()).add(name)
        else:
            beyond.add(parent)
    return groups, len(beyond)


def _programs(ctx: Context) -> Iterator[bytes]:
    """Yield the programs of processes that have the same root and mounts as we had."""
    roots: dict[bytes, bytes] = {}
    found: list[tuple[bytes, bytes]] = []
    for name, kind, data, _ in ctx.sweep.entries:
        if kind != LINK:
            continue
        pid, _, what = name[5:].partition(b"/")
        if what == b"root":
            roots[pid] = data
        elif what == b"exe" and not data.endswith(b" (deleted)"):
            found.append((pid, data))
    own = _mount_space(ctx.proc, b"1")
    spaces: dict[bytes, bytes] = {}
    for pid, path in found:
        if path.startswith(b"/") and roots.get(pid) == b"/":
            if pid not in spaces:
                spaces[pid] = _mount_space(ctx.proc, pid)
            if own and spaces[pid] == own:
                yield path


def _mount_space(proc: int, pid: bytes) -> bytes:
    try:
        return os.readlink(pid + b"/ns/mnt", dir_fd=proc)
    except OSError:
        return b""


def _requests(groups: dict[bytes, set[bytes]]) -> Iterator[list[list[object]]]:
    """Yield stretches of directories that fit into one request each."""
    request: list[list[object]] = []
    size = 0
    for path, names in sorted(groups.items()):
        for row in _rows(percent_encode(path), [percent_encode(name) for name in sorted(names)]):
            length = len(json.dumps(row)) + 2
            if request and size + length > MAX_REQUEST:
                yield request
                request, size = [], 0
            request.append(row)
            size += length
    if request:
        yield request


def _rows(path: str, names: list[str]) -> Iterator[list[object]]:
    """Yield what to ask in one directory, its names in as many rows as the bound of a request needs."""
    if len(names) > 1 and len(json.dumps([path, names])) + 2 > MAX_REQUEST:
        half = len(names) // 2
        yield from _rows(path, names[:half])
        yield from _rows(path, names[half:])
    else:
        yield [path, names]


def _answered(part: Part, answer: dict[str, object]) -> None:
    """Turn one answer into a line on its comparison, and lines on what disagreed twice."""
    path = str(answer["directory"])
    first, again = (int(str(answer[key])) for key in ("started", "ended"))
    if answer.get("missing"):
        return
    if answer.get("reason"):
        part.not_compared(path, str(answer["reason"]))
        return
    found = answer.get("found")
    shown = found if isinstance(found, dict) else {}
    part.compared(
        path, "differ" if shown else "agree", started=rfc3339(first), ended=rfc3339(again),
        **{key: answer.get(key) for key in ("filesystem", "entries", "links", "directories", "left_out")},
    )  # fmt: skip
    if answer.get("beyond"):
        part.not_compared(f"{path}: listings and links", str(answer["beyond"]))
    for kind, names in shown.items():
        what, seen, not_seen = _TEXT[kind]
        for one in names:
            part.observe(
                what, {"directory": path, **one}, seen=seen, not_seen=not_seen, also=_ALSO[kind],
                first=first, again=again,
            )  # fmt: skip


def _stacked(ctx: Context, part: Part) -> None:
    """Write down places where one mount lies over another: what the lower one shows is out of sight."""
    table = mounts.parse_mountinfo(read_small(b"1/mountinfo", at=ctx.proc, cap=mounts.MAX_TABLE))
    points: dict[bytes, list[mounts.Mount]] = {}
    for mount in table:
        points.setdefault(mount.point, []).append(mount)
    for point, layers in sorted(points.items()):
        if len(layers) > 1 and point != b"/":
            shown = [_layer(mount) for mount in layers]
            part.fact("mounts over each other", point=percent_encode(point), layers=shown)


def _layer(mount: mounts.Mount) -> dict[str, object]:
    return {
        "mount_id": mount.mount_id,
        "filesystem": percent_encode(mount.kind),
        "source": percent_encode(mount.source),
        "root": percent_encode(mount.root),
    }
