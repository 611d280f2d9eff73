"""`round.json` and the openings of a drill folder: written, and read with bounds (drill-v1 §2, §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from hozen_hashes import names
from hozen_hashes.envelope.files import read_plain
from hozen_hashes.errors import FormatError, LimitError, UsageError
from hozen_hashes.jsonl import dump_line, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT: Final = "hozen-drill/1"
OPENED: Final = "hozen-drill-opened/1"
ROUND: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
FACTS: Final = "round.json"
MAX_FACTS: Final = 1 << 20
MAX_RECIPIENTS: Final = 128
MAX_ROUNDS: Final = 1000
MAX_OPENED: Final = 4096
MAX_SUBJECT: Final = 8192
_MAX_NAMES: Final = 10_000
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"age1[0-9a-z]{58}|sha256:[0-9a-f]{64}")
_LABELS: Final = ("round-sha256", "recipient", "answer", "time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One recipient of a round.

    Attributes:
        number: from 1; the files are `NN.age` and so on.
        name: `age1…`, or `sha256:` and the fingerprint of a certificate.
        subject: of the certificate; empty for age.
        object_sha256: of `NN.age`.
        key_sha256: of `NN.p7m`; empty for age.
        answer_sha256: of the answer's 64 letters, which only the opened object holds.
    """

    number: int
    name: str
    subject: str
    object_sha256: str
    key_sha256: str
    answer_sha256: str

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return f"{self.number:03d}"


@dataclass(frozen=True, slots=True)
class Round:
    """A round as its `round.json` says; `sha256` is of that file, `made` in nanoseconds since 1970."""

    folder: Path
    made: int
    entries: tuple[Entry, ...]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the holder of a key states who opened a test object; `time` is claimed, in nanoseconds since 1970."""

    round_sha256: str
    recipient: str
    answer: str
    time: int

    def encode(self) -> bytes:
        """Return the exact bytes, which may be signed."""
        values = (self.round_sha256, self.recipient, self.answer, names.rfc3339(self.time))
        lines = (f"{label} {value}\n" for label, value in zip(_LABELS, values, strict=True))
        return f"{OPENED}\n{''.join(lines)}".encode("ascii")


def answer_digest(answer: str) -> str:
    """Return what `round.json` holds of an answer."""
    return sha256(answer.encode("ascii")).hexdigest()


def write_round(made: int, entries: tuple[Entry, ...]) -> bytes:
    """Return the bytes of `round.json`."""
    return dump_line(
        {
            "format": FORMAT,
            "made": names.rfc3339(made),
            "recipients": [
                {
                    "number": one.number,
                    "name": one.name,
                    "subject": one.subject or None,
                    "object_sha256": one.object_sha256,
                    "key_sha256": one.key_sha256 or None,
                    "answer_sha256": one.answer_sha256,
                }
                for one in entries
            ],
        }
    )


def read_rounds(folder: Path) -> list[Round]:
    """Return the rounds of a drill folder, the oldest first.

    Raises:
        UsageError: it is no drill folder, or holds no round.
        FormatError, LimitError: a round is in another form, or there are too many.
        NotVerifiableError: one cannot be read.
    """
    found = [read_round(folder / name) for name in sorted(_names(folder)) if ROUND.fullmatch(name)]
    if not found:
        raise UsageError(
            f"{folder} holds no round of a drill",
            hint="Make one with: hozen key drill new --out DIR",
        )
    if len(found) > MAX_ROUNDS:
        raise LimitError(f"{folder}: more than {MAX_ROUNDS} rounds")
    return found


def _names(folder: Path) -> list[str]:
    try:
        return [one.name for one, _ in zip(folder.iterdir(), range(_MAX_NAMES), strict=False)]
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}") from None


def read_round(folder: Path) -> Round:
    """Return one round; raises FormatError, LimitError or NotVerifiableError as `read_rounds`."""
    data = read_plain(folder / FACTS, MAX_FACTS)
    facts = parse_object(data, what=FACTS, max_bytes=MAX_FACTS)
    listed = facts.get("recipients")
    if facts.get("format") != FORMAT or not isinstance(facts.get("made"), str):
        raise FormatError(f"{folder.name}: {FACTS} is not {FORMAT}")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_RECIPIENTS:
        raise FormatError(f"{folder.name}: recipients is not a list of 1 to {MAX_RECIPIENTS}")
    entries = tuple(_entry(one, number) for number, one in enumerate(listed, 1))
    if len({one.name for one in entries}) != len(entries):
        raise FormatError(f"{folder.name}: a recipient is named twice")
    made = names.parse_rfc3339(str(facts["made"]))
    return Round(folder, made, entries, sha256(data).hexdigest())


def _entry(found: Any, number: int) -> Entry:
    if not isinstance(found, dict) or found.get("number") != number:
        raise FormatError(f"{FACTS}: the recipients are not numbered from 1")
    name, subject, key = found.get("name"), found.get("subject") or "", found.get("key_sha256")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise FormatError(f"{FACTS}: a recipient is neither age1… nor sha256:…")
    if not isinstance(subject, str) or len(subject) > MAX_SUBJECT:
        raise FormatError(f"{FACTS}: a subject is no text of at most {MAX_SUBJECT} characters")
    if name.startswith("age1") != (key is None):
        raise FormatError(f"{FACTS}: key_sha256 stands with certificates, and only there")
    return Entry(
        number=number,
        name=name,
        subject=subject,
        object_sha256=_hash(found.get("object_sha256")),
        key_sha256="" if key is None else _hash(key),
        answer_sha256=_hash(found.get("answer_sha256")),
    )


def _hash(value: object) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise FormatError(f"{FACTS}: a hash is no SHA-256")
    return value


def parse_opened(data: bytes) -> Opened:
    """Return what `NNN.opened.txt` states.

    Raises:
        FormatError: not the lines of drill-v1 §3 in their order and spelling.
    """
    try:
        header, *lines, end = data.decode("ascii").split("\n")
    except (UnicodeDecodeError, ValueError):
        raise FormatError("the opening is not ASCII lines that end with LF") from None
    pairs = [line.partition(" ") for line in lines]
    if header != OPENED or end or tuple(label for label, _, _ in pairs) != _LABELS:
        raise FormatError(f"the opening is not {OPENED} with its lines in their order")
    digest, recipient, answer, time = (value for _, _, value in pairs)
    if not (_HASH.fullmatch(digest) and _NAME.fullmatch(recipient) and _HASH.fullmatch(answer)):
        raise FormatError("the opening has a value in another form than the right one")
    found = Opened(
        round_sha256=digest, recipient=recipient, answer=answer, time=names.parse_rfc3339(time)
    )
    if found.encode() != data:
        raise FormatError("the opening has a value in another spelling than the right one")
    return found


def present(path: Path, limit: int) -> bytes | None:
    """Return the bytes of a file, or None when nothing has its name; raises as `read_plain`."""
    if not path.exists() and not path.is_symlink():
        return None
    return read_plain(path, limit)


def walk(rounds: list[Round]) -> Iterator[tuple[Round, Entry]]:
    """Yield every recipient of every round, the oldest first."""
    for one in rounds:
        for entry in one.entries:
            yield one, entry
