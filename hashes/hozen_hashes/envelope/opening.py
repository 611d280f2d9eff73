"""`opened-NN.txt`: what a person states who opened and verified an encrypted bundle (envelope-v1 §4).

It names the ciphertext and what came out of it. It is a claim: nobody who holds no key can check it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hozen_hashes import names
from hozen_hashes.errors import FormatError, LimitError, UsageError

MAX_BYTES: Final = 16 * 1024
MAX_STATES: Final = 4 * 1024
NAME: Final = re.compile(r"opened-(?!00)[0-9]{2}\.txt")
HEADER: Final = "hozen-opened/1"
_LABELS: Final = (
    "bundle", "container-sha256", "container-size", "seal-sha256", "signature-sha256", "integrity", "states", "time",
)  # fmt: skip
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_INTEGRITY: Final = "match"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningStatement:
    """One person's statement about one encrypted bundle; to make one is to state that its integrity is a match.

    Attributes:
        container_sha256, container_size: of the ciphertext, in bytes.
        seal: computed from what was inside, 64 lower-case hexadecimal digits.
        signature: SHA-256 of its `signatures/agent.p7s`, the same.
        states: what the person says, any text of at most 4 KiB in UTF-8.
        time: nanoseconds since 1970, claimed.
    """

    bundle: str
    container_sha256: str
    container_size: int
    seal: str
    signature: str
    states: str
    time: int

    def encode(self) -> bytes:
        """Return the exact bytes that are signed.

        Raises:
            UsageError: the text is too long, a single `-` (which stands for none), or holds a lone surrogate.
        """
        try:
            states = self.states.encode()
        except UnicodeEncodeError as error:
            raise UsageError("the statement is not valid Unicode text") from error
        if states == b"-":
            raise UsageError("a single - stands for no text", hint="say it in words")
        if len(states) > MAX_STATES:
            raise UsageError(f"the text is longer than {MAX_STATES} bytes")
        values = (
            self.bundle, self.container_sha256, str(self.container_size), self.seal, self.signature, _INTEGRITY,
            names.percent_encode(states) or "-", names.rfc3339(self.time),
        )  # fmt: skip
        lines = (f"{label} {value}\n" for label, value in zip(_LABELS, values, strict=True))
        return f"{HEADER}\n{''.join(lines)}".encode("ascii")


def parse_opening(data: bytes) -> OpeningStatement:
    """Return the statement.

    Raises:
        FormatError: not the lines of envelope-v1 §4 in their order and spelling.
        LimitError: longer than 16 KiB.
    """
    said = _lines(data)
    for label in ("container-sha256", "seal-sha256", "signature-sha256"):
        if not _HASH.fullmatch(said[label]):
            raise FormatError(f"the opening statement's {label} is no SHA-256")
    if not _SIZE.fullmatch(said["container-size"]):
        raise FormatError("the opening statement's container-size is no number of bytes")
    if said["integrity"] != _INTEGRITY:
        raise FormatError("the opening statement does not state that the integrity matches")
    statement = OpeningStatement(
        bundle=names.check_bundle_id(said["bundle"]),
        container_sha256=said["container-sha256"],
        container_size=int(said["container-size"]),
        seal=said["seal-sha256"],
        signature=said["signature-sha256"],
        states=_text(said["states"]),
        time=names.parse_rfc3339(said["time"]),
    )
    return _spelled_once(statement, data)


def _spelled_once(statement: OpeningStatement, data: bytes) -> OpeningStatement:
    try:
        same = statement.encode() == data
    except UsageError as error:
        raise FormatError(f"the opening statement: {error}") from None
    if not same:
        raise FormatError(
            "the opening statement has a value in another spelling than the right one"
        )
    return statement


def _lines(data: bytes) -> dict[str, str]:
    if len(data) > MAX_BYTES:
        raise LimitError(f"the opening statement is longer than {MAX_BYTES} bytes")
    try:
        header, *lines, end = data.decode("ascii").split("\n")
    except (UnicodeDecodeError, ValueError):
        raise FormatError("the opening statement is not ASCII lines that end with LF") from None
    if header != HEADER or end or len(lines) != len(_LABELS):
        raise FormatError(f"the opening statement is not {HEADER} with {len(_LABELS)} lines")
    pairs = [line.partition(" ") for line in lines]
    if tuple(label for label, _, _ in pairs) != _LABELS:
        raise FormatError("the opening statement's lines are not in their order")
    return {label: value for label, _, value in pairs}


def _text(encoded: str) -> str:
    if encoded == "-":
        return ""
    try:
        return names.percent_decode(encoded).decode()
    except UnicodeDecodeError as error:
        raise FormatError("the opening statement's text is not UTF-8") from error
