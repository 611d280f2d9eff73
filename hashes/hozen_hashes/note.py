"""Signed notes with Ed25519 (C2SP signed-note): text, a blank line, one line a signature.

A note's text means nothing until `verify_note` has returned it. Keys that we do not know are
passed over, so that a log can change its key and witnesses can add their names; at least one key
that we do know must have signed, and one that did must have signed rightly.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hozen_hashes.errors import FormatError, LimitError, SignatureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_NOTE_BYTES = 512 * 1024  # room for 64 post-quantum signatures of 5 kB
MAX_SIGNATURES = 64  # the specification asks for at least 16
MAX_NAME_BYTES = 256
ED25519 = 0x01  # signature type identifier
_KEY_BYTES = 32
_ID_BYTES = 4
_MAX_SIGNATURE_TEXT = 16 * 1024
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_SKEY = re.compile(r"PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who says to have signed, and the bytes."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The signature line with its line end."""
        encoded = base64.b64encode(self.key_id + self.signature).decode()
        return f"\N{EM DASH} {self.name} {encoded}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart, nothing checked yet: the text is not to be believed."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """Return the note's bytes; `parse_note` gives back an equal note."""
        return (self.text + "\n" + "".join(s.line for s in self.signatures)).encode()


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name, as in a vkey line."""

    name: str
    public_bytes: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before each signature of this key."""
        typed = bytes([ED25519]) + self.public_bytes
        return hashlib.sha256(self.name.encode() + b"\n" + typed).digest()[:_ID_BYTES]

    @property
    def line(self) -> bytes:
        """The vkey line with its line end: the content of `log.vkey`."""
        typed = base64.b64encode(bytes([ED25519]) + self.public_bytes).decode()
        return f"{self.name}+{self.key_id.hex()}+{typed}\n".encode()

    @property
    def sha256(self) -> str:
        """The fingerprint: SHA-256 of `line`, what `sha256sum log.vkey` prints."""
        return hashlib.sha256(self.line).hexdigest()

    def verify(self, text: bytes, signature: bytes) -> None:
        """Return when `signature` is this key's over `text`.

        Raises:
            SignatureError: it is not.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public_bytes).verify(signature, text)
        except (InvalidSignature, ValueError):
            raise SignatureError(f"note: the signature of {self.name!r} does not hold") from None


class SigningKey:
    """A log's private key; `encode` is the only way its secret leaves."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        check_key_name(name)
        self._private = private
        self.verifier = VerifierKey(name, private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """Return a new key called `name`.

        Raises:
            FormatError: `name` cannot be the name of a key.
        """
        return cls(name, Ed25519PrivateKey.generate())

    def sign(self, text: str) -> NoteSignature:
        """Return this key's signature over the note text.

        Raises:
            UsageError: `text` cannot be the text of a note.
        """
        data = _check_text(text)
        return NoteSignature(self.verifier.name, self.verifier.key_id, self._private.sign(data))

    def encode(self) -> bytes:
        """Return the secret line `PRIVATE+KEY+name+id+base64`, as Go's note package writes it."""
        secret = base64.b64encode(bytes([ED25519]) + self._private.private_bytes_raw()).decode()
        return f"PRIVATE+KEY+{self.verifier.name}+{self.verifier.key_id.hex()}+{secret}\n".encode()

    @classmethod
    def parse(cls, line: bytes) -> SigningKey:
        """Return the key in a secret line.

        Raises:
            FormatError: the line is not one; the message never quotes it.
        """
        name, key_id, raw = _take_key_apart(line, _SKEY, "signing key")
        key = cls(name, Ed25519PrivateKey.from_private_bytes(raw))
        if key.verifier.key_id != key_id:
            raise FormatError("signing key: the key id does not belong to the key")
        return key


@dataclass(frozen=True, slots=True)
class VerifiedNote:
    """A note whose text at least one known key has signed."""

    text: str
    note: Note
    signers: tuple[VerifierKey, ...]


def parse_vkey(line: bytes) -> VerifierKey:
    """Return the key in a vkey line, with or without its line end.

    Raises:
        FormatError: not a vkey, not Ed25519, or the key id does not belong to name and key.
    """
    name, key_id, raw = _take_key_apart(line, _VKEY, "vkey")
    key = VerifierKey(name, raw)
    if key.key_id != key_id:
        raise FormatError("vkey: the key id does not belong to name and key")
    return key


def parse_note(data: bytes) -> Note:
    """Return the note in `data`; what parses encodes back to the same bytes.

    Raises:
        FormatError: it is not a note in the strict form.
        LimitError: it is larger than 512 KiB or has more than 64 signatures.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise LimitError(f"note: longer than {MAX_NOTE_BYTES} bytes")
    body = _decode_utf8(data)
    cut = body.rfind("\n\n")
    if cut < 1:
        raise FormatError("note: no text, or no blank line before the signatures")
    lines = body[cut + 2 :].split("\n")
    if lines.pop() or not lines:
        raise FormatError("note: no signature line, or the last one has no line end")
    if len(lines) > MAX_SIGNATURES:
        raise LimitError(f"note: more than {MAX_SIGNATURES} signatures")
    return Note(body[: cut + 1], tuple(_parse_signature(line) for line in lines))


def sign_note(text: str, keys: Iterable[SigningKey]) -> bytes:
    """Return the note of `text` with a signature by each key, in order.

    Raises:
        UsageError: no key, or `text` cannot be the text of a note.
    """
    signatures = tuple(key.sign(text) for key in keys)
    if not signatures:
        raise UsageError("a note needs at least one key")
    return Note(text, signatures).encode()


def verify_note(note: Note, keys: Sequence[VerifierKey]) -> VerifiedNote:
    """Return the text and who of `keys` signed it, in the order of the lines, each once.

    Raises:
        SignatureError: none of `keys` signed, or the signature of one of them does not hold.
    """
    known = {(key.name, key.key_id): key for key in keys}
    signers: dict[VerifierKey, None] = {}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is not None:
            key.verify(note.text.encode(), line.signature)
            signers[key] = None
    if not signers:
        raise SignatureError("note: none of the known keys signed it")
    return VerifiedNote(note.text, note, tuple(signers))


def decode_base64(text: str, what: str) -> bytes:
    """Return the bytes of standard base64 in its one right spelling (RFC 4648 §4).

    Raises:
        FormatError: another spelling: blanks, missing padding, stray bits at the end.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError(f"{what}: not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise FormatError(f"{what}: base64 in another spelling than the right one")
    return raw


def check_key_name(name: str) -> str:
    """Return `name` when it can be the name of a key.

    Raises:
        FormatError: empty, too long, or with a blank, a plus or a control character.
    """
    bad = any(c.isspace() or c == "+" or c < " " for c in name)
    encoded = _encode_utf8(name)
    if not encoded or bad or len(encoded) > MAX_NAME_BYTES:
        raise FormatError(f"key name: {name[:80]!r} is not one")
    return name


def _take_key_apart(line: bytes, form: re.Pattern[str], what: str) -> tuple[str, bytes, bytes]:
    """Return name, key id and the 32 key bytes of a key line."""
    if len(line) > MAX_NAME_BYTES + 128:
        raise FormatError(f"{what}: too long")
    match = form.fullmatch(_decode_utf8(line.removesuffix(b"\n"), allow_newline=False))
    if match is None:
        raise FormatError(f"{what}: not of the form name+id+key")
    raw = decode_base64(match[3], what)
    if len(raw) != 1 + _KEY_BYTES or raw[0] != ED25519:
        raise FormatError(f"{what}: not an Ed25519 key")
    return check_key_name(match[1]), bytes.fromhex(match[2]), raw[1:]


def _parse_signature(line: str) -> NoteSignature:
    """Return one signature line taken apart."""
    dash, _, rest = line.partition(" ")
    name, blank, encoded = rest.partition(" ")
    if dash != "\N{EM DASH}" or not blank or len(encoded) > _MAX_SIGNATURE_TEXT:
        raise FormatError("note: a signature line in another form")
    raw = decode_base64(encoded, "note signature")
    if len(raw) <= _ID_BYTES:
        raise FormatError("note: a signature line without a signature")
    return NoteSignature(check_key_name(name), raw[:_ID_BYTES], raw[_ID_BYTES:])


def _decode_utf8(data: bytes, *, allow_newline: bool = True) -> str:
    """Return `data` as text when it is UTF-8 without control characters but newline."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError("note: not UTF-8") from None
    if any(c < " " and not (c == "\n" and allow_newline) for c in text):
        raise FormatError("note: a control character")
    return text


def _encode_utf8(text: str) -> bytes:
    """Return UTF-8, or nothing where the text has none (lone surrogates)."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return b""


def _check_text(text: str) -> bytes:
    """Return the bytes of a text that can be signed as a note."""
    data = _encode_utf8(text)
    lined = text.endswith("\n") and text != "\n"
    clean = not any(c < " " and c != "\n" for c in text)
    if not (data and lined and clean) or len(data) > MAX_NOTE_BYTES // 2:
        raise UsageError("note text: it must be UTF-8 lines, each with its line end")
    return data
