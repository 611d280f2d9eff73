"""eBPF objects that stay without a process: pinned in a bpf file system, or attached to control groups."""

from __future__ import annotations

import os
import stat
import struct
from errno import EINVAL, ELOOP, EPERM
from itertools import islice
from typing import TYPE_CHECKING, Final

from hozen_agent.filetree import listing
from hozen_agent.kernel import bpf, bpfrecords
from hozen_agent.reading import mounts
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context

_PINS_MAX: Final = 5_000
_GROUPS_MAX: Final = 2_000
_DEEPEST: Final = 12
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW

Records = list[dict[str, object]]


def _points(ctx: Context, kind: bytes) -> list[bytes]:
    """Return the mount points of a file system of the kernel, as this view has them."""
    try:
        table = mounts.read_mountinfo(ctx.proc)
    except OSError:
        return []
    seen = mounts.MountTable(table)
    # Below a mount that waits for another machine or process already the way to it could hang.
    safe = (m.point for m in table if m.kind == kind and seen.skips(m.point) is None)
    return list(dict.fromkeys(safe))


def objects(ctx: Context) -> Records:
    """Return a record for every name in every bpf file system."""
    found: Records = []
    for point in _points(ctx, b"bpf"):
        for path, info in _below(ctx, point):
            if len(found) >= _PINS_MAX:
                return [*found, {"object": "pin", "left_out": f"more than {_PINS_MAX} names"}]
            name = {"object": "pin", "path": percent_encode(path)}
            if isinstance(info, OSError):
                found.append({**name, "reason": info.strerror or "not listed"})
                continue
            owner = {"mode": f"{info.st_mode:07o}", "uid": info.st_uid}
            found.append(name | owner | (_pinned(path) if stat.S_ISREG(info.st_mode) else {}))
    return found


def _below(
    ctx: Context, point: bytes, depth: int = 0
) -> Iterator[tuple[bytes, os.stat_result | OSError]]:
    """Yield what lies below a directory of the kernel's own file systems, without following links.

    With the path of a directory that cannot be listed, or lies too deep, comes its error.
    """
    try:
        fd = os.open(point.lstrip(b"/") or b".", _DIRECTORY, dir_fd=ctx.root)
    except FileNotFoundError:
        return  # gone meanwhile
    except OSError as error:
        yield point, error
        return
    try:
        for name in sorted(listing.names(fd)):
            try:
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone meanwhile
            path = point.rstrip(b"/") + b"/" + name
            yield path, info
            if stat.S_ISDIR(info.st_mode) and depth < _DEEPEST:
                yield from _below(ctx, path, depth + 1)
            elif stat.S_ISDIR(info.st_mode):
                yield path, OSError(ELOOP, f"deeper than {_DEEPEST} directories")
    except OSError as error:
        yield point, error
    finally:
        os.close(fd)


def _pinned(path: bytes) -> dict[str, object]:
    """Return which object a pin is, or why it cannot be said."""
    try:
        fd = bpf.pinned(path, read_only=True)
    except OSError:
        try:
            fd = bpf.pinned(path, read_only=False)  # a link is opened in no other way
        except OSError as error:
            return {"reason": error.strerror or "not opened"}
    try:
        # Which structure it is follows from what the descriptor is called.
        what = os.readlink(b"/proc/self/fd/%d" % fd).rpartition(b":")[2].strip(b"[]")
        _, number = struct.unpack_from("=II", bpf.info(fd).ljust(8, b"\0"))
    except OSError as error:
        return {"reason": error.strerror or "not described"}
    finally:
        os.close(fd)
    return {"what": what.decode("ascii", "replace"), "id": number}


def on_cgroups(ctx: Context) -> Records:
    """Return which programs run on events of control groups, also those attached without a link."""
    found: Records = []
    for point in _points(ctx, b"cgroup2"):
        known = list(bpfrecords.CGROUP_EVENTS)
        groups = [point, *islice(_groups(ctx, point, found), _GROUPS_MAX)]
        for path in groups[:_GROUPS_MAX]:
            found += _of_group(ctx, path, known)
        if len(groups) > _GROUPS_MAX:
            found.append({"object": "cgroup", "left_out": f"more than {_GROUPS_MAX} groups"})
    return found


def _groups(ctx: Context, point: bytes, refused: Records) -> Iterator[bytes]:
    """Yield the groups below `point`; those that cannot be listed get a record."""
    for path, info in _below(ctx, point):
        if isinstance(info, OSError):
            place = {"object": "cgroup", "path": percent_encode(path)}
            refused.append({**place, "reason": info.strerror or "not listed"})
        elif stat.S_ISDIR(info.st_mode):
            yield path


def _of_group(ctx: Context, path: bytes, events: list[int]) -> Records:
    """Return the programs of one group; events that this kernel does not know are struck from the list."""
    try:
        fd = os.open(path.lstrip(b"/") or b".", _DIRECTORY, dir_fd=ctx.root)
    except OSError:
        return []
    found: Records = []
    try:
        for event in list(events):
            try:
                programs = bpf.attached(fd, event)
            except OSError as error:
                if error.errno == EPERM:
                    break  # as for programs and links, whose attempt says so
                if error.errno != EINVAL:  # of this group alone, as one that is being removed
                    place = {"object": "cgroup", "path": percent_encode(path)}
                    found.append({**place, "reason": error.strerror or "not asked"})
                    break
                events.remove(event)
                continue
            if programs:
                name = bpfrecords.word(bpfrecords.ATTACH, event)
                place = {"object": "cgroup", "path": percent_encode(path)}
                found.append({**place, "event": name, "program_ids": programs})
    finally:
        os.close(fd)
    return found
