"""Writes the payload of a bundle while the bundle is verified, and keeps it only when integrity is a match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hozen_hashes.verify import Anchors, VerificationReport, Word, verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from hozen_hashes.opened import Member, OpenBundle
    from hozen_hashes.unpack import NewFolder

ITEM: Final = re.compile(r"data/[a-z0-9_]+/([0-9]+)\.")
_LISTS: Final = ("hozen/items/", "hozen/files/")


def extract_verified(
    bundle: OpenBundle, folder: NewFolder, items: Iterable[int] = (), *, at: datetime
) -> tuple[VerificationReport, list[str]]:
    """Return the report and the paths that were written; the folder is empty unless integrity is a match.

    Args:
        bundle: open, at its beginning.
        folder: new.
        items: only these item numbers; none means all.
        at: for the certificates in the report.

    Raises:
        FormatError: it is no bundle.
        CannotWriteError: the operating system refused; nothing stays.
    """
    try:
        report = verify(_Tee(bundle, folder, frozenset(items)), anchors=Anchors(), at=at)
        written = list(folder.waiting)
        if report.integrity is Word.MATCH:
            for member in written:
                folder.keep(member)
    finally:
        folder.discard()
    return report, written


class _Tee:
    """An open bundle whose wanted members are written as they are read."""

    def __init__(self, inner: OpenBundle, folder: NewFolder, items: frozenset[int]) -> None:
        self._inner, self._folder, self._items = inner, folder, items
        self.form, self.resumable = inner.form, inner.resumable
        self.bundle_id = inner.bundle_id
        self.odd = inner.odd

    def is_ours(self) -> bool:
        return self._inner.is_ours()

    def ciphertext_sha256(self) -> str | None:
        return self._inner.ciphertext_sha256()

    def members(self) -> Iterator[Member]:
        for member in self._inner.members():
            self.bundle_id = self._inner.bundle_id
            yield _Written(member, self._folder) if self._wanted(member.path) else member

    def _wanted(self, path: str) -> bool:
        match = ITEM.match(path)
        if match is None:
            return path.startswith(_LISTS)
        return not self._items or int(match[1]) in self._items


class _Written:
    """A member whose bytes are written while they are read."""

    def __init__(self, member: Member, folder: NewFolder) -> None:
        self.path = member.path
        self._member, self._folder = member, folder

    def chunks(self) -> Iterator[bytes]:
        return self._folder.write(self.path, self._member.chunks())
