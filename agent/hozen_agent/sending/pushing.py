"""Pushes a bundle: upload or resume, wait for the verdict, verify and keep the receipt, then what lies beside it.

Idempotent: what the collector has already is not sent again, and the receipt is fetched. A receipt for the seal stands
for another container only when the collector itself had computed that seal.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent import custody
from hozen_agent.courier import Courier
from hozen_agent.sending import proofs
from hozen_agent.sending.beside import Beside, push_beside
from hozen_agent.sending.enrolment import load_enrolment
from hozen_agent.sending.logwatch import watch
from hozen_agent.sending.parcel import Parcel, read_parcel
from hozen_agent.sending.replies import API, PATIENCE, RefusedError, receipt_of
from hozen_agent.sending.stampfiles import Stamps, fetch_stamps
from hozen_agent.sending.uploading import Upload
from hozen_hashes.errors import (
    BadDataError,
    FormatError,
    LimitError,
    MismatchError,
    TryAgainError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hozen_agent.sending.enrolment import Enrolment
    from hozen_hashes.receipt import VerifiedReceipt

ABSENT: Final = 404
VERDICT: Final = 1800.0  # seconds to wait for it
_POLLS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_STATES: Final = frozenset({"receiving", "verifying", "accepted", "quarantined"})
_MAX_BODY: Final = 46 << 20  # of a custody event with its attachments, in base64


class QuarantinedError(MismatchError):
    """The collector has the bundle, but keeps it apart because its check failed.

    Attributes:
        reasons: in the collector's words.
        reasons_ja: the same in Japanese, where it gave them.
    """

    def __init__(self, reasons: tuple[str, ...], reasons_ja: tuple[str, ...] = ()) -> None:
        said = "; ".join(reasons) or "no reason was given"
        super().__init__(
            f"the collector put the bundle into quarantine: {said}",
            hint="Keep the bundle; compare it with other copies, and push one that holds.",
        )
        self.reasons = reasons
        self.reasons_ja = reasons_ja or reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Told while a push is under way; sizes in bytes."""

    hashed: Callable[[int], object] = lambda _size: None
    sent: Callable[[int, int], object] = lambda _size, _total: None
    said: Callable[[str], object] = lambda _state: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A bundle that the collector has accepted.

    Attributes:
        receipt: the verified receipt, kept in `directory`.
        known: it was there already; nothing was sent.
        events: how many custody events the collector has now logged.
        stamps: the time stamps beside the bundle; the same call later fetches those still to come.
        beside: what the collector has besides an encrypted container.
    """

    parcel: Parcel
    receipt: VerifiedReceipt
    directory: Path
    known: bool
    events: int
    stamps: Stamps
    beside: Beside


def push_bundle(url: str, bundle: Path) -> Path:
    """Push a bundle and return the directory of its verified receipt; errors as `push`."""
    return push(load_enrolment(url), bundle).directory


def push(
    enrolment: Enrolment,
    path: Path,
    *,
    progress: Progress | None = None,
    patience: float = VERDICT,
) -> Pushed:
    """Return the accepted bundle with its receipt.

    Args:
        enrolment: who pushes, and to which collector.
        path: the container, or its first volume.
        progress: told what happens.
        patience: seconds to wait for the verdict.

    Raises:
        QuarantinedError: the collector's check failed.
        TryAgainError: the transfer or the check did not end; the same call goes on.
        DeniedError: the collector refuses this computer or case.
        MismatchError, SignatureError, FormatError: the receipt is not for this bundle, or the log was rewritten.
        UsageError, NotVerifiableError: the container cannot be read.
        CannotWriteError: the receipt cannot be kept; the collector has the bundle.
    """
    told = progress or Progress()
    parcel = read_parcel(path, moved=told.hashed)
    courier = Courier(enrolment, attempts=PATIENCE)
    try:
        found = _known(courier, parcel)
        known = found is not None
        if found is None:
            found = _send(courier, parcel, told, patience)
        verified, files = found
        directory = proofs.keep_receipt(parcel.proofs, files, verified)
        beside = push_beside(courier, parcel, verified)
        events = _push_events(courier, parcel)
        watch(courier, verified.signed)
        container = verified.statement.container_sha256 or parcel.sha256
        stamps = fetch_stamps(courier, parcel, directory, container)
    finally:
        courier.close()
    return Pushed(
        parcel=parcel,
        receipt=verified,
        directory=directory,
        known=known,
        events=events,
        stamps=stamps,
        beside=beside,
    )


Found = tuple["VerifiedReceipt", "dict[str, bytes]"]


def _known(courier: Courier, parcel: Parcel) -> Found | None:
    """Return the receipt that the collector gave for this bundle before, or None."""
    for key in (parcel.sha256, parcel.seal):
        if key is None:
            continue
        files = _receipt(courier, key)
        if files is None:
            continue
        try:
            verified = _verified(courier, parcel, files)
        except (BadDataError, MismatchError):
            if key == parcel.sha256:
                raise
            continue  # somebody else's claim about our seal; our container is sent
        same = verified.statement.container_sha256 == parcel.sha256
        if verified.accepted and (same or verified.statement.seal_state == "checked"):
            return verified, files
    return None


def _send(courier: Courier, parcel: Parcel, told: Progress, patience: float) -> Found:
    """Return the receipt after the container was sent and accepted."""
    remembered = courier.enrolment.directory / "uploads" / parcel.sha256
    upload = Upload(
        courier,
        parcel,
        location=proofs.recall(remembered),
        remember=lambda location: proofs.remember(remembered, location),
        moved=lambda size: told.sent(size, parcel.size),
    )
    location = upload.send()
    _await_verdict(courier, location, told, patience, lambda: proofs.forget(remembered))
    proofs.forget(remembered)
    files = _receipt(courier, parcel.sha256)
    if files is None:
        raise TryAgainError("the collector accepted the bundle but has no receipt yet")
    verified = _verified(courier, parcel, files)
    if not verified.accepted:
        raise MismatchError("the collector's receipt does not say that the bundle was accepted")
    return verified, files


def _await_verdict(
    courier: Courier,
    location: str,
    told: Progress,
    patience: float,
    settled: Callable[[], object],
) -> None:
    """Return when the upload was accepted."""
    deadline = time.monotonic() + patience
    polls = list(_POLLS)
    while True:
        words = courier.get(location).json()
        state = words.get("state")
        if state not in _STATES:
            raise FormatError("the collector gave a state that does not exist")
        told.said(str(state))
        if state == "accepted":
            return
        if state == "quarantined":
            settled()
            raise QuarantinedError(_reasons(words, "reasons"), _reasons(words, "reasons_ja"))
        if time.monotonic() > deadline:
            raise TryAgainError(
                "the collector has the bundle and has not finished its check",
                hint="The same call asks again later; nothing is sent twice.",
            )
        time.sleep(polls.pop(0) if len(polls) > 1 else polls[0])


def _receipt(courier: Courier, key: str) -> dict[str, bytes] | None:
    try:
        return receipt_of(courier.get(f"{API}/receipts/{key}"))
    except RefusedError as error:
        if error.status == ABSENT:
            return None
        raise


def _verified(courier: Courier, parcel: Parcel, files: Mapping[str, bytes]) -> VerifiedReceipt:
    return courier.enrolment.verify_receipt(
        files,
        seal=parcel.seal,
        container=parcel.sha256,
        signature=parcel.signature_sha256,
        bundle=parcel.bundle_id,
    )


def _push_events(courier: Courier, parcel: Parcel) -> int:
    """Send the custody events beside the bundle that the collector has not logged; return how many it has."""
    if parcel.seal is None:
        return 0
    count = 0
    for event in custody.read_events(parcel.proofs):
        count += 1
        if proofs.has_event_receipt(parcel.proofs, event.name):
            continue
        body: dict[str, object] = {
            "name": f"{event.name}.json",
            "event": base64.b64encode(event.data).decode(),
            "signature": base64.b64encode(event.signature).decode(),
            "attachments": {
                digest: base64.b64encode(data).decode()
                for digest, data in event.attachments.items()
            },
        }
        if sum(map(len, event.attachments.values())) * 4 // 3 > _MAX_BODY:
            raise LimitError(f"custody event {event.name}: its attachments are too large to send")
        files = receipt_of(courier.post(f"{API}/bundles/{parcel.seal}/custody", body))
        verified = courier.verify(
            files, container=event.data, signature=event.signature, bundle=parcel.bundle_id
        )
        if verified.statement.event != "custody":
            raise MismatchError("the collector's receipt is not for a custody event")
        proofs.keep_event_receipt(parcel.proofs, event.name, files)
    return count


def _reasons(words: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Return the collector's reasons without control characters, at most twenty."""
    found = words.get(name)
    texts = [text for text in found if isinstance(text, str)] if isinstance(found, list) else []
    return tuple("".join(c for c in text if c.isprintable())[:300] for text in texts[:20])
