"""What a log sends to a witness and what the witness decides (C2SP tlog-witness, add-checkpoint), without a network.

`decide` gives the new state or the refusal; whoever keeps the state makes it durable before the answer leaves, and does
both under one lock.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_hashes.checkpoint import Checkpoint, parse_checkpoint_text, parse_decimal
from hozen_hashes.errors import FormatError, HozenError, LimitError, SignatureError
from hozen_hashes.merkle import EMPTY_ROOT, HASH_SIZE, verify_consistency
from hozen_hashes.note import Note, decode_base64, parse_note, verify_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hozen_hashes.note import VerifierKey

MAX_PROOF_LINES: Final = 63
MAX_BODY_BYTES: Final = (
    64 * 1024
)  # 63 hashes are 3 KiB, the rest is the checkpoint with its signatures
_MAX_HEAD: Final = 4096
UNKNOWN, UNSIGNED, BAD, CONFLICT, UNPROVED = 404, 403, 400, 409, 422


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """A request taken apart, nothing checked yet.

    Attributes:
        old: the size that the log believes the witness to know.
        proof: the consistency proof from `old`, RFC 6962 §2.1.2.
        checkpoint: as it stands in `note`.
    """

    old: int
    proof: tuple[bytes, ...]
    checkpoint: Checkpoint
    note: Note

    def encode(self) -> bytes:
        """Return the request's bytes; `parse_add_checkpoint` gives back an equal request."""
        return encode_add_checkpoint(self.old, self.proof, self.note.encode())


@dataclass(frozen=True, slots=True)
class Known:
    """What a witness remembers of one log: the newest checkpoint that it cosigned."""

    size: int = 0
    root: bytes = EMPTY_ROOT


class RefusedCheckpointError(HozenError):
    """The witness does not cosign.

    Attributes:
        status: the HTTP status of the answer.
        known: with 409, the size that the witness knows, which is the answer's body.
    """

    exit_code = 65

    def __init__(self, status: int, message: str, *, known: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.known = known


def encode_add_checkpoint(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Return the body of a request."""
    lines = [f"old {old}", *(base64.b64encode(value).decode() for value in proof)]
    return "\n".join(lines).encode() + b"\n\n" + note


def parse_add_checkpoint(data: bytes) -> AddCheckpoint:
    """Return the request in `data`; what parses encodes back to the same bytes.

    Raises:
        FormatError: not of the form of the specification.
        LimitError: larger than 64 KiB, or more than 63 hashes.
    """
    if len(data) > MAX_BODY_BYTES:
        raise LimitError(f"add-checkpoint: longer than {MAX_BODY_BYTES} bytes")
    head, blank, rest = data.partition(b"\n\n")
    if not blank or len(head) > _MAX_HEAD or not head.isascii():
        raise FormatError("add-checkpoint: no blank line before the checkpoint")
    first, *lines = head.decode("ascii").split("\n")
    if not first.startswith("old "):
        raise FormatError("add-checkpoint: the first line is not the old size")
    if len(lines) > MAX_PROOF_LINES:
        raise LimitError(f"add-checkpoint: more than {MAX_PROOF_LINES} hashes")
    proof = tuple(decode_base64(line, "add-checkpoint hash") for line in lines)
    if any(len(value) != HASH_SIZE for value in proof):
        raise FormatError("add-checkpoint: a hash that is not 32 bytes long")
    note = parse_note(rest)
    return AddCheckpoint(
        old=parse_decimal(first.removeprefix("old "), "old size"),
        proof=proof,
        checkpoint=parse_checkpoint_text(note.text),
        note=note,
    )


def decide(request: AddCheckpoint, keys: Sequence[VerifierKey], known: Known) -> Known:
    """Return what the witness knows after cosigning the request's checkpoint.

    Args:
        request: from the log, or from anybody.
        keys: the keys that the witness trusts for the request's origin; none where it does not know the origin.
        known: what it knows of this origin.

    Raises:
        RefusedCheckpointError: with the status that the specification gives to the first rule that is broken.
    """
    new = request.checkpoint
    if not keys:
        raise RefusedCheckpointError(UNKNOWN, "this witness does not know the log")
    _check_signed(request, keys)
    if request.old > new.size:
        raise RefusedCheckpointError(BAD, "the old size is larger than the checkpoint")
    if request.old != known.size:
        text = f"this witness knows {known.size} leaves, not {request.old}"
        raise RefusedCheckpointError(CONFLICT, text, known=known.size)
    if known.size == new.size and known.root != new.root:
        text = f"this witness knows another root of {known.size} leaves"
        raise RefusedCheckpointError(CONFLICT, text, known=known.size)
    try:
        verify_consistency(known.size, known.root, new.size, new.root, request.proof)
    except SignatureError as error:
        raise RefusedCheckpointError(UNPROVED, str(error)) from None
    return Known(new.size, new.root)


def _check_signed(request: AddCheckpoint, keys: Sequence[VerifierKey]) -> None:
    """Refuse what no key of the log has signed; lines of other keys are passed over."""
    try:
        verify_note(request.note, keys)
    except SignatureError as error:
        raise RefusedCheckpointError(UNSIGNED, str(error)) from None
