"""Writes one bundle, front to back, so that whatever is on the medium at any moment can be proved (bundle-v1 §4–§6).

Durability order of an epoch: container bytes, then the segment that names them, then the directory that lists it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from hozen_hashes import bag
from hozen_hashes.cms import sign_detached
from hozen_hashes.digest import Digest, sha256_hex
from hozen_hashes.errors import InternalError
from hozen_hashes.journal import Journal, Segment
from hozen_hashes.jsonl import dump_line
from hozen_hashes.records import CSV_HEADER, ItemRecord
from hozen_hashes.zipstream import ZipMember, ZipStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from typing import BinaryIO

    from hozen_hashes.identity import Signer

    Buffer = bytes | bytearray | memoryview

SIGNATURE_PATH = "signatures/agent.p7s"
_MAX_ITEMS_AN_EPOCH = 2048  # bounds what the lists of an epoch hold in memory


class Sink(Protocol):
    """Takes the container's bytes, in order."""

    def write(self, data: Buffer) -> None:
        """Append `data`; CannotWriteError when the medium refuses."""

    def sync(self) -> None:
        """Return when everything written is durable."""


class Sidecar(Protocol):
    """Keeps the journal beside the container while the capture runs."""

    def put(self, segment: Segment, files: bytes) -> None:
        """Make one segment and its `files` lines durable, then the directory that lists them."""

    def put_start(self, segment: Segment, start_p7s: bytes) -> None:
        """Make segment 0 and the identity's signature over it durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLimits:
    """When an epoch closes: seconds after its first record, payload bytes, whichever is first."""

    seconds: float = 2.0
    payload: int = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a finished bundle is known by.

    Attributes:
        seal: SHA-256 of `tagmanifest-sha256.txt`, hexadecimal.
        signature: bytes of `signatures/agent.p7s`.
    """

    seal: str
    signature: bytes
    items: int
    payload_files: int
    payload_bytes: int
    segments: int


class Payload:
    """One payload file while its bytes arrive; closed by BundleWriter.finish_item."""

    __slots__ = ("_member", "_owner", "digest", "item", "path")

    def __init__(self, owner: BundleWriter, member: ZipMember, path: str, item: int) -> None:
        self._owner = owner
        self._member = member
        self.digest = Digest()
        self.path = path
        self.item = item

    def write(self, data: Buffer) -> None:
        """Append `data` to the payload file; may close the epoch around it."""
        self.digest.update(data)
        self._member.write(data)
        self._owner._grew(len(data))  # noqa: SLF001 - one mechanism in two classes

    def flush(self) -> None:
        """Bring everything written so far into the container in decodable form."""
        self._member.flush()

    def close(self) -> None:
        """End the ZIP member."""
        self._member.close()


class BundleWriter:
    """The only way a bundle comes into being: begin, items, finish."""

    def __init__(
        self,
        bundle_id: str,
        *,
        sink: Sink,
        sidecar: Sidecar,
        now: Callable[[], tuple[int, int]],
        epoch: EpochLimits | None = None,
        spill: Callable[[], BinaryIO] | None = None,
    ) -> None:
        """Prepare; nothing is written yet.

        Args:
            bundle_id: becomes the top directory's name.
            sink: takes the container.
            sidecar: keeps the running journal.
            now: (wall, monotonic) in nanoseconds.
            epoch: when epochs close.
            spill: gives temporary files for long lists; None keeps them in memory.
        """
        self.bundle_id = bundle_id
        self.journal = Journal(bundle_id, now=now)
        self.items = 0
        self.payload_files = 0
        self.payload_bytes = 0
        self.first_segment = b""
        self._sink = sink
        self._sidecar = sidecar
        self._limits = epoch or EpochLimits()
        self._zip = ZipStream(sink.write, spill=spill)
        self._manifest = bag.ManifestSpool(spill=spill)
        self._tags: list[tuple[str, str]] = []
        self._queue: list[tuple[str, Buffer]] = []
        self._files = bytearray()
        self._csv = bytearray(CSV_HEADER)
        self._open: Payload | None = None
        self._epoch_bytes = 0
        self._epoch_items = 0
        self._epoch_began: float | None = None

    # -- beginning ------------------------------------------------------------------------------------------------

    def begin(
        self,
        start: Mapping[str, object],
        *,
        readme: bytes,
        plan: bytes,
        signer: Signer,
        signing_time: datetime,
    ) -> bytes:
        """Sign what is about to be done, durably, before anything else is read; return `start.p7s`."""
        self._tag("bagit.txt", bag.BAGIT_TXT)
        self._tag("README-VERIFY.txt", readme)
        self.journal.add(start)
        segment = self.journal.close_epoch()
        self.first_segment = segment.text
        start_p7s = sign_detached(sha256(segment.text).digest(), signer, signing_time)
        self._sink.sync()
        self._sidecar.put_start(segment, start_p7s)
        self._queue_segment(segment)
        self._queue.append(("hozen/start.p7s", start_p7s))
        self._drain()
        for path, data in (("bagit.txt", bag.BAGIT_TXT), ("README-VERIFY.txt", readme)):
            self._journal_member(path, len(data), sha256_hex(data))
        self.add_tag("hozen/plan.json", plan)
        return start_p7s

    def add_tag(self, path: str, data: bytes) -> None:
        """Put a tag file into the container and name it in the journal."""
        self._tag(path, data)
        self._journal_member(path, len(data), sha256_hex(data))

    def note(self, record: Mapping[str, object]) -> None:
        """Enter a journal record that is not an item (`note`, `command`, `case`, `volume`)."""
        self._touch()
        self.journal.add(record)

    # -- items ----------------------------------------------------------------------------------------------------

    def open_payload(self, path: str, item: int, *, expected: int = 0) -> Payload:
        """Begin the payload file `path` of attempt `item`, of probably `expected` bytes.

        Raises:
            InternalError: another payload file is still open.
        """
        if self._open is not None:
            raise InternalError("a payload file is still open")
        self._touch()
        member = self._zip.open(f"{self.bundle_id}/{path}", expected=expected)
        self._open = Payload(self, member, path, item)
        return self._open

    def add_payload(self, path: str, data: Buffer) -> str:
        """Put a whole small payload file into the container; return its SHA-256."""
        self._zip.add(f"{self.bundle_id}/{path}", data)
        digest = sha256_hex(data)
        self._enter_payload(path, digest, len(data))
        return digest

    def close_payload(self, payload: Payload) -> str:
        """End the open payload file; return its SHA-256."""
        payload.close()
        self._open = None
        digest = payload.digest.hexdigest()
        self._enter_payload(payload.path, digest, payload.digest.size, counted=True)
        return digest

    def finish_item(self, record: ItemRecord) -> None:
        """Enter one attempt's outcome in the files list, the table for people and the journal."""
        line = record.json_line()
        self.items += 1
        self._epoch_items += 1
        self._files += line
        self._csv += record.csv_line()
        self.journal.add_line(record.journal_line(line))
        self._touch()
        self.tick()

    def tick(self) -> None:
        """Close the epoch when its time, size or count is reached; call it also while waiting."""
        began = self._epoch_began
        if began is not None and (
            self._epoch_bytes >= self._limits.payload
            or self._epoch_items >= _MAX_ITEMS_AN_EPOCH
            or time.monotonic() - began >= self._limits.seconds
        ):
            self.close_epoch()

    def close_epoch(self) -> None:
        """Make everything so far durable and provable, also in the middle of a payload file."""
        if self._epoch_began is None:
            return
        if self._open is not None:
            self._prefix(self._open)
        files = self._flush_lists()
        segment = self.journal.close_epoch()
        self._settle(segment, files)

    # -- the end --------------------------------------------------------------------------------------------------

    def finish(
        self,
        *,
        reason: str,
        detail: str,
        bundle_json: Callable[[BundleWriter], Mapping[str, object]],
        bag_info: Mapping[str, str],
        signer: Signer,
        signing_time: datetime,
    ) -> Sealed:
        """End the journal, write the manifests, seal, and end the container.

        Raises:
            InternalError: a payload file is still open.
            CannotWriteError: the medium refused.
        """
        if self._open is not None:
            raise InternalError("a payload file is still open")
        files = self._flush_lists()
        self._settle(self.journal.end(reason=reason, items=self.items, detail=detail), files)
        self._tag("hozen/bundle.json", dump_line(bundle_json(self)))
        oxum = ("Payload-Oxum", f"{self.payload_bytes}.{self.payload_files}")
        self._tag("bag-info.txt", bag.bag_info([*bag_info.items(), oxum]))
        self._write_manifest()
        tagmanifest = b"".join(
            bag.manifest_line(digest, path) for path, digest in sorted(self._tags)
        )
        signature = sign_detached(sha256(tagmanifest).digest(), signer, signing_time)
        self._zip.add(f"{self.bundle_id}/tagmanifest-sha256.txt", tagmanifest)
        self._zip.add(f"{self.bundle_id}/{SIGNATURE_PATH}", signature)
        self._zip.finish()
        self._sink.sync()
        self.close()
        return Sealed(
            seal=sha256_hex(tagmanifest),
            signature=signature,
            items=self.items,
            payload_files=self.payload_files,
            payload_bytes=self.payload_bytes,
            segments=self.journal.epoch + 1,
        )

    def close(self) -> None:
        """Give back the temporary files; called by `finish`, and by whoever ends without it."""
        self._zip.close()
        self._manifest.close()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _grew(self, count: int) -> None:
        self._touch()
        self._epoch_bytes += count
        self.payload_bytes += count
        self.tick()

    def _touch(self) -> None:
        if self._epoch_began is None:
            self._epoch_began = time.monotonic()

    def _enter_payload(self, path: str, digest: str, size: int, *, counted: bool = False) -> None:
        self._touch()
        self._manifest.add(path, digest)
        self.payload_files += 1
        if not counted:
            self._epoch_bytes += size
            self.payload_bytes += size

    def _tag(self, path: str, data: Buffer) -> None:
        self._zip.add(f"{self.bundle_id}/{path}", data)
        self._tags.append((path, sha256_hex(data)))

    def _journal_member(self, path: str, size: int, digest: str) -> None:
        self._touch()
        self.journal.add({"type": "member", "path": path, "size": str(size), "sha256": digest})

    def _prefix(self, payload: Payload) -> None:
        payload.flush()
        self.journal.add(
            {
                "type": "prefix",
                "item": payload.item,
                "path": payload.path,
                "bytes": str(payload.digest.size),
                "sha256": payload.digest.hexdigest(),
            }
        )

    def _flush_lists(self) -> bytes:
        """Queue this epoch's `files` and `items` lists for the container; return the `files` bytes."""
        if not self._files:
            return b""
        files = bytes(self._files)
        stem = f"{self.journal.epoch:06d}"
        for path, data in (
            (f"hozen/files/{stem}.jsonl", files),
            (f"hozen/items/{stem}.csv", self._csv),
        ):
            self._queue.append((path, data))
            self._journal_member(path, len(data), sha256_hex(data))
        self._files = bytearray()
        self._csv = bytearray(CSV_HEADER)
        return files

    def _settle(self, segment: Segment, files: bytes) -> None:
        self._sink.sync()
        self._sidecar.put(segment, files)
        self._queue_segment(segment)
        if self._open is None:
            self._drain()
        self._epoch_bytes = self._epoch_items = 0
        self._epoch_began = None

    def _queue_segment(self, segment: Segment) -> None:
        for ending, data in (
            ("jsonl", segment.text),
            ("sig", segment.signature),
            ("pub", segment.public),
        ):
            self._queue.append((f"hozen/journal/{segment.stem}.{ending}", data))

    def _drain(self) -> None:
        for path, data in self._queue:
            self._tag(path, data)
        self._queue.clear()

    def _write_manifest(self) -> None:
        digest = Digest()
        member = self._zip.open(f"{self.bundle_id}/manifest-sha256.txt")
        for chunk in self._manifest.chunks():
            digest.update(chunk)
            member.write(chunk)
        member.close()
        self._tags.append(("manifest-sha256.txt", digest.hexdigest()))
