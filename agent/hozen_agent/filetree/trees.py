"""Which directory trees the bodyfile is made of: the chosen ones, and every local mount below them."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.context import FileRequest
from hozen_agent.reading import files
from hozen_agent.reading.mounts import PSEUDO
from hozen_agent.reading.window import since

if TYPE_CHECKING:
    from hozen_agent.context import Context
    from hozen_agent.reading.mounts import Mount, MountTable
    from hozen_agent.reading.window import Window

RECENT: Final = 7 * 86_400
_SECOND: Final = 10**9
MOST_MOUNTS: Final = 2_000
_BEYOND_MAX: Final = 24 << 10  # bytes of paths in one request
_IMAGES: Final = frozenset(b"squashfs erofs iso9660 udf cramfs romfs".split())
_ID: Final = re.compile(rb"^[^:\n]*:[^:\n]*:([0-9]{1,10})(?::|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One tree to walk.

    Attributes:
        most: entries after which it is stopped.
        depth: levels; 1 is the directory alone.
        homes, devices, quiet: as in special.Rules.
    """

    path: bytes
    most: int = 2_000_000
    depth: int = 256
    homes: bool = False
    devices: bool = False
    quiet: bool = False


# What an intruder can always write comes first, so that a bound which bites leaves out the least telling.
TREES: Final = (
    Tree(path=b"/", depth=1),
    Tree(path=b"/tmp", quiet=True),
    Tree(path=b"/var/tmp", quiet=True),
    Tree(path=b"/dev/shm", quiet=True),
    Tree(path=b"/dev", devices=True, most=100_000),
    Tree(path=b"/run", quiet=True, most=500_000),
    Tree(path=b"/etc"),
    Tree(path=b"/root", homes=True, most=1_000_000),
    Tree(path=b"/bin"),
    Tree(path=b"/sbin"),
    Tree(path=b"/lib"),
    Tree(path=b"/lib32"),
    Tree(path=b"/lib64"),
    Tree(path=b"/libx32"),
    Tree(path=b"/usr"),
    Tree(path=b"/boot"),
    Tree(path=b"/opt"),
    Tree(path=b"/srv", quiet=True),
    Tree(path=b"/home", homes=True, quiet=True, most=1_000_000),
    Tree(path=b"/var", quiet=True, most=1_000_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What to walk and what not.

    Attributes:
        left: (mount point, reason) of mounts that are not entered.
    """

    trees: tuple[Tree, ...]
    left: tuple[tuple[bytes, str], ...]


def choose(table: MountTable, wanted: tuple[Tree, ...] = TREES) -> Chosen:
    """Return the wanted trees in their order, a mount below a tree after it, without asking any file system."""
    trees: list[Tree] = []
    left: list[tuple[bytes, str]] = []
    walked = {(table.points[b"/"].device, table.points[b"/"].root): b"/"}
    own = {tree.path for tree in wanted}
    for tree in wanted:
        mount = table.points.get(tree.path)
        why = _why_not(table, tree.path, mount, walked) if mount and tree.path != b"/" else ""
        if why and not tree.devices:
            left.append((tree.path, why))
            continue
        trees.append(tree)
        if tree.depth > 1:
            _below(table, tree, own, walked, (trees, left))
    return Chosen(trees=tuple(trees[:MOST_MOUNTS]), left=tuple(left[:MOST_MOUNTS]))


def _below(
    table: MountTable, tree: Tree, own: set[bytes],
    walked: dict[tuple[tuple[int, int], bytes], bytes], into: tuple[list[Tree], list[tuple[bytes, str]]],
) -> None:  # fmt: skip
    trees, left = into
    for point in sorted(table.points):
        if not point.startswith(tree.path + b"/") or point in own or _nearer(point, tree.path, own):
            continue
        why = _why_not(table, point, table.points[point], walked)
        if why:
            left.append((point, why))
        else:
            trees.append(Tree(path=point, most=tree.most, homes=tree.homes, quiet=tree.quiet))


def _nearer(point: bytes, tree: bytes, own: set[bytes]) -> bool:
    """Return whether another chosen tree lies between `tree` and the mount point."""
    return any(o.startswith(tree + b"/") and point.startswith(o + b"/") for o in own)


def _why_not(
    table: MountTable, point: bytes, mount: Mount, walked: dict[tuple[tuple[int, int], bytes], bytes]
) -> str:  # fmt: skip
    """Return why a mount is not entered, or nothing; then it counts as walked."""
    kind = mount.kind.decode(errors="replace")
    skipped = table.skips(point)
    if skipped:
        return f"a {skipped[1].decode(errors='replace')} mount that was not named"
    if mount.kind in PSEUDO:
        return f"files of the kernel ({kind})"
    if mount.kind in _IMAGES:
        return f"a read-only image ({kind})"
    if mount.kind == b"overlay":
        return "an overlay: its layers lie in other directories"
    same = walked.setdefault((mount.device, mount.root), point)
    if same != point:
        return f"the same directory as {ascii(os.fsdecode(same))[1:-1]}"
    return ""


def known_ids(ctx: Context, path: bytes) -> list[int]:
    """Return the ids that /etc/passwd or /etc/group names, none when it cannot be read."""
    request = FileRequest(artifact="filesystem", path=path, max_bytes=files.PASSWD_MAX)
    return sorted({int(found) for found in _ID.findall(files.content(ctx, request))})


def asked(
    tree: Tree, chosen: Chosen, *, seconds: float, users: list[int], groups: list[int], window: Window | None = None
) -> dict[str, object]:  # fmt: skip
    """Return the parameters of the job that walks `tree`; what changed within `window` is recent, else of late."""
    inside = tree.path.rstrip(b"/") + b"/"
    known = (*(other.path for other in chosen.trees), *(point for point, _ in chosen.left))
    beyond = [path for path in known if path.startswith(inside) and path != tree.path]
    while sum(map(len, beyond)) > _BEYOND_MAX:
        beyond.pop()  # openat2 refuses these all the same
    now = int(time.time())
    return {
        "most": tree.most,
        "depth": tree.depth,
        "seconds": seconds,
        "now": now,
        "since": since(window, RECENT, now=now * _SECOND) // _SECOND,
        "until": None if window is None or window.until is None else window.until // _SECOND,
        "users": users[:2000],
        "groups": groups[:2000],
        "homes": tree.homes,
        "devices": tree.devices,
        "quiet": tree.quiet,
        "beyond": [os.fsdecode(path) for path in beyond],
    }
