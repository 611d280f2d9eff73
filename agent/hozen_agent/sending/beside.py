"""What lies beside an encrypted bundle goes after it: its envelope, and opening statements (envelope-v1 §3, §4).

Without the envelope a certificate's holder could not open the collector's copy. It is sent when there is no receipt for
it yet, also to a collector that has the bundle since long. A problem here never takes back what was accepted.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.sending import proofs
from hozen_agent.sending.replies import API, RefusedError, receipt_of
from hozen_hashes.envelope.files import read_folder, read_openings
from hozen_hashes.envelope.opening import parse_opening
from hozen_hashes.envelope.reading import SIGNATURE, digest_of, listing_of, read_envelope
from hozen_hashes.errors import BadDataError, FormatError, MismatchError, NotVerifiableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.courier import Courier
    from hozen_agent.sending.parcel import Parcel
    from hozen_hashes.receipt import VerifiedReceipt

ABSENT: Final = 404
ENVELOPE: Final = "envelope"
_WRONG: Final = (BadDataError, MismatchError, NotVerifiableError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the collector has now besides an encrypted container.

    Attributes:
        envelope: digest of the envelope that it keeps, or None.
        leaf: the log's entry of it.
        openings: how many opening statements it has logged.
        problems: why something is not there.
        wanted: whether it is to have an envelope.
    """

    envelope: str | None = None
    leaf: int | None = None
    openings: int = 0
    problems: tuple[str, ...] = ()
    wanted: bool = False


def push_beside(courier: Courier, parcel: Parcel, accepted: VerifiedReceipt) -> Beside:
    """Send envelope and opening statements of an encrypted container after it was accepted.

    Nothing is sent to a collector that has the bundle in another container.

    Raises:
        TryAgainError, DeniedError: the collector is out of reach, or refuses this computer; the same call goes on.
        CannotWriteError: a receipt cannot be kept.
    """
    if parcel.kind != "encrypted" or accepted.statement.container_sha256 != parcel.sha256:
        return Beside()
    problems: list[str] = []
    envelope, openings = None, 0
    try:
        envelope = _push_envelope(courier, parcel)
    except (*_WRONG, RefusedError) as error:
        problems.append(f"the envelope was not sent: {error}")
    try:
        openings = _push_openings(courier, parcel)
    except (*_WRONG, RefusedError) as error:
        problems.append(f"an opening statement was not sent: {error}")
    return Beside(
        envelope=None if envelope is None else envelope.statement.container_sha256,
        leaf=None if envelope is None else envelope.leaf_index,
        openings=openings,
        problems=tuple(problems),
        wanted=True,
    )


def _push_envelope(courier: Courier, parcel: Parcel) -> VerifiedReceipt | None:
    """Return the receipt of the envelope, or None when an earlier version of the collector knows no envelopes."""
    files = read_folder(parcel.envelope)
    if files is None:
        raise FormatError("there is none beside the bundle")
    _check(files, parcel)
    body: dict[str, object] = {
        "sha256": digest_of(files),
        "files": {name: base64.b64encode(data).decode() for name, data in files.items()},
    }
    post = _Post(courier, parcel, ENVELOPE, listing_of(files), files[SIGNATURE])
    return post.kept() or post.send(body, "envelope")


def _check(files: Mapping[str, bytes], parcel: Parcel) -> None:
    """Return when the envelope is whole and of this container."""
    envelope = read_envelope(files)
    if (envelope.bundle_id, envelope.ciphertext_sha256) != (parcel.bundle_id, parcel.sha256):
        raise MismatchError(f"{parcel.envelope.name} is not of {parcel.path.name}")


def _push_openings(courier: Courier, parcel: Parcel) -> int:
    """Return how many of the statements beside the bundle are logged."""
    count = 0
    for stem, (text, signature) in read_openings(parcel.proofs).items():
        if parse_opening(text).container_sha256 != parcel.sha256:
            raise MismatchError(f"{stem}.txt is about another file")
        body: dict[str, object] = {
            "statement": base64.b64encode(text).decode(),
            "signature": base64.b64encode(signature).decode(),
        }
        post = _Post(courier, parcel, stem, text, signature)
        count += (post.kept() or post.send(body, "opened")) is not None
    return count


@dataclass(frozen=True, slots=True)
class _Post:
    """One small thing that the collector logs: by the bytes that its receipt names, and their signature."""

    courier: Courier
    parcel: Parcel
    name: str
    named: bytes
    signature: bytes

    def kept(self) -> VerifiedReceipt | None:
        """Return this collector's receipt when an earlier call kept it."""
        for files in proofs.receipts_of(self.parcel.proofs, self.name):
            try:
                return self._verified(files)
            except _WRONG:
                continue  # another collector's, or of another envelope
        return None

    def send(self, body: Mapping[str, object], kind: str) -> VerifiedReceipt | None:
        """Send it, keep the receipt and return it; None from a collector that knows nothing of this kind."""
        place = f"{API}/containers/{self.parcel.sha256}/{kind}"
        try:
            files = receipt_of(self.courier.post(place, body))
        except RefusedError as error:
            if error.status == ABSENT:
                return None
            raise
        verified = self._verified(files)
        if verified.statement.event != kind:
            raise MismatchError(f"the collector's receipt is not for the event {kind}")
        proofs.keep_named_receipt(self.parcel.proofs, self.name, files, verified)
        return verified

    def _verified(self, files: Mapping[str, bytes]) -> VerifiedReceipt:
        return self.courier.verify(
            files, container=self.named, signature=self.signature, bundle=self.parcel.bundle_id
        )
