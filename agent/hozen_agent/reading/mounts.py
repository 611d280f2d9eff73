"""What is mounted where, and which mounts a capture stays out of (law P06, agent-floor §2).

The table is read as text before any path is touched: one stat of a dead server can hang for ever, and SIGKILL does not
end it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_TABLE: Final = 16 << 20
MAX_MOUNTS: Final = 100_000

# Any of these can wait for another machine or another process.
REMOTE: Final = frozenset(
    b"9p acfs afs beegfs ceph cifs coda cvmfs davfs fuse fuseblk gfs gfs2 glusterfs gpfs lustre ncp ncpfs nfs nfs4 "
    b"ocfs2 orangefs panfs prl_fs pvfs2 shfs smb3 smbfs sshfs vboxsf virtiofs vmhgfs".split()
)
# Files here are made by the kernel as they are read; some consume or trigger something.
PSEUDO: Final = frozenset(
    b"binder binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs functionfs fusectl mqueue nfsd "
    b"nsfs pipefs proc pstore resctrl rpc_pipefs securityfs selinuxfs smackfs sockfs sysfs tracefs".split()
)
_OCTAL: Final = re.compile(rb"\\([0-3][0-7]{2})")
_LAYERS: Final = re.compile(
    rb"(?:^|,)(?:lowerdir\+?|upperdir|workdir|datadir\+?)=((?:\\.|[^,\\])*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of mountinfo (proc_pid_mountinfo(5)); paths are bytes as the reading process sees them."""

    mount_id: int
    parent_id: int
    root: bytes
    point: bytes
    kind: bytes
    source: bytes
    options: bytes
    device: tuple[int, int]


def _unescape(field: bytes) -> bytes:
    return _OCTAL.sub(lambda m: bytes([int(m[1], 8)]), field)


def _parse_line(line: bytes) -> Mount | None:
    """Return the mount a line describes, None when it is not in the documented form."""
    left, separator, right = line.partition(b" - ")
    head, tail = left.split(b" "), right.split(b" ")
    if not separator or len(head) < 6 or len(tail) < 2:  # noqa: PLR2004 - columns of the format
        return None
    try:
        major, _, minor = head[2].partition(b":")
        numbers = int(head[0]), int(head[1]), (int(major), int(minor))
    except ValueError:
        return None
    return Mount(
        mount_id=numbers[0],
        parent_id=numbers[1],
        device=numbers[2],
        root=_unescape(head[3]),
        point=_unescape(head[4]),
        kind=tail[0],
        source=_unescape(tail[1]),
        options=b" ".join(tail[2:]),
    )


def parse_mountinfo(data: bytes) -> list[Mount]:
    """Return the mounts in the order of the table; lines in another form are left out."""
    lines = data[:MAX_TABLE].split(b"\n")[:MAX_MOUNTS]
    return [mount for line in lines if (mount := _parse_line(line)) is not None]


def read_mountinfo(proc: int) -> list[Mount]:
    """Return the mounts of the calling process, read through the procfs descriptor.

    Raises:
        OSError: procfs does not answer.
    """
    fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    with open(fd, "rb", buffering=0) as file:
        parts, total = [], 0
        while total < MAX_TABLE and (part := file.read(1 << 16)):
            parts.append(part)
            total += len(part)
    return parse_mountinfo(b"".join(parts))


def is_remote(kind: bytes) -> bool:
    """Return whether the file-system type can wait for somebody else (autofs would even mount something)."""
    return kind in REMOTE or kind == b"autofs" or kind.startswith((b"fuse.", b"nfs"))


def _below(path: bytes, point: bytes) -> bool:
    return path == point or path.startswith(point.rstrip(b"/") + b"/")


class MountTable:
    """The mounts as seen from one directory that plays the part of `/`.

    Attributes:
        named: mount points the operator named; these are entered although they are remote.
        skipped: mount point to file-system type, for what is stayed out of.
        points: every mount point to its uppermost mount.
    """

    __slots__ = ("_prefixes", "named", "points", "pseudo_ids", "skipped", "skipped_ids")

    def __init__(
        self, mounts: Sequence[Mount], *, root: bytes = b"/", named: Iterable[bytes] = ()
    ) -> None:
        self.named = frozenset(named)
        self.points = _as_seen_from(mounts, root)
        self.skipped: dict[bytes, bytes] = {}
        for point, mount in self.points.items():
            kind = self._why_skipped(point, mount)
            if kind:
                self.skipped[point] = kind
        self._prefixes = tuple(point + b"/" for point in self.skipped)
        self.skipped_ids = frozenset(self.points[point].mount_id for point in self.skipped)
        self.pseudo_ids = frozenset(m.mount_id for m in self.points.values() if m.kind in PSEUDO)

    def _why_skipped(self, point: bytes, mount: Mount) -> bytes:
        """Return the type that makes this mount one to stay out of, or nothing."""
        if point == b"/" or point in self.named:
            return b""  # of a host whose root is remote everything would be left out
        if is_remote(mount.kind):
            return mount.kind
        return self._remote_layer(mount) if mount.kind == b"overlay" else b""

    def _remote_layer(self, overlay: Mount) -> bytes:
        """Return the type of the remote file system that an overlay stands on, or nothing."""
        for found in _LAYERS.finditer(overlay.options):
            for layer in re.split(rb"(?<!\\):+", found[1]):
                below = self.holding(_unescape(layer.replace(b"\\:", b":"))).kind
                if is_remote(below):
                    return b"overlay over " + below
        return b""

    def point_of(self, path: bytes) -> bytes:
        """Return the mount point that `path` lies on or below, by its text alone."""
        while path not in self.points and path not in {b"/", b""}:
            path = path[: path.rfind(b"/")] or b"/"
        return path or b"/"

    def holding(self, path: bytes) -> Mount:
        """Return the uppermost mount that `path` lies on, by its text alone."""
        return self.points[self.point_of(path)]

    def skips(self, path: bytes) -> tuple[bytes, bytes] | None:
        """Return (mount point, type) when `path` lies on or below a mount to stay out of."""
        if not self._prefixes:
            return None
        if not path.startswith(self._prefixes) and path not in self.skipped:
            return None
        return next((p, k) for p, k in self.skipped.items() if _below(path, p))


def _as_seen_from(mounts: Sequence[Mount], root: bytes) -> dict[bytes, Mount]:
    """Return mount points relative to `root`; of several on one point the last, which covers the others."""
    points: dict[bytes, Mount] = {}
    holder: Mount | None = None
    for mount in mounts:
        if _below(root, mount.point):
            if holder is None or len(mount.point) >= len(holder.point):
                holder = mount
        elif _below(mount.point, root):
            points[mount.point[len(root.rstrip(b"/")) :]] = mount
    points[b"/"] = holder or Mount(
        mount_id=-1,
        parent_id=-1,
        root=b"/",
        point=root,
        kind=b"unknown",
        source=b"",
        options=b"",
        device=(0, 0),
    )
    return points
