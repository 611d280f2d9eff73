"""Checks a journal: each segment signed by its own key, which the one before announced (bundle-v1 §6).

Bytes in, findings out; no file is opened. Shares nothing with the writer but the format page. Segments, keys and
signatures may come in any order, as long as `SegmentReader` gets one segment's bytes in order:

    reader = SegmentReader(n, on_record=...)
    for chunk in chunks: reader.feed(chunk)
    check.add_segment(reader.close())
    check.add_key(n, pub); check.add_signature(n, sig)
    report = check.finish()
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.journalrecords import End, Next, Record, SegmentHead, Start, parse_record
from hozen_hashes.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_EPOCHS = 2**32 - 1
_PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


@dataclass(frozen=True, slots=True)
class Segment:
    """What one segment says, and the SHA-256 of its bytes.

    Attributes:
        last: its `next` or `end` record; None when the segment is torn or has neither.
        problem: why the segment is not in the form of §6; empty when it is.
    """

    epoch: int
    sha256: str
    head: SegmentHead | None
    start: Start | None
    last: Next | End | None
    problem: str = ""


class SegmentReader:
    """Reads one segment in chunks and hands every record but head and last to `on_record`."""

    def __init__(self, epoch: int, *, on_record: Callable[[int, Record], None]) -> None:
        self._epoch = epoch
        self._on_record = on_record
        self._name = f"{epoch:06d}.jsonl"
        self._hash = sha256()
        self._splitter = LineSplitter(what=self._name)
        self._count = 0
        self._head: SegmentHead | None = None
        self._start: Start | None = None
        self._last: Next | End | None = None
        self._problem = ""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; a broken rule is kept as the segment's problem."""
        self._hash.update(chunk)
        if self._problem:
            return
        try:
            for line in self._splitter.feed(chunk):
                self._count += 1
                self._take(parse_record(line, what=f"{self._name} record {self._count}"))
        except (FormatError, LimitError) as error:
            self._problem = str(error)

    def close(self) -> Segment:
        """Return what the whole segment says."""
        if not self._problem:
            self._problem = self._ending()
        return Segment(
            self._epoch, self._hash.hexdigest(), self._head, self._start, self._last, self._problem
        )

    def _take(self, record: Record) -> None:
        if (self._count == 1) != isinstance(record, SegmentHead):
            raise FormatError(f"{self._name}: `segment` is its first record and no other")
        if self._last is not None:
            raise FormatError(f"{self._name}: a record after `next` or `end`")
        if isinstance(record, SegmentHead):
            self._head = record
        elif isinstance(record, Next | End):
            self._last = record
        else:
            self._place(record)

    def _place(self, record: Record) -> None:
        if isinstance(record, Start):
            if self._epoch != 0 or self._start is not None:
                raise FormatError(f"{self._name}: `start` occurs once, in segment 0")
            self._start = record
        self._on_record(self._epoch, record)

    def _ending(self) -> str:
        try:
            self._splitter.close()
        except FormatError as error:
            return str(error)
        if self._last is None:
            return f"{self._name}: ends neither with `next` nor with `end`"
        if self._epoch == 0 and self._start is None:
            return f"{self._name}: has no `start` record"
        return ""


@dataclass(frozen=True, slots=True)
class JournalReport:
    """What holds of a journal.

    Attributes:
        proved: number of segments from 0 whose signature holds and whose key was announced.
        problems: epoch and reason of everything that does not hold, in order of epochs.
        end: the `end` record of a proved last segment; None: the journal is open.
        segments: number of segments seen.
        last_sha256: SHA-256 of the last segment; empty without segments.
    """

    proved: int
    problems: tuple[tuple[int, str], ...]
    end: End | None
    segments: int
    start: Start | None
    first_key_sha256: str
    last_sha256: str


class JournalCheck:
    """Collects segments, keys and signatures, and judges the chain they make."""

    def __init__(self, bundle_id: str | None = None) -> None:
        self.bundle_id = bundle_id
        self.segments: dict[int, Segment] = {}
        self._keys: dict[int, bytes] = {}
        self._signatures: dict[int, bytes] = {}

    def add_segment(self, segment: Segment) -> None:
        """Take one segment."""
        self.segments[segment.epoch] = segment

    def add_key(self, epoch: int, pem: bytes) -> None:
        """Take the bytes of `<n>.pub`."""
        self._keys[epoch] = pem

    def add_signature(self, epoch: int, der: bytes) -> None:
        """Take the bytes of `<n>.sig`."""
        self._signatures[epoch] = der

    def finish(self) -> JournalReport:
        """Return what holds of all that was taken."""
        proved, problems = 0, []
        known = sorted({*self.segments, *self._keys, *self._signatures})
        for epoch in known:
            reason = self._problem(epoch, proved)
            if reason:
                problems.append((epoch, reason))
            elif proved == epoch:
                proved += 1
        last = self.segments[max(self.segments)] if self.segments else None
        closed = last is not None and proved == last.epoch + 1 and isinstance(last.last, End)
        first = self.segments.get(0)
        return JournalReport(
            proved=proved,
            problems=tuple(problems),
            end=last.last if closed and last and isinstance(last.last, End) else None,
            segments=len(self.segments),
            start=first.start if first else None,
            first_key_sha256=sha256(self._keys[0]).hexdigest() if 0 in self._keys else "",
            last_sha256=last.sha256 if last else "",
        )

    def _problem(self, epoch: int, proved: int) -> str:
        segment, pem = self.segments.get(epoch), self._keys.get(epoch)
        signature = self._signatures.get(epoch)
        name = f"{epoch:06d}"
        if segment is None or pem is None or signature is None:
            parts = ((segment, "jsonl"), (pem, "pub"), (signature, "sig"))
            return "absent: " + ", ".join(f"{name}.{end}" for part, end in parts if part is None)
        if segment.problem:
            return segment.problem
        if not is_signed(pem, signature, segment.sha256):
            return f"{name}.sig: the key in {name}.pub did not make it over {name}.jsonl"
        return self._chain_problem(segment, pem, proved)

    def _chain_problem(self, segment: Segment, pem: bytes, proved: int) -> str:
        """Return why the segment does not follow from the one before it."""
        epoch, head, key = segment.epoch, segment.head, sha256(pem).hexdigest()
        name, earlier = f"{epoch:06d}", f"{epoch - 1:06d}"
        if head is None or head.epoch != epoch:
            return f"{name}.jsonl: its first record has another epoch"
        before = self.segments.get(epoch - 1)
        announced = before.last if before is not None else None
        rules = (
            (self.bundle_id in {None, head.bundle}, f"{name}.jsonl: belongs to another bundle"),
            (head.key == key, f"{name}.jsonl: names another key than {name}.pub"),
            (proved >= epoch, f"{name}: follows a segment that is absent or not proved"),
            (
                head.previous == (before.sha256 if before is not None else None),
                f"{name}.jsonl: does not follow {earlier}.jsonl as it lies here",
            ),
            (
                epoch == 0 or (isinstance(announced, Next) and announced.key == key),
                f"{name}.pub: is not the key that {earlier}.jsonl announced",
            ),
        )
        return next((text for holds, text in rules if not holds), "")


def is_signed(pem: bytes, signature: bytes, digest: str) -> bool:
    """Return whether the P-256 key made the signature over the segment with this SHA-256 (64 hexadecimal digits)."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return False
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return False
    try:
        key.verify(signature, bytes.fromhex(digest), _PREHASHED)
    except InvalidSignature:
        return False
    return True
