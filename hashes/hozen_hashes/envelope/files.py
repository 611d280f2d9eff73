"""The files of `<id>.envelope/` and the opening statements beside a bundle are read, with bounds (envelope-v1 §2, §4).

The medium may be anybody's: links are not followed, and what is no plain file is not opened.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from hozen_hashes import cmsnames
from hozen_hashes.envelope.opening import MAX_BYTES as MAX_STATEMENT
from hozen_hashes.envelope.opening import NAME as OPENED
from hozen_hashes.envelope.reading import FACTS, KEY_NAME, MAX_FACTS, SEAL, SIGNATURE
from hozen_hashes.errors import LimitError, NotVerifiableError

if TYPE_CHECKING:
    from pathlib import Path

_WISHED: Final = ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK")  # not every system has each
_FLAGS: Final = os.O_RDONLY | sum(getattr(os, name, 0) for name in _WISHED)
_MAX_NAMES: Final = 10_000


def read_folder(folder: Path) -> dict[str, bytes] | None:
    """Return the files of an envelope by name, or None where there is no such directory.

    Names that an envelope does not have are passed over: file managers leave theirs.

    Raises:
        LimitError: a file is larger than it can be.
        NotVerifiableError: one is no plain file, or cannot be read.
    """
    ours = (FACTS, SIGNATURE, SEAL)
    names = [name for name in _names(folder) or () if name in ours or KEY_NAME.fullmatch(name)]
    return {name: read_plain(folder / name, MAX_FACTS) for name in names} or None


def read_openings(proofs: Path) -> dict[str, tuple[bytes, bytes]]:
    """Return each `opened-NN` in `<id>.proofs/` with its signature; one that is not signed yet is passed over.

    Raises:
        LimitError, NotVerifiableError: as `read_folder`.
    """
    names = frozenset(_names(proofs) or ())
    found = {}
    for name in sorted(names):
        stem = name.removesuffix(".txt")
        if OPENED.fullmatch(name) and f"{stem}.p7s" in names:
            text = read_plain(proofs / name, MAX_STATEMENT)
            found[stem] = (text, read_plain(proofs / f"{stem}.p7s", cmsnames.MAX_SIGNATURE_BYTES))
    return found


def _names(folder: Path) -> list[str] | None:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry, _ in zip(entries, range(_MAX_NAMES), strict=False)]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NotVerifiableError(f"cannot read {folder}: {error.strerror}") from None


def read_plain(path: Path, limit: int) -> bytes:
    """Return the bytes of a plain file.

    Raises:
        LimitError: it has more than `limit` bytes.
        NotVerifiableError: it is a link or no plain file, or cannot be read.
    """
    try:
        descriptor = os.open(path, _FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotVerifiableError(f"{path} is no plain file")
            data = file.read(limit + 1)
    except OSError as error:
        raise NotVerifiableError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > limit:
        raise LimitError(f"{path} is larger than {limit} bytes")
    return data
