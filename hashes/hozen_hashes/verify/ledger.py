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


class _Entry:
    __slots__ = ("claimed", "found", "listed")

    def __init__(self) -> None:
        self.found: bytes | None = None
        self.listed: bytes | None = None
        self.claimed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the ledger tells at the end; paths in order."""

    differences: list[Difference] = field(default_factory=list)
    extra: list[Difference] = field(default_factory=list)
    records: list[Difference] = field(default_factory=list)


class Ledger:
    """One side of the bundle: the payload, or the tag files.

    Attributes:
        count, size: files found and their bytes.
    """

    def __init__(self, *, needs_record: Callable[[str], bool]) -> None:
        self._needs_record = needs_record
        self._entries: dict[str, _Entry] = {}
        self._unreadable: dict[str, str] = {}
        self.count = 0
        self.size = 0

    def found(self, path: str, digest: bytes, size: int) -> None:
        """Enter the SHA-256 and size of a file's bytes."""
        self.count += 1
        self.size += size
        entry = self._entries.setdefault(path, _Entry())
        entry.found = digest + size.to_bytes(_SIZE, "big")
        self._settle(path, entry)

    def unreadable(self, path: str, reason: str) -> None:
        """Enter a file that is there but cannot be read."""
        self._unreadable[path] = reason
        self._entries.setdefault(path, _Entry())

    def listed(self, path: str, digest: str) -> None:
        """Enter a manifest's line."""
        entry = self._entries.setdefault(path, _Entry())
        entry.listed = bytes.fromhex(digest)
        self._settle(path, entry)

    def claimed(self, path: str, digest: str, size: int) -> None:
        """Enter what the proved records say of a file."""
        entry = self._entries.setdefault(path, _Entry())
        entry.claimed = bytes.fromhex(digest) + size.to_bytes(_SIZE, "big")
        self._settle(path, entry)

    def finish(self, *, outside: frozenset[str] = frozenset()) -> Comparison:
        """Return everything in which the three differ; `outside` are paths that no manifest lists."""
        result = Comparison()
        missing: dict[bytes, list[str]] = defaultdict(list)
        for path, entry in sorted(self._entries.items()):
            if path in self._unreadable:
                result.differences.append(Difference("unreadable", path, self._unreadable[path]))
            elif entry.listed is not None and entry.found is None:
                missing[entry.listed].append(path)
            elif entry.listed is not None and entry.found is not None:
                if entry.listed != entry.found[:-_SIZE]:
                    result.differences.append(Difference("changed", path))
            elif entry.found is not None and path not in outside:
                result.extra.append(Difference("extra", path, entry.found[:-_SIZE].hex()))
            self._record(path, entry, result)
        self._pair(missing, result)
        result.differences.sort(key=lambda one: one.path)
        return result

    def _pair(self, missing: dict[bytes, list[str]], result: Comparison) -> None:
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

    def _record(self, path: str, entry: _Entry, result: Comparison) -> None:
        if entry.claimed is None:
            if entry.found is not None and self._needs_record(path):
                result.records.append(Difference("extra", path, "no record names it"))
        elif entry.found is None and path not in self._unreadable:
            result.records.append(Difference("missing", path, "a record names it"))
        elif entry.found is not None and entry.claimed != entry.found:
            result.records.append(Difference("changed", path, "its record says otherwise"))

    def _settle(self, path: str, entry: _Entry) -> None:
        if entry.found is None or entry.listed != entry.found[:-_SIZE]:
            return
        if entry.claimed == entry.found or (entry.claimed is None and not self._needs_record(path)):
            del self._entries[path]
