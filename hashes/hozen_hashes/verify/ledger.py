"""Brings together what is said of each file: the bytes found, the manifest's line, the record (bundle-v1 §11, 4-6, 8).

The three may come in any order. A file of which all three agree is forgotten at once, so that what is kept is
what still waits for its other sources.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hozen_hashes.verify.report import Difference

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = 8


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the ledger tells at the end; paths in order."""

    differences: list[Difference] = field(default_factory=list)
    extra: list[Difference] = field(default_factory=list)
    records: list[Difference] = field(default_factory=list)


class Ledger:
    """One side of the bundle: the payload, or the tag files.

    A file is kept as its path and 40 bytes: SHA-256 and size.

    Attributes:
        count, size: files found and their bytes.
    """

    def __init__(self, *, needs_record: Callable[[str], bool]) -> None:
        self._needs_record = needs_record
        self._found: dict[str, bytes] = {}
        self._claimed: dict[str, bytes] = {}
        self._listed: dict[str, bytes] = {}
        # What is found and is what its record says, or needs none: only the manifest's line is waited for.
        self._agreed: dict[str, bytes] = {}
        self._unreadable: dict[str, str] = {}
        self.count = 0
        self.size = 0

    def found(self, path: str, digest: bytes, size: int) -> None:
        """Enter the SHA-256 and size of a file's bytes."""
        self.count += 1
        self.size += size
        self._found[path] = digest + size.to_bytes(_SIZE, "big")
        self._settle(path)

    def unreadable(self, path: str, reason: str) -> None:
        """Enter a file that is there but cannot be read."""
        self._unreadable[path] = reason

    def listed(self, path: str, digest: str) -> None:
        """Enter a manifest's line."""
        wanted = bytes.fromhex(digest)
        agreed = self._agreed.get(path)
        if agreed is not None and agreed[:-_SIZE] == wanted:
            del self._agreed[path]
        else:
            self._listed[path] = wanted

    def claimed(self, path: str, digest: str, size: int) -> None:
        """Enter what the records say of a file."""
        self._claimed[path] = bytes.fromhex(digest) + size.to_bytes(_SIZE, "big")
        self._settle(path)

    def finish(self, *, outside: frozenset[str] = frozenset()) -> Comparison:
        """Return everything in which the three differ; `outside` are paths that no manifest lists."""
        result = Comparison()
        missing: dict[bytes, list[str]] = defaultdict(list)
        for path in sorted(
            {*self._found, *self._claimed, *self._listed, *self._agreed, *self._unreadable}
        ):
            self._against_list(path, missing, result, listed_elsewhere=path in outside)
            self._against_record(path, result)
        _pair(missing, result)
        result.differences.sort(key=lambda one: one.path)
        return result

    def _against_list(
        self,
        path: str,
        missing: dict[bytes, list[str]],
        result: Comparison,
        *,
        listed_elsewhere: bool,
    ) -> None:
        found, listed = self._bytes(path), self._listed.get(path)
        if path in self._unreadable:
            result.differences.append(Difference("unreadable", path, self._unreadable[path]))
        elif found is None:
            if listed is not None:
                missing[listed].append(path)
        elif listed is None:
            if not listed_elsewhere:
                result.extra.append(Difference("extra", path, found[:-_SIZE].hex()))
        elif listed != found[:-_SIZE]:
            result.differences.append(Difference("changed", path))

    def _against_record(self, path: str, result: Comparison) -> None:
        found, claimed = self._found.get(path), self._claimed.get(path)
        if claimed is None:
            if found is not None and self._needs_record(path):
                result.records.append(Difference("extra", path, "no record names it"))
        elif self._bytes(path) is None:
            if path not in self._unreadable:
                result.records.append(Difference("missing", path, "a record names it"))
        elif claimed != self._bytes(path):
            result.records.append(Difference("changed", path, "its record says otherwise"))

    def _bytes(self, path: str) -> bytes | None:
        return self._found.get(path) or self._agreed.get(path)

    def _settle(self, path: str) -> None:
        """Set a file aside whose record agrees; forget it when its manifest's line has come and agrees too."""
        found, claimed = self._found.get(path), self._claimed.get(path)
        if found is None or not (
            found == claimed or (claimed is None and not self._needs_record(path))
        ):
            return
        del self._found[path]
        self._claimed.pop(path, None)
        if self._listed.get(path) == found[:-_SIZE]:
            del self._listed[path]
        else:
            self._agreed[path] = found


def _pair(missing: dict[bytes, list[str]], result: Comparison) -> None:
    """Turn a missing and an extra file with the same hash into a renamed one."""
    for at, extra in enumerate(result.extra):
        waiting = missing.get(bytes.fromhex(extra.detail))
        detail = ""
        if waiting:
            old = waiting.pop(0)
            result.differences.append(Difference("renamed", old, extra.path))
            detail = f"renamed from {old}"
        result.extra[at] = Difference("extra", extra.path, detail)
    for paths in missing.values():
        result.differences.extend(Difference("missing", path) for path in paths)
