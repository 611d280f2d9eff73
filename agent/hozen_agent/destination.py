"""Where a bundle goes: probed before the reading begins, refused on the examined machine's own disks (law M04)."""

from __future__ import annotations

import ctypes
import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_agent.durable import cannot_write
from hozen_agent.reading.mounts import MountTable, read_mountinfo
from hozen_hashes.errors import CannotWriteError, UsageError
from hozen_hashes.names import readable

if TYPE_CHECKING:
    from pathlib import Path

_FAT = 0x4D44
_MEMORY_KINDS = {0x01021994: "tmpfs", 0x858458F6: "ramfs", 0x794C7630: "overlay"}
_EXAMINED = ("/", "/etc", "/var", "/var/log", "/home", "/root", "/usr", "/srv", "/opt")
LEAST_VOLUME = 64 << 10
FAT_VOLUME = 4_000 << 20  # below FAT32's 4 GiB - 1, and easy to recognise


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A directory that takes the bundle.

    Attributes:
        fd: descriptor of the directory; everything is written relative to it.
        path: for people.
        volume_size: longest file the medium takes, or None.
        examined: what of the examined machine it lies on, or an empty string.
        free: bytes free at the probe.
        size: bytes of the whole file system.
        mount: type, source and place of its mount, readable; empty where the system does not tell.
    """

    fd: int
    path: str
    volume_size: int | None
    examined: str
    free: int
    size: int
    mount: str = ""


def open_destination(
    path: Path, *, allow_local: bool, volume_size: int | None, floor: int
) -> Destination:
    """Return the probed destination: writable, with space above `floor` bytes, not on the examined disks.

    Raises:
        CannotWriteError: missing, not writable, too small files, or not enough space.
        UsageError: volumes below 64 KiB are asked for; it lies on a file system of the examined machine and
            `allow_local` is not set.
    """
    if volume_size is not None and volume_size < LEAST_VOLUME:
        raise UsageError(
            f"volumes of {volume_size} bytes are too small",
            hint=f"--volume-size takes {LEAST_VOLUME >> 10}KiB and more",
        )
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotWriteError(
            f"cannot open the destination {path}: {error.strerror}",
            hint="name an existing directory on your own medium",
        ) from error
    examined = _examined(fd)
    if examined and not allow_local:
        raise UsageError(
            f"the destination {path} lies on {examined} of the examined machine",
            hint="use a medium of your own, or --allow-local to accept it (the bundle will say so)",
        )
    limit = _probe(fd, str(path), volume_size)
    if limit is not None and limit < LEAST_VOLUME:
        raise CannotWriteError(
            f"{path} takes files of at most {limit} bytes",
            hint=f"raise the file size limit (ulimit -f) to {LEAST_VOLUME >> 10} KiB or more",
        )
    try:
        state = os.fstatvfs(fd)
    except OSError as error:
        raise cannot_write(str(path), error) from error
    free = state.f_bavail * state.f_frsize
    if free < floor:
        raise CannotWriteError(
            f"{path} has {free >> 20} MiB free, {floor >> 20} MiB are the least",
            hint="take a larger medium",
        )
    return Destination(
        fd=fd,
        path=str(path),
        volume_size=limit,
        examined=examined,
        free=free,
        size=state.f_blocks * state.f_frsize,
        mount=_mounted(fd),
    )


def _mounted(fd: int) -> str:
    """Return what is mounted there, so that a reader can judge whose medium it was."""
    try:
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            table = MountTable(read_mountinfo(proc))
        finally:
            os.close(proc)
        found = table.holding(os.readlink(b"/proc/self/fd/%d" % fd))
    except (OSError, KeyError):
        return ""
    return " ".join(readable(part) for part in (found.kind, found.source, found.point))


def _examined(fd: int) -> str:
    """Return what of the examined machine the directory lies on; empty for another device."""
    kind = _fs_magic(fd)
    if kind in _MEMORY_KINDS:
        return f"a {_MEMORY_KINDS[kind]} file system (memory or upper layer)"
    device = os.fstat(fd).st_dev
    for place in _EXAMINED:
        try:
            if os.stat(place).st_dev == device:
                return f"the file system of {place}"
        except OSError:  # a place that cannot be looked at cannot be the destination either
            continue
    return ""


def _probe(fd: int, path: str, volume_size: int | None) -> int | None:
    """Write and remove a small file; return the longest file that the medium takes, or None."""
    name = f".hozen-probe-{os.urandom(4).hex()}"  # another host may probe the same share
    try:
        probe = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=fd)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        os.write(probe, b"hozen")
        os.fdatasync(probe)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        os.close(probe)
        with suppress(
            OSError
        ):  # a medium that fails here was refused above, or is with the first file
            os.unlink(name, dir_fd=fd)
    limits = [volume_size] if volume_size else []
    if _fs_magic(fd) == _FAT:
        limits.append(FAT_VOLUME)
    ceiling, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if ceiling != resource.RLIM_INFINITY:
        limits.append(ceiling)
    return min(limits) if limits else None


def _fs_magic(fd: int) -> int:
    """Return statfs's f_type; 0 where it cannot be asked."""
    buffer = (ctypes.c_long * 32)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fstatfs(fd, ctypes.byref(buffer)) != 0:
        return 0
    return int(buffer[0]) & 0xFFFFFFFF
