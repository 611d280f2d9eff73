"""The leaf of the log and first file of a receipt: `receipt.txt` (receipt-v1 §3).

The statement is text of a fixed order of lines, one spelling for each value, so that what parses
writes back as the same bytes: its hash is the log's leaf and its bytes are what is signed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hozen_hashes import names
from hozen_hashes.checkpoint import parse_decimal
from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.merkle import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER: Final = "hozen-receipt/1"
MAX_STATEMENT_BYTES: Final = 4096
EVENTS: Final = (
    "ingest", "start", "partial", "quarantine", "variant", "custody", "attachment", "verify",
    "export", "transfer", "hold", "dispose", "enroll", "renew", "revoke", "restore", "envelope", "opened",
)  # fmt: skip
"""The events that receipt-v1 §4 describes; a reader accepts any word of the same form."""

SEAL_STATES: Final = ("checked", "claimed")
VERIFIED: Final = ("ok", "partial", "failed", "sealed-unopened")
ABSENT: Final = "-"
_HEX = re.compile(r"[0-9a-f]{64}")
_ORIGIN = re.compile(r"(?!-\Z)[!-*,-~]{1,128}")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a collector states about one event; None where a line does not apply.

    A statement that exists can be written: construction raises FormatError for a value that has
    no spelling, LimitError when the text is longer than 4 KiB. Hashes are lower-case hexadecimal
    SHA-256, times nanoseconds since 1970 (UTC).

    Attributes:
        log: the log's origin, as in its checkpoints.
        log_key_sha256: SHA-256 of the vkey line with its line end, `VerifierKey.sha256`.
        event: what happened, a word of receipt-v1 §4.
        seal_state: `checked` when the collector computed the seal, `claimed` when it was told.
        container_sha256: of the file that arrived: the container, or what `event` is about.
        signature_sha256: of `signatures/agent.p7s`, or of the event's own `.p7s`.
        signer: the subject common name of the certificate that signed.
        sender: the enrolled identity that sent it.
        sealed_at: when it was sealed, as the signer claims.
        arrived_at: when its last byte was stored, by the collector's clock.
        previous: the leaf of the event before this one for the same bundle.
        actor: the account or part of the collector that acted.
        time: when this statement was made, by the collector's clock.
    """

    log: str
    log_key_sha256: str
    event: str
    bundle: str | None = None
    case: str | None = None
    seal: str | None = None
    seal_state: str | None = None
    container_sha256: str | None = None
    container_size: int | None = None
    signature_sha256: str | None = None
    start_sha256: str | None = None
    first_journal_key_sha256: str | None = None
    signer_cert_sha256: str | None = None
    signer: str | None = None
    sender: str | None = None
    verified: str | None = None
    sealed_at: int | None = None
    arrived_at: int | None = None
    previous: int | None = None
    actor: str | None = None
    time: int

    def __post_init__(self) -> None:
        if (self.seal is None) != (self.seal_state is None):
            raise FormatError("statement: a seal without its state, or a state without a seal")
        for line in _LINES:
            value = getattr(self, line.attribute)
            if line.decode(line.encode(value)) != value:
                raise FormatError(f"statement: {line.label} cannot be written as it is")
        if len(self.encode()) > MAX_STATEMENT_BYTES:
            raise LimitError(f"statement: longer than {MAX_STATEMENT_BYTES} bytes")

    def encode(self) -> bytes:
        """Return the text, the bytes of `receipt.txt` and of the leaf."""
        lines = (f"{line.label} {line.encode(getattr(self, line.attribute))}" for line in _LINES)
        return "\n".join((HEADER, *lines, "")).encode("ascii")

    @property
    def leaf_hash(self) -> bytes:
        """The hash of this statement as a leaf (RFC 6962 §2.1)."""
        return leaf_hash(self.encode())


def parse_statement(data: bytes) -> Statement:
    """Return the statement in `data`; what parses encodes back to the same bytes.

    Raises:
        FormatError: any other text than exactly the lines of receipt-v1 §3.
        LimitError: longer than 4 KiB.
    """
    if len(data) > MAX_STATEMENT_BYTES:
        raise LimitError(f"statement: longer than {MAX_STATEMENT_BYTES} bytes")
    if not data.isascii() or not data.endswith(b"\n"):
        raise FormatError("statement: not ASCII lines, or the last one has no line end")
    header, *lines = data[:-1].decode("ascii").split("\n")
    if header != HEADER:
        raise FormatError(
            f"statement: the first line is not {HEADER}",
            hint="A newer version of the format needs a newer version of this program.",
        )
    if len(lines) != len(_LINES):
        raise FormatError(f"statement: {len(lines) + 1} lines instead of {len(_LINES) + 1}")
    statement = Statement(
        **{f.attribute: f.read(line) for f, line in zip(_LINES, lines, strict=True)}
    )
    if statement.encode() != data:
        raise FormatError("statement: a value in another spelling than the right one")
    return statement


class _Line(NamedTuple):
    """One line: its label, the attribute it holds and the two directions of its value."""

    label: str
    attribute: str
    to_text: Callable[[Any], str]
    from_text: Callable[[str], Any]
    required: bool = False

    def encode(self, value: object) -> str:
        """Return the value's text; FormatError where a required one is absent."""
        if value is None:
            if self.required:
                raise FormatError(f"statement: {self.label} is missing")
            return ABSENT
        return self.to_text(value)

    def decode(self, text: str) -> Any:
        """Return the value of a text, None for `-`."""
        return None if text == ABSENT and not self.required else self.from_text(text)

    def read(self, line: str) -> Any:
        """Return the value on a line that must carry this label."""
        label, blank, text = line.partition(" ")
        if label != self.label or not blank:
            raise FormatError(f"statement: {line[:40]!r} where {self.label!r} belongs")
        return self.decode(text)


def _matching(form: re.Pattern[str], what: str) -> Callable[[str], str]:
    """Return a check that gives back text of the form, or raises FormatError."""

    def check(text: str) -> str:
        if form.fullmatch(text) is None:
            raise FormatError(f"statement: {text[:80]!r} is not {what}")
        return text

    return check


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    """Return a check that gives back one of the words, or raises FormatError."""
    return _matching(re.compile("|".join(words)), "one of " + ", ".join(words))


def _write_text(text: str) -> str:
    """Return free text percent-encoded; a single `-` as `%2D`, since `-` means absent."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise FormatError("statement: text that is not Unicode") from None
    if not raw:
        raise FormatError("statement: an empty text; use None for what does not apply")
    return "%2D" if text == ABSENT else names.percent_encode(raw)


def _read_text(text: str) -> str:
    """Return percent-encoded text; raises FormatError for bytes that are not UTF-8."""
    if text == "%2D":
        return ABSENT
    try:
        return names.percent_decode(text).decode()
    except UnicodeDecodeError:
        raise FormatError("statement: text that is not UTF-8") from None


def _read_decimal(text: str) -> int:
    return parse_decimal(text, "statement")


_hex = _matching(_HEX, "a SHA-256 in lower-case hexadecimal")
_origin = _matching(_ORIGIN, "the origin of a log")
_event = _matching(_WORD, "the name of an event")
_seal_state = _one_of(SEAL_STATES)
_verified = _one_of(VERIFIED)
_LINES: Final = (
    _Line("log", "log", _origin, _origin, required=True),
    _Line("log-key-sha256", "log_key_sha256", _hex, _hex, required=True),
    _Line("event", "event", _event, _event, required=True),
    _Line("bundle", "bundle", names.check_bundle_id, names.check_bundle_id),
    _Line("case", "case", _write_text, _read_text),
    _Line("seal-sha256", "seal", _hex, _hex),
    _Line("seal-state", "seal_state", _seal_state, _seal_state),
    _Line("container-sha256", "container_sha256", _hex, _hex),
    _Line("container-size", "container_size", str, _read_decimal),
    _Line("signature-sha256", "signature_sha256", _hex, _hex),
    _Line("start-sha256", "start_sha256", _hex, _hex),
    _Line("first-journal-key-sha256", "first_journal_key_sha256", _hex, _hex),
    _Line("signer-cert-sha256", "signer_cert_sha256", _hex, _hex),
    _Line("signer", "signer", _write_text, _read_text),
    _Line("sender", "sender", _write_text, _read_text),
    _Line("verified", "verified", _verified, _verified),
    _Line("sealed-at", "sealed_at", names.rfc3339, names.parse_rfc3339),
    _Line("arrived-at", "arrived_at", names.rfc3339, names.parse_rfc3339),
    _Line("previous", "previous", str, _read_decimal),
    _Line("actor", "actor", _write_text, _read_text),
    _Line("time", "time", names.rfc3339, names.parse_rfc3339, required=True),
)
