"""`statement.txt`: what a person signs beside a bundle (bundle-v1 §10).

It names the seal **and** the machine signature, so that neither can be stripped or swapped unseen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hozen_hashes.errors import FormatError, UsageError
from hozen_hashes.names import (
    check_bundle_id,
    parse_rfc3339,
    percent_decode,
    percent_encode,
    rfc3339,
)

ROLES: Final = ("operator", "witness")
MAX_BYTES: Final = 16 * 1024
MAX_ATTESTS: Final = 4 * 1024
_LABELS: Final = ("bundle", "seal-sha256", "signature-sha256", "role", "attests", "time")
_FORMAT: Final = re.compile(r"hozen-statement/([1-9][0-9]{0,3})")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonStatement:
    """One person's statement about one bundle.

    Attributes:
        seal: SHA-256 of `tagmanifest-sha256.txt`, 64 lower-case hexadecimal digits.
        signature: SHA-256 of `signatures/agent.p7s`, the same.
        role: `operator` or `witness`.
        attests: what the person says, any text of at most 4 KiB in UTF-8.
        time: nanoseconds since 1970, claimed.
    """

    bundle: str
    seal: str
    signature: str
    role: str
    attests: str
    time: int

    def encode(self) -> bytes:
        """Return the exact bytes that are signed.

        Raises:
            UsageError: the text is too long, a single `-` (which stands for none), or holds a lone surrogate.
        """
        try:
            attests = self.attests.encode()
        except UnicodeEncodeError as error:
            raise UsageError("the attestation is not valid Unicode text") from error
        if attests == b"-":
            raise UsageError("a single - stands for no attestation", hint="say it in words")
        if len(attests) > MAX_ATTESTS:
            raise UsageError(f"the attestation is longer than {MAX_ATTESTS} bytes")
        values = (self.bundle, self.seal, self.signature, self.role)
        rest = (percent_encode(attests) or "-", rfc3339(self.time))
        lines = (f"{k} {v}\n" for k, v in zip(_LABELS, (*values, *rest), strict=True))
        return f"hozen-statement/1\n{''.join(lines)}".encode("ascii")


def parse_person_statement(data: bytes) -> PersonStatement:
    """Return the statement; of a later version, the lines that this one knows.

    Raises:
        FormatError: not the lines of bundle-v1 §10 in their order and spelling, or longer than 16 KiB.
    """
    lines = _lines(data)
    version = _FORMAT.fullmatch(lines[0])
    if version is None:
        raise FormatError("the statement does not begin with hozen-statement/1")
    if len(lines) < len(_LABELS) + 1 or (version[1] == "1" and len(lines) != len(_LABELS) + 1):
        raise FormatError(f"the statement has {len(lines)} lines, not {len(_LABELS) + 1}")
    said = dict(_value(line, label) for line, label in zip(lines[1:], _LABELS, strict=False))
    for label in ("seal-sha256", "signature-sha256"):
        if not _DIGEST.fullmatch(said[label]):
            raise FormatError(f"the statement's {label} is no SHA-256")
    if said["role"] not in ROLES:
        raise FormatError("the statement's role is neither operator nor witness")
    return PersonStatement(
        bundle=check_bundle_id(said["bundle"]),
        seal=said["seal-sha256"],
        signature=said["signature-sha256"],
        role=said["role"],
        attests=_text(said["attests"]),
        time=parse_rfc3339(said["time"]),
    )


def _lines(data: bytes) -> list[str]:
    if len(data) > MAX_BYTES:
        raise FormatError(f"the statement is longer than {MAX_BYTES} bytes")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise FormatError("the statement is not ASCII") from error
    if not text.endswith("\n") or "\r" in text or "\0" in text:
        raise FormatError("the statement is not made of lines that end with LF")
    return text[:-1].split("\n")


def _value(line: str, label: str) -> tuple[str, str]:
    name, blank, value = line.partition(" ")
    if name != label or not blank or not value:
        raise FormatError(f"the statement has no line {label} where it belongs")
    return label, value


def _text(encoded: str) -> str:
    if encoded == "-":
        return ""
    try:
        return percent_decode(encoded).decode()
    except UnicodeDecodeError as error:
        raise FormatError("the statement's attestation is not UTF-8") from error
