"""Which names of the host may stand in the tree: whoever unpacks it must never write outside of it.

A tar is unpacked by other programs, so a name that leaves the tree, or that leads through a link of the tree, is not
given out; its content lies under its sealed name all the same.
"""

from __future__ import annotations

from typing import Final

ROOT: Final = b"[root]"
_MAX: Final = 4096
_MAX_PART: Final = 255


def below_root(path: bytes) -> bytes | None:
    """Return the member name of an absolute path of the host; None when it is none that can be given out."""
    if not path.startswith(b"/") or len(path) > _MAX or b"\0" in path:
        return None
    parts = path.strip(b"/").split(b"/")
    if any(part in (b"", b".", b"..") or len(part) > _MAX_PART for part in parts):
        return None
    return ROOT + b"/" + b"/".join(parts)


def parents(name: bytes) -> list[bytes]:
    """Return the directories above a member, the outermost first."""
    parts = name.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


class Taken:
    """The names of the tree; a name is a directory, or something else, and never both."""

    def __init__(self) -> None:
        self._leaves: set[bytes] = set()
        self._directories: set[bytes] = set()

    def add(self, name: bytes) -> bool:
        """Return whether the name is free, and nothing above it is a file or a link; then it is taken."""
        above = parents(name)
        if name in self._leaves or name in self._directories:
            return False
        if not self._leaves.isdisjoint(above):
            return False
        self._leaves.add(name)
        self._directories.update(above)
        return True
