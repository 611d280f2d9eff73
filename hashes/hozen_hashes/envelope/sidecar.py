"""The clear part of an encrypted capture's running journal, checked without a key (bundle-v1 §6).

Of each epoch there lie the hash of its text, a signature and a public key. That the key made the signature over that
hash is proved by them alone. That the text is the one with this hash, that the epoch before announced the key, and
whose journal it is, stands in what is encrypted: only the recipient can tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_hashes.envelope.files import read_plain
from hozen_hashes.errors import LimitError, NotVerifiableError
from hozen_hashes.journalcheck import is_signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MAX_PART: Final = 4096
MAX_NAMES: Final = 1 << 22
_NAME: Final = re.compile(r"([0-9]{6}|[1-9][0-9]{6,9})\.(sha256|sig|pub|jsonl\.age)")
_PARTS: Final = ("sha256", "sig", "pub")


@dataclass(frozen=True, slots=True)
class ClearReport:
    """What holds without a key.

    Attributes:
        epochs: of which anything is there.
        signed: epochs from the first one on without a gap whose signature holds over the stated hash.
        problems: epoch and reason of everything else, in order of epochs.
    """

    epochs: int
    signed: int
    problems: tuple[tuple[int, str], ...]


def is_encrypted(journal: Path) -> bool:
    """Return whether a journal directory is one whose text is encrypted."""
    try:
        return any(one.name.endswith(".jsonl.age") for one in journal.iterdir())
    except OSError:
        return False


def check_clear(journal: Path) -> ClearReport:
    """Return what the clear files of a journal directory show by themselves.

    Raises:
        NotVerifiableError: the directory cannot be read.
        LimitError: it has too many names.
    """
    epochs = _epochs(_names(journal))
    signed, problems = 0, []
    seen: dict[bytes, int] = {}
    for epoch in sorted(epochs):
        reason = _problem(journal, epoch, epochs[epoch], seen)
        if reason:
            problems.append((epoch, reason))
        elif signed == epoch:
            signed += 1
        else:
            problems.append(
                (epoch, f"{epoch:06d}: follows an epoch that is absent or does not hold")
            )
    return ClearReport(len(epochs), signed, tuple(problems))


def _names(journal: Path) -> Iterable[str]:
    try:
        for count, one in enumerate(journal.iterdir()):
            if count == MAX_NAMES:
                raise LimitError(f"{journal}: more than {MAX_NAMES} files")
            yield one.name
    except OSError as error:
        raise NotVerifiableError(f"cannot read {journal}: {error.strerror}") from None


def _epochs(names: Iterable[str]) -> Mapping[int, set[str]]:
    found: dict[int, set[str]] = {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None:
            found.setdefault(int(match[1]), set()).add(match[2])
    return found


def _problem(journal: Path, epoch: int, there: set[str], seen: dict[bytes, int]) -> str:
    """Return why the epoch does not hold, or nothing."""
    stem = f"{epoch:06d}"
    if absent := [f"{stem}.{part}" for part in _PARTS if part not in there]:
        return f"absent: {', '.join(absent)}"
    try:
        line, signature, pem = (read_plain(journal / f"{stem}.{part}", MAX_PART) for part in _PARTS)
    except (LimitError, NotVerifiableError) as error:
        return str(error)
    match = re.fullmatch(rb"([0-9a-f]{64})  %s\.jsonl\n" % stem.encode(), line)
    if match is None:
        return f"{stem}.sha256: is not the line that the format has"
    if not is_signed(pem, signature, match[1].decode()):
        return f"{stem}.sig: the key in {stem}.pub did not make it over the hash in {stem}.sha256"
    first = seen.setdefault(pem, epoch)
    return "" if first == epoch else f"{stem}.pub: is the key of epoch {first:06d} again"
