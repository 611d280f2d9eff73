"""Custody events beside a bundle: numbered, signed, each naming the one before (bundle-v1 §10, law §5.3, M10).

An event is never changed: a correction is a new event that names the old one. The signature is written before the
event it belongs to, so that a crash leaves no event without one. Attachments lie in `attachments/` by their SHA-256.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from hozen_agent.sending import proofs
from hozen_hashes import newfile
from hozen_hashes.cms import sign_detached
from hozen_hashes.errors import (
    BadDataError,
    CannotWriteError,
    FormatError,
    LimitError,
    NotVerifiableError,
    UsageError,
)
from hozen_hashes.jsonl import dump_line, parse_object
from hozen_hashes.names import percent_encode, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hozen_hashes.identity import Signer

FORMAT: Final = "hozen-custody/1"
TYPES: Final = (
    "ACQUIRE", "SEAL", "VERIFY", "TIMESTAMP", "COPY", "TRANSFER_OUT", "TRANSFER_IN", "STORE", "ACCESS", "CHECKOUT",
    "RETURN", "ANALYSE", "REDACT", "PRODUCE", "HOLD_SET", "HOLD_RELEASE", "EXCEPTION", "CORRECT", "DISPOSE",
    "ISOLATE", "PHOTO", "NOTE",
)  # fmt: skip
"""Law §5.3, and the three that `hozen note` writes by itself: isolated 隔離, photographed 撮影, noted 覚書."""

MAX_ATTACHMENT: Final = 32 << 20
MAX_EVENT: Final = 64 << 10
MAX_TEXT: Final = 8000
FOLDER: Final = "custody"
ATTACHMENTS: Final = "attachments"
_MEDIA: Final = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".heic": "image/heic", ".webp": "image/webp",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".pdf": "application/pdf", ".txt": "text/plain",
    ".mp4": "video/mp4", ".mov": "video/quicktime",
}  # fmt: skip
_EVENT: Final = re.compile(r"([0-9]{6})\.json")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a person states about an event (law §5.3); empty where nothing was said.

    Attributes:
        happened: when it happened, nanoseconds since 1970, as stated; None: now.
        items: what it is about, when not the whole bundle: item numbers.
        handed_from, handed_to: name, organisation, position, contact, as one text each.
        seal_before, seal_after: the state of the physical or digital seal.
        corrects: number of the event that this one corrects.
        by: who did it or wrote it down.
    """

    type: str = "NOTE"
    text: str = ""
    by: str = ""
    happened: int | None = None
    items: tuple[str, ...] = ()
    handed_from: str = ""
    handed_to: str = ""
    place: str = ""
    reason: str = ""
    authority: str = ""
    method: str = ""
    seal_before: str = ""
    seal_after: str = ""
    condition: str = ""
    corrects: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The bundle that an event is about, as far as it is known here."""

    bundle_id: str
    seal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A stored event: `name` is its number in six digits; attachments by SHA-256."""

    name: str
    data: bytes
    signature: bytes
    attachments: Mapping[str, bytes]


def add_event(
    folder: Path, target: Target, details: Details, signer: Signer, *, photos: Sequence[Path] = ()
) -> Event:
    """Return the new event, signed, durable, and linked to the one before it.

    Args:
        folder: `<id>.proofs/`, made when it is not there.
        target: what it is about.
        details: what is stated.
        signer: who signs.
        photos: files that are kept with it, byte for byte.

    Raises:
        UsageError: a photo cannot be read, or a text is too long.
        LimitError: a photo of more than 32 MiB.
        CannotWriteError: the medium refuses; the chain is as it was.
    """
    attachments = [_read_photo(path) for path in photos]
    place = folder / FOLDER
    proofs.make_directory(place)
    with _alone(place):
        numbers = _numbers(place)
        number = numbers[-1] + 1 if numbers else 1
        before = _bytes(place / f"{numbers[-1]:06d}.json") if numbers else None
        record = _record(number, before, target, details, [words for words, _ in attachments])
        data = dump_line(record)
        if len(data) > MAX_EVENT:
            raise UsageError("the event is too long", hint="Put long texts into an attached file.")
        digest = hashlib.sha256(data).digest()
        signature = sign_detached(digest, signer, datetime.now(UTC).replace(microsecond=0))
        kept = {words["sha256"]: content for words, content in attachments}
        _keep_attachments(folder, kept)
        name = f"{number:06d}"
        newfile.replace(place / f"{name}.p7s", signature)
        newfile.write_new(place / f"{name}.json", data)
    return Event(name=name, data=data, signature=signature, attachments=kept)


def read_events(folder: Path) -> Iterator[Event]:
    """Yield the events beside a bundle in their order, with their attachments.

    Raises:
        FormatError: a number is missing, or an event has no signature or attachment.
        NotVerifiableError: a file cannot be read.
    """
    place = folder / FOLDER
    numbers = _numbers(place)
    if numbers != list(range(1, len(numbers) + 1)):
        raise FormatError(
            f"{place}: an event is missing", hint="Look for the other copy of this directory."
        )
    for number in numbers:
        data = _bytes(place / f"{number:06d}.json")
        signature = _bytes(place / f"{number:06d}.p7s")
        kept = {digest: _attachment(folder, digest) for digest in _named(data)}
        yield Event(name=f"{number:06d}", data=data, signature=signature, attachments=kept)


def _record(
    number: int,
    before: bytes | None,
    target: Target,
    details: Details,
    attachments: list[dict[str, str]],
) -> dict[str, object]:
    moment = time.time_ns()
    local = datetime.fromtimestamp(moment // 10**9, UTC).astimezone()
    words = asdict(details)
    happened = words.pop("happened")
    long = [
        name for name, value in words.items() if isinstance(value, str) and len(value) > MAX_TEXT
    ]
    if long:
        raise UsageError(f"{long[0]} is longer than {MAX_TEXT} characters")
    return {
        "format": FORMAT,
        "event_no": number,
        "previous": hashlib.sha256(before).hexdigest() if before is not None else None,
        "bundle": target.bundle_id,
        "seal": target.seal,
        "time_utc": rfc3339(moment),
        "time_local": local.isoformat(),
        "happened": rfc3339(happened) if happened is not None else None,
        **{name: value or None for name, value in words.items()},
        "attachments": attachments,
    }


def _read_photo(path: Path) -> tuple[dict[str, str], bytes]:
    """Return what the event says of a file, and its bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ATTACHMENT + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_ATTACHMENT:
        raise LimitError(f"{path.name} is larger than {MAX_ATTACHMENT >> 20} MiB")
    words = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": str(len(data)),
        "name": percent_encode(os.fsencode(path.name)),
        "media": _MEDIA.get(path.suffix.lower(), "application/octet-stream"),
    }
    return words, data


def _keep_attachments(folder: Path, attachments: Mapping[str, bytes]) -> None:
    if attachments:
        proofs.make_directory(folder / ATTACHMENTS)
    for digest, data in attachments.items():
        newfile.replace(folder / ATTACHMENTS / digest, data)


def _attachment(folder: Path, digest: str) -> bytes:
    data = _bytes(folder / ATTACHMENTS / digest)
    if hashlib.sha256(data).hexdigest() != digest:
        raise FormatError(f"the attachment {digest[:16]}… was changed")
    return data


def _named(data: bytes) -> list[str]:
    """Return the digests of the attachments that an event names."""
    try:
        found = parse_object(data, what="custody event", max_bytes=MAX_EVENT).get("attachments")
    except BadDataError:
        return []  # the collector judges
    listed = (
        [one.get("sha256") for one in found if isinstance(one, dict)]
        if isinstance(found, list)
        else []
    )
    return [one for one in listed if isinstance(one, str) and _DIGEST.fullmatch(one)]


def _numbers(place: Path) -> list[int]:
    """Return the numbers of the events that are there."""
    try:
        entries = os.listdir(place)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotVerifiableError(f"cannot read {place}: {error.strerror}") from None
    return sorted(int(match[1]) for name in entries if (match := _EVENT.fullmatch(name)))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_ATTACHMENT + 1)
    except FileNotFoundError:
        raise FormatError(f"{path.name} is missing") from None
    except OSError as error:
        raise NotVerifiableError(f"cannot read {path}: {error.strerror}") from None


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the directory, so that two notes at once get two numbers."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotWriteError(f"cannot use {place}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
