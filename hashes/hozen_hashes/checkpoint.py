"""Checkpoints (C2SP tlog-checkpoint): a signed note that states origin, size and root of a log."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes.errors import FormatError, SignatureError
from hozen_hashes.merkle import EMPTY_ROOT, HASH_SIZE, MAX_TREE_SIZE
from hozen_hashes.note import (
    Note,
    SigningKey,
    VerifiedNote,
    VerifierKey,
    decode_base64,
    parse_note,
    sign_note,
    verify_note,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ORIGIN_BYTES = 256
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log was at one moment: its name, how many leaves, the root over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note text; `parse_checkpoint_text` gives back an equal checkpoint."""
        root = base64.b64encode(self.root).decode()
        return "\n".join((self.origin, str(self.size), root, *self.extensions)) + "\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint that a known key of its log has signed."""

    checkpoint: Checkpoint
    note: Note
    signers: tuple[VerifierKey, ...]


def parse_decimal(text: str, what: str) -> int:
    """Return a decimal number without leading zeroes, at most 2^63 - 1.

    Raises:
        FormatError: another spelling, or beyond that.
    """
    if _DECIMAL.fullmatch(text) is None or int(text) > MAX_TREE_SIZE:
        raise FormatError(f"{what}: {text[:40]!r} is not a decimal number below 2^63")
    return int(text)


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Return the checkpoint in a note's text; it is only as true as the note's signatures.

    Raises:
        FormatError: not three or more non-empty lines of origin, size, root, extensions.
    """
    lines = text.split("\n")
    if lines.pop() or len(lines) < 3 or not all(lines):  # noqa: PLR2004
        raise FormatError("checkpoint: not three non-empty lines")
    origin, size, root, *extensions = lines
    if len(origin.encode()) > MAX_ORIGIN_BYTES:
        raise FormatError("checkpoint: the origin is too long")
    found = Checkpoint(
        origin,
        parse_decimal(size, "checkpoint size"),
        decode_base64(root, "checkpoint root"),
        tuple(extensions),
    )
    if len(found.root) != HASH_SIZE or (found.size == 0 and found.root != EMPTY_ROOT):
        raise FormatError("checkpoint: the root is not that of a SHA-256 tree of this size")
    return found


def read_checkpoint(data: bytes) -> tuple[Checkpoint, Note]:
    """Return checkpoint and note taken apart, no signature checked.

    Raises:
        FormatError, LimitError: not a note that holds a checkpoint.
    """
    note = parse_note(data)
    return parse_checkpoint_text(note.text), note


def sign_checkpoint(checkpoint: Checkpoint, keys: Iterable[SigningKey]) -> bytes:
    """Return the signed note of `checkpoint`.

    Whoever calls has made sure that it is consistent with every checkpoint signed before.

    Raises:
        FormatError: the checkpoint's fields make no checkpoint.
        UsageError: no key.
    """
    if parse_checkpoint_text(checkpoint.text) != checkpoint:
        raise FormatError("checkpoint: a field that would be read back as another")
    return sign_note(checkpoint.text, keys)


def verify_checkpoint(data: bytes, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    """Return the checkpoint when a key of `keys` named like its origin has signed it.

    Keys of other names (witnesses) are checked and reported, yet do not stand for the log.

    Raises:
        FormatError, LimitError: not a note that holds a checkpoint.
        SignatureError: the log's key did not sign, or a known key's signature does not hold.
    """
    checkpoint, note = read_checkpoint(data)
    verified: VerifiedNote = verify_note(note, keys)
    if all(key.name != checkpoint.origin for key in verified.signers):
        raise SignatureError(f"checkpoint: no known key of the log {checkpoint.origin!r} signed it")
    return SignedCheckpoint(checkpoint, note, verified.signers)
