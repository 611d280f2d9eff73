"""What a container may hold: names, sizes and numbers (bundle-v1 §3, §4)."""

from __future__ import annotations

from dataclasses import dataclass

from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.names import (
    MAX_MEMBER_NAME,
    check_bundle_id,
    check_directory_path,
    check_member_path,
)
from hozen_hashes.zipformat import STORED


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipLimits:
    """The bounds of bundle-v1 §4; sizes in bytes.

    Attributes:
        members: entries of the container, directories included.
        directories: different directories that the names speak of.
        member: one member, inflated.
        total: all members, inflated.
        tag_file: one member outside `data/`, inflated.
        expansion: inflated bytes for each compressed byte.
    """

    members: int = 1 << 24
    directories: int = 1 << 16
    member: int = 1 << 40
    total: int = 4 << 40
    tag_file: int = 512 << 20
    expansion: int = 1100


@dataclass(frozen=True, slots=True)
class Entry:
    """One member, after all that its headers say was checked.

    Attributes:
        name: `<bundle id>/<path>`; of a directory with a `/` at the end.
        method: 0 stored, 8 deflate.
        size: bytes, inflated.
        compressed: bytes in the container.
        crc: CRC-32 of the inflated bytes.
        offset: where its local header begins.
        directory: whether it is a directory entry, which has no content.
        start: where its compressed bytes begin.
    """

    name: str
    method: int
    size: int
    compressed: int
    crc: int
    offset: int
    directory: bool
    start: int

    @property
    def path(self) -> str:
        """The name without the bundle id."""
        return self.name.partition("/")[2]


class Roster:
    """Admits members one after another; refuses the first that breaks a rule.

    Attributes:
        bundle_id: of the first member; all others must have the same one.
        count: entries admitted so far.
    """

    __slots__ = (
        "_directories",
        "_limits",
        "_parents",
        "_seen",
        "_top",
        "_total",
        "bundle_id",
        "count",
    )

    def __init__(self, limits: ZipLimits) -> None:
        self._limits = limits
        # Hashes of names: a third of the memory of the names. Two names with one hash would be
        # refused, never let in; the chance among 16 million is one in 100,000.
        self._seen: set[int] = set()
        self._parents: set[str] = set()
        self._directories: set[str] = set()
        self._top = ""
        self._total = 0
        self.bundle_id = ""
        self.count = 0

    def admit(self, name: str) -> bool:
        """Take the next name; return whether it is a directory's.

        Raises:
            FormatError: the name is outside bundle-v1 §3, of another bundle, or there already.
            LimitError: too many members or directories.
        """
        self.count += 1
        if self.count > self._limits.members:
            raise LimitError(f"more than {self._limits.members} members")
        if len(name) > MAX_MEMBER_NAME:
            raise FormatError(f"a member name of {len(name)} bytes: {name[:80]!r}")
        path = self._path(name)
        directory = name.endswith("/")
        if directory:
            self._directories.add(name[:-1])
            if path:
                check_directory_path(path[:-1])
        else:
            check_member_path(path)
            self._parents.add(name.rpartition("/")[0])
        if len(self._parents) + len(self._directories) > self._limits.directories:
            raise LimitError(f"more than {self._limits.directories} directories")
        self._see(name[:-1] if directory else name)
        return directory

    def measure(self, name: str, method: int, compressed: int, size: int) -> None:
        """Take the sizes of a member.

        Raises:
            FormatError: a directory with content, a stored member of two sizes.
            LimitError: the member, all together or the expansion is beyond its bound.
        """
        if name.endswith("/") and size:
            raise FormatError(f"a directory with content: {name}")
        if method == STORED and compressed != size:
            raise FormatError(f"a stored member with two sizes, {compressed} and {size}: {name}")
        if size > self.bound(name):
            raise LimitError(f"a member of {size} bytes: {name}")
        if size > compressed * self._limits.expansion:
            raise LimitError(f"{compressed} bytes that become {size}: {name}")
        self._total += size
        if self._total > self._limits.total:
            raise LimitError(f"more than {self._limits.total} bytes in all members")

    def bound(self, name: str) -> int:
        """Return how many bytes the member of this name may have."""
        if name.startswith("data/", len(self._top)):
            return self._limits.member
        return min(self._limits.member, self._limits.tag_file)

    def close(self) -> None:
        """Check what can be checked only when all names are known.

        Raises:
            FormatError: no member, a directory entry without members in it, a name that is both a
                file and a directory.
            LimitError: too many directories.
        """
        if not self._parents:
            raise FormatError("the container holds no member")
        known: set[str] = set()
        for parent in self._parents:
            while parent and parent not in known:
                known.add(parent)
                if len(known) > self._limits.directories:
                    raise LimitError(f"more than {self._limits.directories} directories")
                if parent not in self._directories and hash(parent.lower()) in self._seen:
                    raise FormatError(f"a file and a directory at once: {parent}")
                parent = parent.rpartition("/")[0]  # noqa: PLW2901 - upwards to the top
        if alone := self._directories - known:
            raise FormatError(f"a directory entry without members: {min(alone)}/")

    def _path(self, name: str) -> str:
        if not self._top:
            self.bundle_id = check_bundle_id(name.partition("/")[0])
            self._top = self.bundle_id + "/"
        if not name.startswith(self._top):
            raise FormatError(f"not in the directory {self._top}: {name[:80]!r}")
        return name[len(self._top) :]

    def _see(self, name: str) -> None:
        known = len(self._seen)
        self._seen.add(hash(name.lower()))
        if len(self._seen) == known:
            raise FormatError(f"a second member of one name: {name}")
