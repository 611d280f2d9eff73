"""What lies beside a bundle in `<id>.proofs/` (bundle-v1 §10) is written: receipts, and where an upload stands."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hozen_hashes import newfile
from hozen_hashes.errors import BadDataError, CannotWriteError
from hozen_hashes.note import parse_note
from hozen_hashes.proofs import read_receipt
from hozen_hashes.receipt import PROOF_NAME, STATEMENT_NAME
from hozen_hashes.tlogproof import parse_proof

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hozen_hashes.receipt import VerifiedReceipt

RECEIPT: Final = "receipt"
RECEIPTS: Final = "receipts"
_MOST: Final = 256
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HINT: Final = "The collector has the bundle; the same call fetches the receipt again."


def keep_receipt(proofs: Path, files: Mapping[str, bytes], verified: VerifiedReceipt) -> Path:
    """Return the directory that holds this receipt: `receipt/`, or `receipts/…` beside another collector's.

    Raises:
        CannotWriteError: it cannot be written.
    """
    first = proofs / RECEIPT
    text = files[STATEMENT_NAME]
    if _holds(first, text):
        return _completed(first, files)
    if not first.exists():
        return _keep(first, files)
    return _keep(proofs / RECEIPTS / _numbered(verified), files)


def has_event_receipt(proofs: Path, name: str) -> bool:
    """Return whether a custody event has its receipt already."""
    return (_event_place(proofs, name) / STATEMENT_NAME).is_file()


def keep_event_receipt(proofs: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Return the directory that holds the receipt of a custody event; raises CannotWriteError."""
    return _keep(_event_place(proofs, name), files)


def receipts_of(proofs: Path, name: str) -> Iterator[dict[str, bytes]]:
    """Yield the files of each receipt of this name that is kept, the first one first; any collector may have given it.

    Raises:
        LimitError, UsageError: one cannot be read.
    """
    for place in sorted((proofs / RECEIPTS).glob(f"{name}*"))[:_MOST]:
        if (place / STATEMENT_NAME).is_file() and place.name.removeprefix(name)[:1] in ("", "-"):
            yield read_receipt(place)


def keep_named_receipt(
    proofs: Path, name: str, files: Mapping[str, bytes], verified: VerifiedReceipt
) -> Path:
    """Return the directory that holds this receipt: `receipts/<name>`, or beside it when another one is there.

    Raises:
        CannotWriteError: it cannot be written.
    """
    first = proofs / RECEIPTS / name
    if _holds(first, files[STATEMENT_NAME]) or not first.exists():
        return _keep(first, files)
    return _keep(first.with_name(f"{name}-{_numbered(verified)}"), files)


def recall(path: Path) -> str | None:
    """Return the address of an upload that an earlier call began, or None."""
    try:
        return path.read_text("ascii")[:1024].strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def remember(path: Path, location: str) -> None:
    """Keep the address of an upload; without it a later call would only begin anew."""
    with suppress(OSError, CannotWriteError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        newfile.replace(path, location.encode() + b"\n")


def forget(path: Path) -> None:
    """Drop the address of an upload that is settled."""
    with suppress(OSError):
        path.unlink()


def make_directory(path: Path) -> None:
    """Return when the directory is there, durably; raises CannotWriteError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWriteError(f"cannot make {path}: {error.strerror}", hint=_HINT) from None


def _numbered(verified: VerifiedReceipt) -> str:
    """Return a name for a receipt: its log and the number of its leaf."""
    log = re.sub(r"[^A-Za-z0-9.-]+", "-", verified.statement.log).strip("-.")[:60] or "log"
    return f"{log}-{verified.leaf_index}"


def _event_place(proofs: Path, name: str) -> Path:
    return proofs / RECEIPTS / f"custody-{name}"


def _holds(directory: Path, statement: bytes) -> bool:
    try:
        return (directory / STATEMENT_NAME).read_bytes() == statement
    except OSError:
        return False


def _completed(place: Path, files: Mapping[str, bytes]) -> Path:
    """Take the same receipt's proof anew when more witnesses have cosigned its checkpoint since."""
    new = files.get(PROOF_NAME, b"")
    try:
        old = (place / PROOF_NAME).read_bytes()
    except OSError:
        old = b""
    if _signatures(new) > _signatures(old):
        newfile.replace(place / PROOF_NAME, new)
    return place


def _signatures(proof: bytes) -> int:
    """Return how many lines of signatures a proof's checkpoint has; none where it is not readable."""
    try:
        return len(parse_note(parse_proof(proof).note).signatures)
    except BadDataError:
        return 0


def _keep(place: Path, files: Mapping[str, bytes]) -> Path:
    """Write the directory whole or not at all; one that is there already is left as it is."""
    if (place / STATEMENT_NAME).is_file():
        return place
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    make_directory(temporary)
    try:
        for name, data in files.items():
            if _NAME.fullmatch(name):
                newfile.write_new(temporary / name, data)
        temporary.rename(place)
        descriptor = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CannotWriteError(f"cannot write {place}: {error.strerror}", hint=_HINT) from None
    return place
