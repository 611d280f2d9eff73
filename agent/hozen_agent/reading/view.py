"""A read-only view of the host that is ours alone: nothing read through it can change an access time (agent-floor §2).

Call `prepare` once, after the output was opened and before any evidence is: descriptors opened before stay writable.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from hozen_agent import syscalls
from hozen_agent.reading import mounts

_READ_ONLY: Final = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOATIME
_PROC_ATTRIBUTES: Final = (
    _READ_ONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the capture reads through.

    Attributes:
        root: O_PATH descriptor of `/` in the view.
        proc: descriptor of a procfs; detached where possible, so that a mount over /proc/PID hides nothing.
        private: mounts of our own, all read-only without access times; else O_NOATIME must do.
        detached_proc: `proc` is a new mount that nobody covered.
        notes: every step with its result, for the journal.
    """

    root: int
    proc: int
    private: bool
    detached_proc: bool
    notes: tuple[str, ...]


def prepare() -> View:
    """The process reads through a private read-only view, or the notes say why not.

    Raises:
        OSError: `/` or /proc itself cannot be opened; then nothing can be captured.
    """
    notes: list[str] = []
    private = _own_namespace(notes) and (_one_call(notes) or _one_by_one(notes))
    if not private:
        notes.append("no private view: files are opened with O_NOATIME where the system allows it")
    proc, detached = _procfs(notes)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return View(root=root, proc=proc, private=private, detached_proc=detached, notes=tuple(notes))


def _why(error: OSError) -> str:
    return error.strerror or f"error {error.errno}"


def _own_namespace(notes: list[str]) -> bool:
    """The process has mounts of its own; changes of the host still arrive, ours never leave."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, b"/", None, syscalls.MS_SLAVE | syscalls.MS_REC)
    except OSError as error:
        notes.append(f"own mount namespace: not obtained, {_why(error)}")
        return False
    notes.append("own mount namespace: obtained, slave of the host's")
    return True


def _one_call(notes: list[str]) -> bool:
    try:
        syscalls.mount_setattr(b"/", attributes=_READ_ONLY)
    except OSError as error:
        notes.append(f"all mounts read-only in one call: not obtained, {_why(error)}")
        return False
    notes.append("all mounts of the view are read-only and without access times")
    return True


def _one_by_one(notes: list[str]) -> bool:
    """Every mount that may be touched is remounted read-only (kernels before 5.12)."""
    try:
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            table = mounts.MountTable(mounts.read_mountinfo(proc))
        finally:
            os.close(proc)
    except OSError as error:
        notes.append(f"mounts one by one: not obtained, the table cannot be read, {_why(error)}")
        return False
    done, failed, skipped = 0, [], 0
    for point in sorted(table.points, key=len):
        if table.skips(point) is not None:
            skipped += 1  # resolving the path could hang
            continue
        flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOATIME
        try:
            syscalls.mount(None, point, None, flags)
            done += 1
        except OSError as error:
            failed.append(f"{os.fsdecode(point)!a}: {_why(error)}")
    notes.append(f"mounts made read-only one by one: {done}, left out as remote: {skipped}")
    notes.extend(f"mount not made read-only: {text}" for text in failed[:50])
    return done > 0 and not failed


def _procfs(notes: list[str]) -> tuple[int, bool]:
    """Return a procfs directory and whether it is a detached one."""
    try:
        fd = syscalls.detached_mount(b"proc", attributes=_PROC_ATTRIBUTES)
    except OSError as error:
        notes.append(f"detached procfs: not obtained, {_why(error)}; /proc as mounted is read")
        return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), False
    notes.append("detached procfs: obtained")
    return fd, True
