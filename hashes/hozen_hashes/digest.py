"""SHA-256 and the number of bytes that went into it: how every byte of a bundle is named."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hozen_hashes.buffers import Buffer


class Digest:
    """A running SHA-256 with a byte count; both may be asked for at any time.

    Attributes:
        size: how many bytes were taken so far.
    """

    __slots__ = ("_sha", "size")

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.size = 0

    def update(self, data: Buffer) -> None:
        """Take the next bytes; from 2 KiB on other threads run meanwhile."""
        self._sha.update(data)
        self.size += data.nbytes if isinstance(data, memoryview) else len(data)

    def hexdigest(self) -> str:
        """Return the hash of the bytes so far: 64 lower-case hexadecimal digits (bundle-v1 §2)."""
        return self._sha.hexdigest()

    def digest(self) -> bytes:
        """Return the hash of the bytes so far: 32 bytes."""
        return self._sha.digest()

    def copy(self) -> Digest:
        """Return an independent digest that has taken the same bytes."""
        twin = Digest()
        twin._sha = self._sha.copy()
        twin.size = self.size
        return twin


def sha256_hex(data: Buffer) -> str:
    """Return the SHA-256 of `data`: 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
