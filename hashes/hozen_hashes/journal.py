"""The forward-secure journal: one signed segment an epoch, one key an epoch (bundle-v1 §6).

Each segment announces the hash of the next key before it is signed; the key that signed it is dropped at that moment.
Who takes over the host in epoch n can forge what comes after, but can alter nothing before.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hozen_hashes.errors import InternalError
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ALGORITHM = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


@dataclass(frozen=True, slots=True)
class Segment:
    """One closed epoch: the signed text, its signature and the public key, as they lie in the bundle."""

    epoch: int
    text: bytes
    signature: bytes
    public: bytes

    @property
    def stem(self) -> str:
        """The file name without its ending."""
        return f"{self.epoch:06d}"

    @property
    def sha256(self) -> str:
        """SHA-256 of the text, by which the next segment names this one."""
        return sha256(self.text).hexdigest()


class EpochKey:
    """A P-256 key that lives for one epoch."""

    __slots__ = ("_private", "public", "sha256")

    def __init__(self) -> None:
        self._private: ec.EllipticCurvePrivateKey | None = ec.generate_private_key(ec.SECP256R1())
        self.public = self._private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        self.sha256 = sha256(self.public).hexdigest()

    def sign_and_drop(self, text: bytes) -> bytes:
        """Return the DER signature over `text`; afterwards the key is gone from this object.

        Raises:
            InternalError: the key was used before.
        """
        if self._private is None:
            raise InternalError("an epoch key signs once")
        signature = self._private.sign(text, _ALGORITHM)
        self._private = None  # OpenSSL clears the scalar when the last reference goes
        return signature


class Journal:
    """Collects the records of the open epoch and closes it into a Segment.

    Attributes:
        epoch: number of the open epoch.
        first_key_sha256: hash of epoch 0's public key file, which `start.p7s` binds.
        last_sha256: hash of the newest closed segment, or an empty string.
        ended: the `end` record was written; nothing follows.
    """

    def __init__(self, bundle_id: str, *, now: Callable[[], tuple[int, int]]) -> None:
        """Open epoch 0 with a fresh key.

        Args:
            bundle_id: named by every segment.
            now: gives (wall clock, monotonic clock) in nanoseconds.
        """
        self._bundle = bundle_id
        self._now = now
        self._key = EpochKey()
        self._lines = bytearray()
        self.epoch = 0
        self.first_key_sha256 = self._key.sha256
        self.last_sha256 = ""
        self.ended = False

    @property
    def pending(self) -> bool:
        """Whether the open epoch holds a record."""
        return bool(self._lines)

    def add(self, record: Mapping[str, object]) -> None:
        """Enter one record in the open epoch."""
        self.add_line(dump_line(record))

    def add_line(self, line: bytes) -> None:
        """Enter one record that is already a JSON line.

        Raises:
            InternalError: the journal has ended.
        """
        if self.ended:
            raise InternalError("the journal has ended")
        if not self._lines:
            self._lines += self._header()
        self._lines += line

    def close_epoch(self) -> Segment:
        """Announce the next key, sign the segment, drop its key and open the next epoch."""
        following = EpochKey()
        self.add({"type": "next", "key": following.sha256})
        segment = self._seal()
        self._key = following
        self.epoch += 1
        return segment

    def end(self, *, reason: str, items: int, detail: str = "") -> Segment:
        """Sign the last segment: the journal is complete and says why it ended."""
        wall, _ = self._now()
        record: dict[str, object] = {
            "type": "end",
            "reason": reason,
            "items": items,
            "closed": rfc3339(wall),
        }
        if detail:
            record["detail"] = detail
        self.add(record)
        self.ended = True
        return self._seal()

    def _header(self) -> bytes:
        wall, mono = self._now()
        return dump_line(
            {
                "type": "segment",
                "epoch": self.epoch,
                "bundle": self._bundle,
                "previous": self.last_sha256 or None,
                "key": self._key.sha256,
                "opened": rfc3339(wall),
                "mono": str(mono),
            }
        )

    def _seal(self) -> Segment:
        text = bytes(self._lines)
        segment = Segment(self.epoch, text, self._key.sign_and_drop(text), self._key.public)
        self._lines = bytearray()
        self.last_sha256 = segment.sha256
        return segment
