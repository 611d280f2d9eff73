"""Sees that the collector's log only grows: its newest checkpoint contains those we saw (log-v1 §7, RFC 9162 §2.1.4).

The newest one is kept beside the enrolment. A log that was rewritten, restored from a backup, or shown to us in another
version than to others cannot prove that it contains what we hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hozen_agent.sending.replies import API, RefusedError
from hozen_hashes import newfile
from hozen_hashes.checkpoint import SignedCheckpoint, verify_checkpoint
from hozen_hashes.errors import BadDataError, CannotWriteError, SignatureError
from hozen_hashes.merkle import consistency_proof, verify_consistency
from hozen_hashes.tiles import hash_reader

if TYPE_CHECKING:
    from hozen_agent.courier import Courier

ABSENT: Final = 404
KEPT: Final = "checkpoint"
_MAX_NOTE: Final = 512 << 10


def watch(courier: Courier, seen: SignedCheckpoint | None) -> SignedCheckpoint:
    """Return the log's newest checkpoint, which contains `seen` and the one kept before; keep it.

    Raises:
        SignatureError: it does not contain them.
        FormatError: it is no checkpoint of this log, or its tiles are not there.
        TryAgainError, DeniedError: as `Courier.get`.
    """
    kept = _kept(courier)
    newest = verify_checkpoint(courier.get(f"{API}/checkpoint").body, [courier.enrolment.log_key])
    for old in (kept, seen):
        if old is not None:
            _check(courier, old, newest)
    if kept is None or kept.checkpoint.size < newest.checkpoint.size:
        _keep(courier, newest)
    return newest


def _check(courier: Courier, old: SignedCheckpoint, new: SignedCheckpoint) -> None:
    """Return when the newer tree contains the older one, by a proof that we make from the log's tiles."""
    first, second = old.checkpoint, new.checkpoint
    try:
        if first.size > second.size:
            raise SignatureError(f"it had {first.size} leaves and now has {second.size}")
        proof = consistency_proof(
            first.size, second.size, hash_reader(lambda path: _tile(courier, path), second.size)
        )
        verify_consistency(first.size, first.root, second.size, second.root, proof)
    except BadDataError as error:
        raise SignatureError(
            f"the log {first.origin} does not contain what it had stated before: {error}",
            hint="Keep the receipts that you have, and ask the custodian: it was restored, or rewritten.",
        ) from None


def _tile(courier: Courier, path: str) -> bytes | None:
    try:
        return courier.get(f"/log/{path}").body
    except RefusedError as error:
        if error.status == ABSENT:
            return None
        raise


def _kept(courier: Courier) -> SignedCheckpoint | None:
    """Return the newest checkpoint that we have seen; one that is damaged is as good as none."""
    try:
        with (courier.enrolment.directory / KEPT).open("rb") as file:
            return verify_checkpoint(file.read(_MAX_NOTE), [courier.enrolment.log_key])
    except (OSError, BadDataError):
        return None


def _keep(courier: Courier, newest: SignedCheckpoint) -> None:
    try:
        newfile.replace(courier.enrolment.directory / KEPT, newest.note.encode())
    except CannotWriteError:
        return  # the state may be read-only; then only what the receipts hold is compared
