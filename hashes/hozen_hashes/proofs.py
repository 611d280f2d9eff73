"""What lies beside a container in `<id>.proofs/` (bundle-v1 §10): read with bounds, judged by `verify`."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import LimitError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE: Final = 1 << 20
MAX_FILES: Final = 4096
_ENDINGS: Final = re.compile(r"\.zip(\.age)?(\.[0-9]{3})?\Z")
_CUSTODY: Final = re.compile(r"[0-9]{6}\.(json|p7s)")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_STAMP: Final = re.compile(r"[0-9]{4}-[a-z0-9.-]{1,40}\.tsr")
MAX_STAMPS: Final = 256
_OPERATOR: Final = re.compile(r"operator\.p7s|statement\.txt|witness-[0-9]{2}\.(p7s|txt)")


def proofs_directory(bundle: Path) -> Path:
    """Return where the proofs of a bundle lie, whether or not the directory is there."""
    bundle = bundle.absolute() if bundle.name not in {"", ".."} else bundle.resolve()
    return bundle.parent / (_ENDINGS.sub("", bundle.name) + ".proofs")


def read_receipt(folder: Path) -> dict[str, bytes]:
    """Return the files of a receipt directory by name.

    Raises:
        UsageError: it is no directory, or cannot be read.
        LimitError: more or larger files than a receipt has.
    """
    return _read(folder, re.compile(r"[a-z0-9._-]{1,80}|README\.txt"))


def read_custody(proofs: Path) -> dict[str, bytes]:
    """Return the custody events and their signatures by name; nothing when there are none."""
    folder = proofs / "custody"
    return _read(folder, _CUSTODY) if folder.is_dir() else {}


def read_attachments(proofs: Path) -> dict[str, str]:
    """Return the SHA-256 of each attachment of the custody events, by its name."""
    folder = proofs / "attachments"
    if not folder.is_dir():
        return {}
    found = {}
    try:
        for path in sorted(folder.iterdir())[:MAX_FILES]:
            if _DIGEST.fullmatch(path.name) and path.is_file():
                with path.open("rb") as file:
                    found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    return found


def read_operator(proofs: Path) -> dict[str, bytes]:
    """Return the statements and signatures of operator and witnesses by name; nothing when there are none."""
    return _read(proofs, _OPERATOR) if proofs.is_dir() else {}


def read_timestamps(proofs: Path) -> dict[str, bytes]:
    """Return the raw replies of time-stamping authorities by file name; nothing when there are none.

    Raises:
        UsageError: they cannot be read.
        LimitError: there are more than 256, or one is larger than 1 MiB.
    """
    folder = proofs / "timestamps"
    found = _read(folder, _STAMP) if folder.is_dir() else {}
    if len(found) > MAX_STAMPS:
        raise LimitError(f"{folder}: more than {MAX_STAMPS} time stamps")
    return found


def _read(folder: Path, wanted: re.Pattern[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        for path in sorted(folder.iterdir()):
            if not wanted.fullmatch(path.name) or not path.is_file():
                continue
            if len(found) == MAX_FILES:
                raise LimitError(f"{folder}: more than {MAX_FILES} files")
            found[path.name] = _bounded(path)
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    return found


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise LimitError(f"{path} is larger than {MAX_FILE} bytes")
    return data
