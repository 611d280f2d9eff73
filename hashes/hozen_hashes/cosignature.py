"""Cosignatures of witnesses over checkpoints (C2SP tlog-cosignature, Ed25519, `cosignature/v1`).

A witness states: at this time the largest tree that I have seen of this log, and that only added to what I saw before,
has this root. The time is a claim of a third party. A witness adds to the log's own signature and never replaces it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hozen_hashes.errors import FormatError, LimitError, SignatureError
from hozen_hashes.note import Note, NoteSignature, check_key_name, decode_base64

if TYPE_CHECKING:
    from collections.abc import Sequence

COSIGNATURE_V1: Final = 0x04  # signature type identifier
MAX_TIME: Final = 2**63 - 1
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64
_MAX_LINE: Final = 512
_PREFIX: Final = "PRIVATE+KEY+"
_KEY_LINE: Final = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's public key with its name, as in a vkey line of type 0x04."""

    name: str
    public_bytes: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before each cosignature of this key."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._typed).digest()[:_ID_BYTES]

    @property
    def line(self) -> bytes:
        """The vkey line with its line end: the content of `witness.vkey`."""
        return (
            f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self._typed).decode()}\n".encode()
        )

    @property
    def sha256(self) -> str:
        """The fingerprint: SHA-256 of `line`, what `sha256sum witness.vkey` prints."""
        return hashlib.sha256(self.line).hexdigest()

    def verify(self, text: str, signature: bytes) -> int:
        """Return the time, in seconds since 1970, at which this key cosigned the note text.

        Raises:
            SignatureError: it did not.
        """
        if len(signature) != _TIME_BYTES + _SIGNATURE_BYTES:
            raise _does_not_hold(self.name)
        seconds = int.from_bytes(signature[:_TIME_BYTES], "big")
        try:
            public = Ed25519PublicKey.from_public_bytes(self.public_bytes)
            public.verify(signature[_TIME_BYTES:], _message(text, seconds))
        except (InvalidSignature, ValueError):
            raise _does_not_hold(self.name) from None
        if seconds > MAX_TIME:
            raise _does_not_hold(self.name)
        return seconds

    @property
    def _typed(self) -> bytes:
        return bytes([COSIGNATURE_V1]) + self.public_bytes


class WitnessSigner:
    """A witness's private key; `encode` is the only way its secret leaves."""

    __slots__ = ("_private", "key")

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        check_key_name(name)
        self._private = private
        self.key = WitnessKey(name, private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> WitnessSigner:
        """Return a new key called `name`; FormatError where that cannot be a key's name."""
        return cls(name, Ed25519PrivateKey.generate())

    def cosign(self, text: str, seconds: int) -> NoteSignature:
        """Return the cosignature over a checkpoint's text at a POSIX time.

        Raises:
            FormatError: the time is not between 0 and 2^63 - 1.
        """
        if not 0 <= seconds <= MAX_TIME:
            raise FormatError("cosignature: the time is out of range")
        signed = self._private.sign(_message(text, seconds))
        time = seconds.to_bytes(_TIME_BYTES, "big")
        return NoteSignature(self.key.name, self.key.key_id, time + signed)

    def encode(self) -> bytes:
        """Return the secret line `PRIVATE+KEY+name+id+base64`, of type 0x04."""
        raw = bytes([COSIGNATURE_V1]) + self._private.private_bytes_raw()
        secret = base64.b64encode(raw).decode()
        return f"{_PREFIX}{self.key.name}+{self.key.key_id.hex()}+{secret}\n".encode()

    @classmethod
    def parse(cls, line: bytes) -> WitnessSigner:
        """Return the key in a secret line; FormatError where it is none, without quoting it."""
        if not line.startswith(_PREFIX.encode()):
            raise FormatError("witness signing key: not one")
        name, key_id, raw = _take_apart(line[len(_PREFIX) :], "witness signing key")
        signer = cls(name, Ed25519PrivateKey.from_private_bytes(raw))
        if signer.key.key_id != key_id:
            raise FormatError("witness signing key: the key id does not belong to the key")
        return signer


@dataclass(frozen=True, slots=True)
class Cosigned:
    """One cosignature that holds: by whom, and the POSIX time that the witness claims."""

    key: WitnessKey
    seconds: int


def parse_witness_vkey(line: bytes) -> WitnessKey:
    """Return the key in a vkey line of type 0x04, with or without its line end.

    Raises:
        FormatError: not a vkey of a witness, or the key id does not belong to name and key.
    """
    name, key_id, raw = _take_apart(line, "witness vkey")
    key = WitnessKey(name, raw)
    if key.key_id != key_id:
        raise FormatError("witness vkey: the key id does not belong to name and key")
    return key


def verify_cosignatures(note: Note, keys: Sequence[WitnessKey]) -> tuple[Cosigned, ...]:
    """Return which of `keys` cosigned the note, each once with the earliest of its times, in the order of `keys`.

    Signature lines of other keys are passed over. What counts as a witness is the public key: Ed25519 cosignatures
    do not commit to a name, so that one key under two names is one witness.

    Raises:
        SignatureError: the cosignature of one of `keys` does not hold.
    """
    found: dict[bytes, Cosigned] = {}
    for key in keys:
        for line in note.signatures:
            if (line.name, line.key_id) != (key.name, key.key_id):
                continue
            seconds = key.verify(note.text, line.signature)
            before = found.get(key.public_bytes)
            if before is None or seconds < before.seconds:
                found[key.public_bytes] = Cosigned(key, seconds)
    return tuple(found.values())


def _message(text: str, seconds: int) -> bytes:
    """Return what a v1 cosignature signs: header, time, and the note text with its last line end."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _take_apart(line: bytes, what: str) -> tuple[str, bytes, bytes]:
    """Return name, key id and key bytes of a key line of type 0x04."""
    if len(line) > _MAX_LINE:
        raise LimitError(f"{what}: too long")
    try:
        match = _KEY_LINE.fullmatch(line.removesuffix(b"\n").decode())
    except UnicodeDecodeError:
        match = None
    if match is None:
        raise FormatError(f"{what}: not of the form name+id+key")
    raw = decode_base64(match[3], what)
    if len(raw) != 1 + _KEY_BYTES or raw[0] != COSIGNATURE_V1:
        raise FormatError(f"{what}: not an Ed25519 cosignature key (type 0x04)")
    return check_key_name(match[1]), bytes.fromhex(match[2]), raw[1:]


def _does_not_hold(name: str) -> SignatureError:
    return SignatureError(f"checkpoint: the cosignature of the witness {name!r} does not hold")
