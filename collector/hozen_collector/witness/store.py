"""What a witness keeps on disk: its key, the keys of the logs it watches, and the newest checkpoint that it cosigned.

    witness.key           its private key, 0600          witness.vkey, card.txt   its public key
    logs/<id>.vkey        one line a key that it trusts for one origin; <id> is SHA-256(origin)
    known/<id>.note       the newest checkpoint with the log's signature and our own; empty: none cosigned yet
    refused/<hash>.req    requests that the log signed and that contradict what is known: proof against the log

The state is a note that this witness itself signed, so a damaged or foreign one is noticed. A missing one is not taken
for a new log: a witness that forgot would cosign a second history.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_collector import durable, faults
from hozen_hashes.addcheckpoint import (
    CONFLICT,
    UNPROVED,
    AddCheckpoint,
    Known,
    RefusedCheckpointError,
    decide,
)
from hozen_hashes.checkpoint import read_checkpoint
from hozen_hashes.cosignature import WitnessSigner, verify_cosignatures
from hozen_hashes.errors import BadDataError, FormatError, HozenError, TryAgainError, UsageError
from hozen_hashes.note import Note, VerifierKey, parse_vkey, verify_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hozen_hashes.note import NoteSignature

logger = logging.getLogger("hozen.witness")
MAX_LOGS: Final = 1000
_MAX_REFUSED: Final = 1000


@dataclass(frozen=True, slots=True)
class Layout:
    """The places below a witness's directory."""

    root: Path

    def log_keys(self, origin: str) -> Path:
        """Keys that are trusted for an origin."""
        return self.root / "logs" / f"{_id(origin)}.vkey"

    def known(self, origin: str) -> Path:
        """The newest cosigned checkpoint of an origin."""
        return self.root / "known" / f"{_id(origin)}.note"


def init(root: Path, signer: WitnessSigner, log_keys: Sequence[VerifierKey]) -> str:
    """Make a witness in an empty directory, and give its card.

    Raises:
        UsageError: the directory is not empty.
        CannotWriteError: the disk refuses.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root} is not empty", hint="Give a new directory.")
    with durable.writing(str(root)):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("logs", "known", "refused"):
        durable.make_directory(root / name)
    for key in log_keys:
        trust(root, key)
    text = card(signer)
    durable.create_file(root / "card.txt", text.encode(), mode=0o644)
    durable.create_file(root / "witness.vkey", signer.key.line, mode=0o644)
    durable.create_file(root / "witness.key", signer.encode())
    return text


def trust(root: Path, key: VerifierKey) -> None:
    """Watch the log of this key, whose name is the log's origin, from now on.

    Raises:
        UsageError: no witness's directory, the key is known already, or there are 1,000 logs.
        CannotWriteError: the disk refuses.
    """
    layout = Layout(root)
    if not (root / "logs").is_dir():
        raise _no_witness(root)
    place, known = layout.log_keys(key.name), layout.known(key.name)
    before = place.read_bytes() if place.exists() else b""
    if key.line in before.splitlines(keepends=True):
        raise UsageError(f"the key of {key.name} is trusted already")
    if not before and len(list(place.parent.iterdir())) >= MAX_LOGS:
        raise UsageError(f"this witness watches {MAX_LOGS} logs already")
    if not known.exists():
        durable.create_file(known, b"")
    durable.write_file(place, before + key.line, mode=0o644)


def card(signer: WitnessSigner) -> str:
    """Give what the witness hands to the log's operator and to whoever will verify."""
    digest = signer.key.sha256
    return "\n".join(
        (
            "Hozen witness card / ログ立会サーバー カード",
            "Give it to the collector's operator and to whoever verifies.",
            "収集サーバーの運用者と検証する人に渡してください。",
            "",
            "witness key line (witness.vkey) / 鍵",
            f"  {signer.key.line.decode().strip()}",
            "fingerprint (sha256sum witness.vkey) / 指紋",
            "  " + " ".join(digest[at : at + 8] for at in range(0, 64, 8)),
            "",
        )
    )


class Witness:
    """One opened witness, the only one of its directory. `add_checkpoint` blocks and may be called from any thread."""

    def __init__(self, root: Path, *, now: Callable[[], int]) -> None:
        """Open the directory and read its whole state.

        Raises:
            UsageError: not a witness's directory.
            TryAgainError: another process serves it.
            FormatError: the key or a state is missing or damaged; nothing is cosigned then.
        """
        self._layout = Layout(root)
        self._now = now
        self._mutex = threading.Lock()
        if not (root / "witness.key").is_file():
            raise _no_witness(root)
        self._descriptor = _locked(root)
        try:
            for name in ("logs", "known", "refused"):
                durable.sweep_temporary(root / name)
            self.signer = WitnessSigner.parse(_read(root / "witness.key"))
            self._keys = _log_keys(root)
            self._known = {origin: self._load(origin) for origin in self._keys}
        except HozenError:
            self.close()
            raise

    def close(self) -> None:
        """Give the directory back."""
        os.close(self._descriptor)

    @property
    def known(self) -> dict[str, int]:
        """The size that is known of each log."""
        return {origin: state.size for origin, (state, _) in self._known.items()}

    def add_checkpoint(self, request: AddCheckpoint) -> NoteSignature:
        """Give the cosignature; what it says is durable before.

        Raises:
            RefusedCheckpointError: as C2SP tlog-witness says.
            TryAgainError: this machine's clock stands before our last cosignature.
            CannotWriteError: the disk refuses; nothing was cosigned.
        """
        with (
            self._mutex
        ):  # check, write and answer are one step: two requests cannot roll each other back
            origin = request.checkpoint.origin
            known, last = self._known.get(origin, (Known(), 0))
            keys = self._keys.get(origin, ())
            try:
                after = decide(request, keys, known)
            except RefusedCheckpointError as refused:
                self._keep_proof(request, known, refused, keys)
                raise
            seconds = self._now()
            if seconds < last:
                raise TryAgainError("this witness's clock went back", hint="Set its clock right.")
            return self._sign(request, keys, after, seconds)

    def _sign(
        self, request: AddCheckpoint, keys: Sequence[VerifierKey], after: Known, seconds: int
    ) -> NoteSignature:
        origin, text = request.checkpoint.origin, request.note.text
        trusted = {(key.name, key.key_id) for key in keys}
        theirs = [s for s in request.note.signatures if (s.name, s.key_id) in trusted]
        line = self.signer.cosign(text, seconds)
        faults.reach("witness-decided")
        note = Note(text, (theirs[0], line)).encode()
        durable.write_file(self._layout.known(origin), note)
        faults.reach("witness-written")
        self._known[origin] = (after, seconds)
        return line

    def _keep_proof(
        self,
        request: AddCheckpoint,
        known: Known,
        refused: RefusedCheckpointError,
        keys: Sequence[VerifierKey],
    ) -> None:
        """Keep what the log signed and cannot be: another root of a known size, or growth without a proof."""
        new = request.checkpoint
        fork = refused.status == CONFLICT and (new.size == known.size and new.root != known.root)
        if not keys or not (fork or refused.status == UNPROVED):
            return
        logger.warning("refused %s at %d leaves: %s", new.origin, new.size, refused)
        place = self._layout.root / "refused"
        target = place / f"{hashlib.sha256(request.note.text.encode()).hexdigest()}.req"
        if not target.exists() and len(list(place.iterdir())) < _MAX_REFUSED:
            durable.write_file(target, request.encode())

    def _load(self, origin: str) -> tuple[Known, int]:
        """Give the size and root that we last cosigned, and when."""
        data = _read(self._layout.known(origin))
        if not data:
            return Known(), 0
        try:
            checkpoint, note = read_checkpoint(data)
            mine = verify_cosignatures(note, [self.signer.key])
            verify_note(note, self._keys[origin])
        except BadDataError as error:
            raise _damaged(origin) from error
        if checkpoint.origin != origin or not mine:
            raise _damaged(origin)
        return Known(checkpoint.size, checkpoint.root), mine[0].seconds


def _log_keys(root: Path) -> dict[str, tuple[VerifierKey, ...]]:
    found: dict[str, tuple[VerifierKey, ...]] = {}
    for path in _files(root / "logs"):
        keys = tuple(parse_vkey(line) for line in _read(path).splitlines())
        names = {key.name for key in keys}
        if len(names) != 1 or path != Layout(root).log_keys(keys[0].name):
            raise FormatError(f"logs/{path.name} is damaged", hint="Restore it from its backup.")
        found[keys[0].name] = keys
    return found


def _files(directory: Path) -> Iterator[Path]:
    with durable.writing(directory.name):
        yield from sorted(directory.iterdir())


def _locked(root: Path) -> int:
    with durable.writing("lock"):
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise TryAgainError("another process serves this witness", hint="Stop it first.") from error
    return descriptor


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(
            f"the witness's file {path.name} cannot be read: {error.strerror}",
            hint="Restore it. A witness that has lost its state must be retired, with its key.",
        ) from error


def _id(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def _no_witness(root: Path) -> UsageError:
    return UsageError(
        f"{root} is not a witness's directory",
        hint=f"Make one: hozen collector witness init {root} --name NAME",
    )


def _damaged(origin: str) -> FormatError:
    return FormatError(
        f"what this witness knew of {origin} is damaged",
        hint="Restore the newest known/ folder. Never start anew with the same key.",
    )
