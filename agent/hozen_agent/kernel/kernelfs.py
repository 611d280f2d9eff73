"""The kernel's own file systems (tracefs, debugfs): where they are mounted, else looked at without mounting them."""

from __future__ import annotations

import os
from errno import ENODEV, ENOENT
from typing import TYPE_CHECKING, Final

from hozen_agent import syscalls
from hozen_agent.proc.sweep import read_small
from hozen_agent.reading import mounts

if TYPE_CHECKING:
    from hozen_agent.context import Context

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_ATTRIBUTES: Final = (
    syscalls.MOUNT_ATTR_RDONLY
    | syscalls.MOUNT_ATTR_NOSUID
    | syscalls.MOUNT_ATTR_NODEV
    | syscalls.MOUNT_ATTR_NOEXEC
    | syscalls.MOUNT_ATTR_NOATIME
)


def directory(ctx: Context, kind: bytes) -> tuple[int, str]:
    """Return the root directory of the one file system of `kind`, and how it was reached; the caller closes it.

    Where the host has it mounted, that mount is used. Elsewhere a mount that is attached nowhere is: a new mount of
    such a file system sets its options back to the defaults, which is no change only as long as nobody mounted it.

    Raises:
        OSError: ENODEV for a kernel without it; ENOENT for a mount that something else covers or that lies below one
            that may hang; EPERM.
    """
    found = mounts.read_mountinfo(ctx.proc)
    table = mounts.MountTable(found)
    for mount in found:
        # Below a mount that waits for another machine or process already the way to it could hang.
        if mount.kind == kind and mount.root == b"/" and table.skips(mount.point) is None:
            fd = _uncovered(ctx, mount)
            if fd is not None:
                return fd, f"mounted at {os.fsdecode(mount.point)!a}"
    if kind not in read_small(b"filesystems", at=ctx.proc).split():
        raise OSError(ENODEV, "not in this kernel; asking could load a module", kind.decode())
    of_first = mounts.parse_mountinfo(read_small(b"1/mountinfo", at=ctx.proc, cap=mounts.MAX_TABLE))
    if any(mount.kind == kind for mount in (*found, *of_first)):
        raise OSError(
            ENOENT, "mounted, but something else lies over it, or on the way to it", kind.decode()
        )
    return syscalls.detached_mount(kind, attributes=_ATTRIBUTES), "a mount attached nowhere"


def _uncovered(ctx: Context, mount: mounts.Mount) -> int | None:
    try:
        fd = os.open(mount.point.lstrip(b"/") or b".", _DIRECTORY, dir_fd=ctx.root)
    except OSError:
        return None
    if os.fstat(fd).st_dev == os.makedev(*mount.device):
        return fd
    os.close(fd)
    return None
