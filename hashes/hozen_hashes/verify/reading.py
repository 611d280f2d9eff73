"""Reads a bundle once, front to back, and keeps only what the steps need: hashes, journal facts, small files."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes import bag
from hozen_hashes.errors import BadDataError, FormatError, LimitError, NotVerifiableError
from hozen_hashes.journalcheck import JournalCheck, SegmentReader
from hozen_hashes.journalrecords import ItemEntry, Record, TagMember, parse_row
from hozen_hashes.jsonl import parse_object
from hozen_hashes.lines import LineSplitter
from hozen_hashes.names import check_bundle_id
from hozen_hashes.verify.items import Items
from hozen_hashes.verify.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_hashes.opened import Member, OpenBundle

SEALED: Final = "tagmanifest-sha256.txt"
SIGNATURE: Final = "signatures/agent.p7s"
MANIFEST: Final = "manifest-sha256.txt"
START: Final = "hozen/start.p7s"
BUNDLE_JSON: Final = "hozen/bundle.json"
PLAN: Final = "hozen/plan.json"
PROCESSES: Final = "data/processes/"
KEPT: Final = frozenset({"bagit.txt", "bag-info.txt", BUNDLE_JSON, START, SIGNATURE})
MAX_KEPT: Final = 1 << 20
_UNRECORDED: Final = frozenset({
    "bag-info.txt", BUNDLE_JSON, START, MANIFEST, SEALED, SIGNATURE,
})  # fmt: skip
_JOURNAL: Final = re.compile(r"hozen/journal/([0-9]{6}|[1-9][0-9]{6,9})\.(jsonl|sig|pub)")
_ROWS: Final = re.compile(r"hozen/files/([0-9]{6}|[1-9][0-9]{6,9})\.jsonl")
_MAX_SMALL: Final = 4096  # a P-256 key or signature is below 200 bytes


def needs_member_record(path: str) -> bool:
    """Return whether a tag file MUST have a `member` record in the journal (bundle-v1 §6)."""
    return path not in _UNRECORDED and not path.startswith(("hozen/journal/", "signatures/"))


class DamagedError(Exception):
    """The container could not give a member's bytes; carries the reason.

    Attributes:
        refused: the medium refused to be read, which says nothing about the bytes.
    """

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


class Reading:
    """What one pass over the members found.

    Attributes:
        container: what the container as a whole does wrong; empty when nothing.
        limited: the container was not read to its end because of a bound or the medium.
        processes: hashes of the stored process items; the first sweep is one of them.
        complete: every member was given, damaged or not; otherwise absence means nothing.
        kept: bytes of the small files by path.
        hashes: SHA-256 (hexadecimal) of the tag files the steps ask for, by path.
        malformed: what is wrong with the form of a manifest, record file or kept file, by path.
        ciphertext: SHA-256 of the encrypted file that was opened and read to its end; None for any other form.
    """

    def __init__(self) -> None:
        self.bundle_id: str | None = None
        self.ciphertext: str | None = None
        self.container: list[str] = []
        self.limited: list[str] = []
        self.odd: list[tuple[str, str]] = []
        self.kept: dict[str, bytes] = {}
        self.hashes: dict[str, str] = {}
        self.malformed: dict[str, str] = {}
        self.payload = Ledger(needs_record=lambda _path: True)
        self.tags = Ledger(needs_record=needs_member_record)
        self.journal = JournalCheck()
        self.items = Items()
        self.members = 0
        self.complete = False
        self.processes: set[str] = set()

    def read(self, bundle: OpenBundle) -> None:
        """Take every member of the bundle.

        Raises:
            BadDataError: nothing in the bytes looks like a bundle.
        """
        try:
            for member in bundle.members():
                taken = self._member(member)
                if not taken and (self.limited or not bundle.resumable):
                    break
            else:
                self.complete = True
        except LimitError as error:
            self.limited.append(str(error))
        except BadDataError as error:
            self.container.append(str(error))
        except NotVerifiableError as error:
            self.limited.append(str(error))
        self.bundle_id = bundle.bundle_id or self._stated_id()
        self.ciphertext = bundle.ciphertext_sha256() if self.complete else None
        self.odd = list(bundle.odd)
        if self.members == 0 and not bundle.is_ours():
            reason = (self.container + self.limited or ["it is empty"])[0]
            raise FormatError(
                f"not a Hozen bundle: {reason}", hint="name a file hz-….zip made by hozen capture"
            )
        self.items.finish()

    def _stated_id(self) -> str | None:
        """Return the id that `bundle.json` states, for an unpacked directory that was renamed."""
        try:
            found = parse_object(self.kept.get(BUNDLE_JSON, b""), what=BUNDLE_JSON)
            return check_bundle_id(str(found.get("bundle_id")))
        except BadDataError:
            return None

    def _member(self, member: Member) -> bool:
        """Take one member; return whether the rest can be judged without its bytes, or they were read."""
        self.members += 1
        path = member.path
        ledger = self.payload if path.startswith("data/") else self.tags
        digest = sha256()
        source = _Source(member, digest.update)
        try:
            self._content(path, source)
            source.drain()
        except DamagedError as damage:
            (self.limited if damage.refused else self.container).append(str(damage))
            ledger.unreadable(path, str(damage))
            # Without a tag file nothing else can be judged; without a payload file, only that file.
            return damage.refused and ledger is self.payload
        ledger.found(path, digest.digest(), source.size)
        if ledger is self.tags and (path in KEPT or path in {MANIFEST, SEALED, PLAN}):
            self.hashes[path] = digest.hexdigest()
        return True

    def _content(self, path: str, source: _Source) -> None:
        """Hand the bytes to whoever reads this path; its complaints do not end the pass."""
        if path.startswith("data/"):
            return
        try:
            self._tag_file(path, source)
        except (FormatError, LimitError) as error:
            self.malformed.setdefault(path, str(error))

    def _tag_file(self, path: str, source: _Source) -> None:
        if path in KEPT:
            self.kept[path] = source.whole(MAX_KEPT, path)
        elif path == MANIFEST:
            for listed, digest in bag.parse_manifest(source):
                self._listed(listed, digest, payload=True)
        elif path == SEALED:
            for listed, digest in bag.parse_manifest(source):
                self._listed(listed, digest, payload=False)
        elif match := _JOURNAL.fullmatch(path):
            self._journal_file(int(match[1]), match[2], path, source)
        elif match := _ROWS.fullmatch(path):
            self._rows(path, source)

    def _listed(self, path: str, digest: str, *, payload: bool) -> None:
        if path.startswith("data/") is not payload or path in {SEALED, SIGNATURE}:
            raise FormatError(f"{path} stands in the wrong manifest")
        (self.payload if payload else self.tags).listed(path, digest)

    def _journal_file(self, epoch: int, ending: str, path: str, source: _Source) -> None:
        if ending == "jsonl":
            reader = SegmentReader(epoch, on_record=self._record)
            for chunk in source:
                reader.feed(chunk)
            self.journal.add_segment(reader.close())
        elif ending == "pub":
            self.journal.add_key(epoch, source.whole(_MAX_SMALL, path))
        else:
            self.journal.add_signature(epoch, source.whole(_MAX_SMALL, path))

    def _record(self, _epoch: int, record: Record) -> None:
        if isinstance(record, ItemEntry):
            self.items.entry(record)
            stored = record.stored
            if stored.path is not None and stored.sha256 is not None and stored.size is not None:
                self.payload.claimed(stored.path, stored.sha256, stored.size)
                if stored.path.startswith(PROCESSES):
                    self.processes.add(stored.sha256)
        elif isinstance(record, TagMember):
            self.tags.claimed(record.path, record.sha256, record.size)

    def _rows(self, path: str, source: _Source) -> None:
        splitter = LineSplitter(what=path)
        number = 0
        for chunk in source:
            for line in splitter.feed(chunk):
                number += 1
                self.items.row(parse_row(line, what=f"{path} line {number}"))
        splitter.close()


class _Source:
    """A member's chunks: hashed as they pass, and damage told apart from complaints about the content."""

    def __init__(self, member: Member, update: Callable[[bytes], object]) -> None:
        self._path = member.path
        self._chunks = member.chunks()
        self._update = update
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            try:
                chunk = next(self._chunks, None)
            except (BadDataError, NotVerifiableError) as error:
                refused = isinstance(error, NotVerifiableError)
                raise DamagedError(f"{self._path}: {error}", refused=refused) from error
            if chunk is None:
                return
            self._update(chunk)
            self.size += len(chunk)
            yield chunk

    def drain(self) -> None:
        """Hash what nobody asked for."""
        for _ in self:
            pass

    def whole(self, limit: int, what: str) -> bytes:
        """Return all bytes of a small file.

        Raises:
            LimitError: it is larger.
        """
        found = bytearray()
        for chunk in self:
            found += chunk
            if len(found) > limit:
                raise LimitError(f"{what}: larger than {limit} bytes")
        return bytes(found)
