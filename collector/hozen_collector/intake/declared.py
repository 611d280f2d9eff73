"""What a client says about an upload before it sends a byte: Upload-Length and Upload-Metadata."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, fields
from typing import Final

from hozen_hashes.errors import BadDataError, FormatError
from hozen_hashes.names import check_bundle_id

MAX_METADATA: Final = 8192
KINDS: Final = ("bundle", "partial", "encrypted")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_FILENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_KEY: Final = re.compile(r"[!-+\--~]{1,64}")
_MAX_CASE: Final = 400  # bytes of UTF-8: a statement has room for it however it is spelled
_REQUIRED: Final = "Upload-Metadata needs bundle, case, seal, sha256, filename and kind."


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The checked words of a client. They are claims until the container was verified.

    Attributes:
        bundle: bundle id (bundle-v1 §3).
        case: case number, printable text.
        seal: 64 hex digits, or empty for a partial.
        sha256: of the container, 64 hex digits.
        filename: a plain name without any path.
        kind: bundle, partial or encrypted.
    """

    bundle: str
    case: str
    seal: str
    sha256: str
    filename: str
    kind: str

    def encode(self) -> str:
        """Give the words as Upload-Metadata."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ",".join(
            f"{name} {base64.b64encode(value.encode()).decode()}".rstrip() for name, value in pairs
        )


def parse_metadata(header: str) -> Declared:
    """Read Upload-Metadata (tus 1.0, creation).

    Raises:
        FormatError: a word is missing, repeated, or not in its form.
    """
    if len(header) > MAX_METADATA:
        raise FormatError("Upload-Metadata is too long", hint=_REQUIRED)
    words: dict[str, str] = {}
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        if not _KEY.fullmatch(key) or key in words:
            raise FormatError("Upload-Metadata is not in its form", hint=_REQUIRED)
        words[key] = _decode(value.strip(), key)
    missing = [field.name for field in fields(Declared) if field.name not in words]
    if missing:
        raise FormatError(f"Upload-Metadata lacks {', '.join(missing)}", hint=_REQUIRED)
    return _checked(Declared(**{field.name: words[field.name] for field in fields(Declared)}))


def _decode(value: str, key: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise FormatError(
            f"Upload-Metadata: {key} is not base64 of UTF-8", hint=_REQUIRED
        ) from error


def _checked(declared: Declared) -> Declared:
    try:
        check_bundle_id(declared.bundle)
    except BadDataError as error:
        raise FormatError("bundle is not a bundle id", hint=error.hint) from error
    if declared.kind not in KINDS:
        raise FormatError("kind is none of bundle, partial, encrypted")
    if not _HASH.fullmatch(declared.sha256):
        raise FormatError("sha256 is not 64 lower-case hexadecimal digits")
    if not _HASH.fullmatch(declared.seal) and not (
        declared.kind == "partial" and not declared.seal
    ):
        raise FormatError("seal is not 64 lower-case hexadecimal digits")
    if not _FILENAME.fullmatch(declared.filename) or ".." in declared.filename:
        raise FormatError(
            "filename is not a plain file name", hint="Letters, digits, '.', '_' and '-'."
        )
    if not is_case(declared.case):
        raise FormatError("case is empty, longer than 400 bytes, or has control characters")
    return declared


def is_case(text: str) -> bool:
    """Give whether a text can be the case number of a statement."""
    return text.isprintable() and 1 <= len(text.encode("utf-8", "replace")) <= _MAX_CASE
