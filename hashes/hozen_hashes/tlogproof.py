"""The offline proof that a leaf is in a log (C2SP tlog-proof@v1): index, path and checkpoint."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    parse_decimal,
    read_checkpoint,
    verify_checkpoint,
)
from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.merkle import HASH_SIZE, MAX_PROOF, verify_inclusion
from hozen_hashes.note import MAX_NOTE_BYTES, VerifierKey, decode_base64

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = "c2sp.org/tlog-proof@v1"
MAX_EXTRA_BYTES = 64 * 1024
_MAX_HEAD_BYTES = 2 * MAX_EXTRA_BYTES
MAX_PROOF_BYTES = _MAX_HEAD_BYTES + MAX_NOTE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """A proof taken apart: the leaf's place, its path to the root, and the checkpoint's note."""

    index: int
    path: tuple[bytes, ...]
    note: bytes
    extra: bytes = b""

    def encode(self) -> bytes:
        """Return the proof's bytes; `parse_proof` gives back an equal proof."""
        lines = [HEADER]
        if self.extra:
            lines.append("extra " + base64.b64encode(self.extra).decode())
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(value).decode() for value in self.path]
        return "\n".join(lines).encode() + b"\n\n" + self.note

    @property
    def claimed(self) -> Checkpoint:
        """The checkpoint as it stands in the note, no signature checked."""
        return read_checkpoint(self.note)[0]


def parse_proof(data: bytes) -> TlogProof:
    """Return the proof in `data`; what parses encodes back to the same bytes.

    Raises:
        FormatError: it is not a proof in the strict form, or its note holds no checkpoint.
        LimitError: it is larger than 640 KiB.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise LimitError(f"proof: longer than {MAX_PROOF_BYTES} bytes")
    head, blank, note = data.partition(b"\n\n")
    if not blank or not head.isascii():
        raise FormatError("proof: no blank line before the checkpoint")
    lines = head.decode("ascii").split("\n")
    if lines.pop(0) != HEADER:
        raise FormatError(f"proof: the first line is not {HEADER}")
    extra = _take_extra(lines)
    if not lines or not lines[0].startswith("index "):
        raise FormatError("proof: no index line")
    index = parse_decimal(lines.pop(0).removeprefix("index "), "proof index")
    read_checkpoint(note)
    return TlogProof(index=index, path=_parse_path(lines), note=note, extra=extra)


def verify_proof(proof: TlogProof, leaf: bytes, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    """Return the checkpoint when it is signed and holds the leaf hash `leaf` at the proof's index.

    Raises:
        SignatureError: the path does not lead to the root, or no known key of the log signed.
        FormatError: the note is not a checkpoint.
    """
    signed = verify_checkpoint(proof.note, keys)
    size, root = signed.checkpoint.size, signed.checkpoint.root
    verify_inclusion(proof.index, size, leaf, proof.path, root)
    return signed


def _take_extra(lines: list[str]) -> bytes:
    """Remove the optional extra line and return its bytes; never empty when the line is there."""
    if not lines or not lines[0].startswith("extra "):
        return b""
    extra = decode_base64(lines.pop(0).removeprefix("extra "), "proof extra")
    if not extra or len(extra) > MAX_EXTRA_BYTES:
        raise FormatError("proof: extra data that is empty or too long")
    return extra


def _parse_path(lines: list[str]) -> tuple[bytes, ...]:
    """Return the hashes of the path."""
    if len(lines) >= MAX_PROOF:
        raise FormatError("proof: more hashes than any tree is high")
    path = tuple(decode_base64(line, "proof hash") for line in lines)
    if any(len(value) != HASH_SIZE for value in path):
        raise FormatError("proof: a hash that is not 32 bytes long")
    return path
