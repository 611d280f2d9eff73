"""X25519 keys of age v1: recipients `age1…`, identities `AGE-SECRET-KEY-1…` (C2SP age, X25519 recipient type)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hozen_hashes import bech32
from hozen_hashes.errors import FormatError, UsageError

KEY_BYTES: Final = 32
MAX_KEY_FILE: Final = 64 * 1024
MAX_KEYS: Final = 128
_RECIPIENT: Final = "age"
_IDENTITY: Final = "age-secret-key-"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who can open a file.

    Attributes:
        point: the 32 bytes of the X25519 public key.
    """

    point: bytes

    def __str__(self) -> str:
        return bech32.encode(_RECIPIENT, self.point)


@dataclass(frozen=True, slots=True)
class Identity:
    """A secret key that opens a file; its `repr` does not show it.

    Attributes:
        key: the X25519 private key.
    """

    key: X25519PrivateKey = field(repr=False)

    @property
    def recipient(self) -> Recipient:
        """The public half."""
        return Recipient(self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def secret(self) -> str:
        """Return the text `AGE-SECRET-KEY-1…`, which must not be printed or logged."""
        raw = self.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return bech32.encode(_IDENTITY, raw).upper()


def new_identity() -> Identity:
    """Return a new secret key."""
    return Identity(X25519PrivateKey.generate())


def parse_recipient(text: str) -> Recipient:
    """Return the recipient of an `age1…` text.

    Raises:
        UsageError: anything else, with a hint what it looks like.
    """
    text = text.strip()
    if hint := _foreign_recipient(text):
        raise UsageError("this kind of recipient is not supported", hint=hint)
    try:
        prefix, point = bech32.decode(text)
    except FormatError as error:
        raise UsageError(f"not a recipient: {error}", hint=_RECIPIENT_HINT) from None
    if prefix != _RECIPIENT or len(point) != KEY_BYTES or text != text.lower():
        raise UsageError("not a recipient", hint=_RECIPIENT_HINT)
    return Recipient(point)


_RECIPIENT_HINT = "A recipient is the public key that age-keygen or hozen key new --age prints: age1 and 58 letters."
_FOREIGN: Final = (
    (
        "-----BEGIN",
        "A certificate is given by its file: hozen capture --recipient FILE.",
    ),
    (
        "AGE-SECRET-KEY-",
        "That is a secret identity, and it may now be in a log; give the recipient that belongs to it.",
    ),
    ("ssh-", "SSH keys cannot be recipients here; give an age1… recipient."),
    (
        "age1pq1",
        "Post-quantum recipients are not in this version; give an X25519 recipient (age1 and 58 letters).",
    ),
)


def _foreign_recipient(text: str) -> str:
    return next((hint for begin, hint in _FOREIGN if text.startswith(begin)), "")


def parse_identity(text: str) -> Identity:
    """Return the identity of an `AGE-SECRET-KEY-1…` text.

    Raises:
        UsageError: anything else; the text is not repeated in the message.
    """
    try:
        prefix, raw = bech32.decode(text.strip())
    except FormatError:
        prefix, raw = "", b""
    if prefix != _IDENTITY or len(raw) != KEY_BYTES or text.strip() != text.strip().upper():
        raise UsageError(
            "not an age identity", hint="An identity is a line that begins with AGE-SECRET-KEY-1."
        )
    return Identity(X25519PrivateKey.from_private_bytes(raw))


def read_identities(file_text: str) -> list[Identity]:
    """Return the identities of an identity file: one a line; empty lines and lines that begin with # do not count.

    Raises:
        UsageError: a line that is none, no line at all, or more than 64 KiB or 128 keys.
    """
    return [parse_identity(line) for line in _lines(file_text, "identity")]


def read_recipients(file_text: str) -> list[Recipient]:
    """Return the recipients of a file, one a line as in `read_identities`; raises as it does."""
    return [parse_recipient(line) for line in _lines(file_text, "recipient")]


def _lines(file_text: str, what: str) -> list[str]:
    if len(file_text) > MAX_KEY_FILE:
        raise UsageError(
            f"the {what} file is larger than {MAX_KEY_FILE} bytes", hint="Is it the right file?"
        )
    if file_text.startswith("age-encryption.org/") or "BEGIN AGE ENCRYPTED FILE" in file_text:
        raise UsageError(
            f"the {what} file is itself encrypted",
            hint="Decrypt it first with: age -d FILE, in a place of your own.",
        )
    if file_text.lstrip().startswith("-----BEGIN"):
        lines = [file_text]
    else:
        lines = [
            line
            for line in map(str.strip, file_text.splitlines())
            if line and not line.startswith("#")
        ]
    if not 1 <= len(lines) <= MAX_KEYS:
        raise UsageError(f"the {what} file has {len(lines)} keys; 1 to {MAX_KEYS} are possible")
    return lines
