"""The collector's time stamps of a bundle are kept beside it, in `<id>.proofs/timestamps/` (timestamp-v1 §1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.sending import proofs
from hozen_agent.sending.replies import API, RefusedError, receipt_of
from hozen_hashes import newfile
from hozen_hashes.errors import BadDataError
from hozen_hashes.timestampder import MAX_REPLY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hozen_agent.courier import Courier
    from hozen_agent.sending.parcel import Parcel
    from hozen_hashes.timestamp import Token

ABSENT: Final = 404
MAX_STAMPS: Final = 256
FOLDER: Final = "timestamps"
_NAME: Final = re.compile(r"timestamps/[0-9]{4}-([a-z0-9.-]{1,40})\.tsr")
_BESIDE: Final = ("checkpoint", "checkpoint.tlog-proof")


@dataclass(frozen=True, slots=True)
class Stamps:
    """How many stamps lie beside the bundle now, how many the collector still waits for, how many were left out."""

    kept: int = 0
    waiting: int = 0
    refused: int = 0


def fetch_stamps(courier: Courier, parcel: Parcel, directory: Path, container: str) -> Stamps:
    """Keep what time stamps the collector has of `container`; a stamp that is about nothing here is left out.

    Whether a stamp holds is for `hozen verify`, which is given the authority's root; a collector could otherwise make
    a good bundle look altered by a stamp over other bytes.

    Raises:
        FormatError: the answer is not of its form.
        CannotWriteError: they cannot be kept; the collector has them.
    """
    try:
        answer = courier.get(f"{API}/receipts/{container}/proofs")
    except RefusedError as error:
        if error.status == ABSENT:  # a collector of an earlier version
            return Stamps()
        raise
    files = receipt_of(answer)
    waiting = answer.json().get("waiting")
    beside = {n: files[f"receipt/{n}"] for n in _BESIDE if f"receipt/{n}" in files}
    if directory.name != proofs.RECEIPT:
        beside = {}  # a stamp over another collector's checkpoint is about nothing that a reader looks at
    _keep_beside(directory, beside)
    stamps = dict(sorted((n, d) for n, d in files.items() if _NAME.fullmatch(n)))
    about = _about(stamps, parcel.signature_sha256, _here(directory))
    kept = [_keep(parcel.proofs / FOLDER, name, stamps[name]) for name in about]
    return Stamps(
        kept=len(kept),
        waiting=waiting if isinstance(waiting, int) else 0,
        refused=len(stamps) - len(kept),
    )


def _here(directory: Path) -> bytes:
    try:
        return (directory / _BESIDE[0]).read_bytes() if directory.name == proofs.RECEIPT else b""
    except OSError:
        return b""


def _about(stamps: Mapping[str, bytes], signature: str | None, checkpoint: bytes) -> list[str]:
    """Return the names of the stamps over the machine seal, the checkpoint here, or one of the stamps before."""
    found: list[str] = []
    for name, raw in list(stamps.items())[:MAX_STAMPS]:
        token = _token(raw)
        if token is None:
            continue
        seal = token.algorithm == "sha256" and token.imprint.hex() == signature
        log = bool(checkpoint) and token.is_about(checkpoint)
        if seal or log or any(token.is_about(stamps[earlier]) for earlier in found):
            found.append(name)
    return found


def _token(raw: bytes) -> Token | None:
    from hozen_hashes import timestamp

    try:
        return timestamp.read_token(raw) if len(raw) <= MAX_REPLY_BYTES else None
    except BadDataError:
        return None


def _keep_beside(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write checkpoint and proof once: a checkpoint that is here has its stamps already."""
    if (directory / _BESIDE[0]).exists():
        return
    for name in reversed(_BESIDE):
        if name in files and not (directory / name).exists():
            newfile.write_new(directory / name, files[name])


def _keep(folder: Path, name: str, raw: bytes) -> Path:
    """Write a stamp under its name, or under the next free number where another stamp has it."""
    proofs.make_directory(folder)
    there = {path.name: path for path in folder.iterdir()}
    for path in there.values():
        if path.is_file() and path.stat().st_size == len(raw) and path.read_bytes() == raw:
            return path
    wanted = name.removeprefix(f"{FOLDER}/")
    if wanted in there:
        number = max((int(n[:4]) for n in there if n[:4].isdecimal()), default=0) + 1
        wanted = f"{number:04d}{wanted[4:]}"
    newfile.write_new(folder / wanted, raw)
    return folder / wanted
