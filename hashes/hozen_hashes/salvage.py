"""Proves what an unfinished capture holds, from the torn container, from its journal directory, or both (bundle-v1 §6).

What counts: a segment whose signature holds and whose key was announced by the one before it is proved; a whole member
that a record of a proved segment names with the same hash is proved; of a torn member, the longest proved `prefix`.
All else is unproved and listed. Bytes in, report out: `sources` opens files, `commands/salvage` writes them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes import cms, zipread
from hozen_hashes.errors import BadDataError
from hozen_hashes.journalcheck import JournalCheck, JournalReport, SegmentReader
from hozen_hashes.journalrecords import ItemEntry, Prefix, Record, TagMember
from hozen_hashes.verify.steps_signature import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Sidecar = Iterable[tuple[str, Iterator[bytes]]]

_MEMBER: Final = re.compile(r"hozen/journal/([0-9]{6}|[1-9][0-9]{6,9})\.(jsonl|sig|pub)")
_BESIDE: Final = re.compile(r"([0-9]{6}|[1-9][0-9]{6,9})\.(jsonl|sig|pub|files\.jsonl)")
_START: Final = "hozen/start.p7s"
_MAX_SMALL: Final = 1 << 20
WHOLE, PREFIX = "whole", "prefix"


@dataclass(frozen=True, slots=True)
class Proved:
    """A file, or the first bytes of one, that a proved segment vouches for."""

    path: str
    extent: str
    size: int
    sha256: str
    item: int | None = None


@dataclass(frozen=True, slots=True)
class Unproved:
    """Something that nothing proved vouches for; `reason` is a key of the catalogue: such as `torn`."""

    path: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SalvageReport:
    """What remains of a capture.

    Attributes:
        journal: the chain of segments; `journal.proved` is how many are proved.
        start: the signature over segment 0, or None when it is absent or does not hold.
        damage: where and why the container ends; empty when it is whole or absent.
        complete: the container is whole to its last byte.
    """

    bundle_id: str | None
    journal: JournalReport
    start: cms.Signature | None
    proved: tuple[Proved, ...]
    unproved: tuple[Unproved, ...]
    damage: str
    complete: bool

    @property
    def contradictions(self) -> tuple[Unproved, ...]:
        """What is there whole, but is not what its proved record, or the other journal, says."""
        return tuple(one for one in self.unproved if one.reason in {"changed", "conflict"})


@dataclass(slots=True)
class _Seen:
    """A member of the container: hash and size of what there is of it."""

    sha256: str
    size: int
    whole: bool
    prefix: tuple[int, str] | None = None

    def is_what(self, claim: Proved) -> bool:
        """Return whether all of it is there and is what the record says."""
        return self.whole and (self.sha256, self.size) == (claim.sha256, claim.size)


class _Epochs:
    """Journal pieces from one place, with the records of each epoch kept apart until the epoch is proved."""

    def __init__(self) -> None:
        self.check = JournalCheck()
        self.records: dict[int, list[Record]] = defaultdict(list)

    def take(self, epoch: int, ending: str, chunks: Iterator[bytes]) -> None:
        if ending == "jsonl":
            reader = SegmentReader(epoch, on_record=self._keep)
            for chunk in chunks:
                reader.feed(chunk)
            self.check.add_segment(reader.close())
        elif ending == "pub":
            self.check.add_key(epoch, _small(chunks))
        else:
            self.check.add_signature(epoch, _small(chunks))

    def proved(self, count: int) -> Iterator[Record]:
        """Yield the records of the first `count` epochs."""
        for epoch in range(count):
            yield from self.records.get(epoch, ())

    def _keep(self, epoch: int, record: Record) -> None:
        if isinstance(record, ItemEntry | Prefix | TagMember):
            self.records[epoch].append(record)


def _small(chunks: Iterator[bytes]) -> bytes:
    found = bytearray()
    for chunk in chunks:
        found += chunk[: _MAX_SMALL - len(found)]
    return bytes(found)


class Salvage:
    """Takes the journal directory first, then the container, then reports."""

    def __init__(self) -> None:
        self._beside, self._inside = _Epochs(), _Epochs()
        self._lists: dict[str, _Seen] = {}
        self._seen: dict[str, _Seen] = {}
        self._start_p7s: dict[str, bytes] = {}
        self._damage, self._complete = "", False
        self.bundle_id: str | None = None

    def take_sidecar(self, files: Sidecar) -> None:
        """Take the files of `<id>.journal/` by name, in any order."""
        for name, chunks in files:
            match = _BESIDE.fullmatch(name)
            if name == "start.p7s":
                self._start_p7s["beside"] = _small(chunks)
            elif match and match[2] == "files.jsonl":
                hasher = _Hasher({})
                for _ in hasher.through(chunks):
                    pass
                self._lists[f"hozen/files/{match[1]}.jsonl"] = hasher.seen(whole=True)
            elif match:
                self._beside.take(int(match[1]), match[2], chunks)

    def take_container(self, read: Callable[[int], bytes]) -> None:
        """Take what there is of the container, front to back; damage ends it and is no error."""
        boundaries = self._boundaries()
        walk = zipread.walk(read, recover=True)
        for member in walk:
            self.bundle_id = self.bundle_id or member.name.partition("/")[0]
            hasher = _Hasher(boundaries.get(member.path, {}))
            self._content(member.path, hasher.through(member.chunks()))
            self._seen[member.path] = hasher.seen(whole=member.whole)
        self._damage, self._complete = walk.damage, walk.complete

    def _content(self, path: str, chunks: Iterator[bytes]) -> None:
        match = _MEMBER.fullmatch(path)
        if match:
            self._inside.take(int(match[1]), match[2], chunks)
        elif path == _START:
            self._start_p7s["inside"] = _small(chunks)
        for _ in chunks:
            pass

    def report(self) -> SalvageReport:
        """Return what is proved: by whichever of the two journals proves more."""
        epochs, journal = self._best()
        records = list(epochs.proved(journal.proved))
        beside, inside = (self._start(epochs, journal, place) for place in ("beside", "inside"))
        proved, unproved = self._judge(records, journal, signed=inside is not None)
        return SalvageReport(
            bundle_id=self._bundle_id(epochs),
            journal=journal,
            start=beside or inside,
            proved=tuple(proved),
            unproved=tuple(unproved),
            damage=self._damage,
            complete=self._complete,
        )

    def _best(self) -> tuple[_Epochs, JournalReport]:
        found = []
        for epochs in (self._beside, self._inside):
            first = epochs.check.segments.get(0)
            if first is not None and first.head is not None:
                epochs.check.bundle_id = self.bundle_id or first.head.bundle
            found.append((epochs, epochs.check.finish()))
        return max(found, key=lambda pair: pair[1].proved)

    def _bundle_id(self, epochs: _Epochs) -> str | None:
        return self.bundle_id or epochs.check.bundle_id

    def _boundaries(self) -> dict[str, dict[int, str]]:
        """Return the lengths at which a proved prefix of each member ends, with the hash up to there."""
        count = self._beside.check.finish().proved
        found: dict[str, dict[int, str]] = defaultdict(dict)
        for record in self._beside.proved(count):
            if isinstance(record, Prefix):
                found[record.path][record.size] = record.sha256
        return found

    def _start(self, epochs: _Epochs, journal: JournalReport, place: str) -> cms.Signature | None:
        """Return the signature that lies `beside` or `inside`, when it holds and is the identity's."""
        first, p7s = epochs.check.segments.get(0), self._start_p7s.get(place)
        if first is None or p7s is None or journal.start is None:
            return None
        try:
            signature = cms.verify_detached(p7s, bytes.fromhex(first.sha256))
        except BadDataError:
            return None
        named = fingerprint(signature.certificate) == journal.start.certificate_sha256
        return signature if named else None

    def _judge(
        self, records: list[Record], journal: JournalReport, *, signed: bool
    ) -> tuple[list[Proved], list[Unproved]]:
        proved: list[Proved] = []
        unproved: list[Unproved] = []
        named: set[str] = set()
        for record in records:
            claim = _claim(record)
            if claim is not None:
                named.add(claim.path)
                self._compare(claim, proved, unproved)
        for path, seen in self._seen.items():
            if path in named:
                continue
            if (path == _START and signed and seen.whole) or self._journal_piece(
                path, seen, journal
            ):
                proved.append(Proved(path, WHOLE, seen.size, seen.sha256))
            else:
                self._unnamed(path, seen, proved, unproved)
        unproved += [Unproved(f"{n:06d}", "segment", text) for n, text in journal.problems]
        unproved += [Unproved(f"{n:06d}", "conflict") for n in self._conflicts()]
        return proved, unproved

    def _compare(self, claim: Proved, proved: list[Proved], unproved: list[Unproved]) -> None:
        seen = self._seen.get(claim.path)
        if any(
            one is not None and one.is_what(claim) for one in (seen, self._lists.get(claim.path))
        ):
            proved.append(claim)
        elif seen is None:
            unproved.append(Unproved(claim.path, "lost"))
        elif seen.whole:
            unproved.append(Unproved(claim.path, "changed"))
        else:
            self._unnamed(claim.path, seen, proved, unproved)

    def _journal_piece(self, path: str, seen: _Seen, journal: JournalReport) -> bool:
        """Return whether the member is a piece of a segment that is proved."""
        match = _MEMBER.fullmatch(path)
        if match is None or not seen.whole or int(match[1]) >= journal.proved:
            return False
        return self._same_segment(int(match[1]))

    def _conflicts(self) -> list[int]:
        """Return the epochs of which two whole, different segments are there: beside and inside."""
        one, other = self._inside.check.segments, self._beside.check.segments
        return [
            epoch
            for epoch in sorted(one.keys() & other.keys())
            if one[epoch].sha256 != other[epoch].sha256
            and not one[epoch].problem
            and not other[epoch].problem
        ]

    def _same_segment(self, epoch: int) -> bool:
        """Return whether the container's segment is the one that was proved beside it, where both are."""
        one, other = self._inside.check.segments.get(epoch), self._beside.check.segments.get(epoch)
        return one is None or other is None or one.sha256 == other.sha256

    def _unnamed(
        self, path: str, seen: _Seen, proved: list[Proved], unproved: list[Unproved]
    ) -> None:
        if seen.prefix is not None:
            proved.append(Proved(path, PREFIX, seen.prefix[0], seen.prefix[1]))
            if seen.size > seen.prefix[0]:
                unproved.append(Unproved(path, "rest", str(seen.size - seen.prefix[0])))
        else:
            unproved.append(Unproved(path, "unnamed" if seen.whole else "torn"))


def _claim(record: Record) -> Proved | None:
    if isinstance(record, TagMember):
        return Proved(record.path, WHOLE, record.size, record.sha256)
    if isinstance(record, ItemEntry):
        stored = record.stored
        if stored.path is not None and stored.size is not None and stored.sha256 is not None:
            return Proved(stored.path, WHOLE, stored.size, stored.sha256, record.item)
    return None


class _Hasher:
    """Hashes chunks on their way, and finds the longest of the given prefixes that they begin with."""

    def __init__(self, boundaries: Mapping[int, str]) -> None:
        self._digest = sha256()
        self._size = 0
        self._waiting = sorted(boundaries.items(), reverse=True)
        self._prefix: tuple[int, str] | None = None

    def through(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks again."""
        for chunk in chunks:
            self._take(chunk)
            yield chunk

    def seen(self, *, whole: bool) -> _Seen:
        """Return what went by."""
        return _Seen(self._digest.hexdigest(), self._size, whole, self._prefix)

    def _take(self, chunk: bytes) -> None:
        at = 0
        while self._waiting and self._waiting[-1][0] <= self._size + len(chunk):
            end, wanted = self._waiting.pop()
            self._digest.update(chunk[at : end - self._size])
            at = end - self._size
            if self._digest.hexdigest() == wanted:
                self._prefix = (end, wanted)
        self._digest.update(chunk[at:])
        self._size += len(chunk)


def salvage(
    *, sidecar: Sidecar = (), container: Callable[[int], bytes] | None = None
) -> SalvageReport:
    """Return what is proved of an unfinished capture.

    Args:
        sidecar: name and bytes of every file in `<id>.journal/`.
        container: gives at most so many bytes of `<id>.zip.partial`, none only at its end.

    Raises:
        NotVerifiableError: the medium refuses to be read.
    """
    found = Salvage()
    found.take_sidecar(sidecar)
    if container is not None:
        found.take_container(container)
    return found.report()
