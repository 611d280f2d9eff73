"""An age v1 stream is written: constant memory, whole chunks straight from the caller's buffer."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hozen_hashes import ageheader
from hozen_hashes.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hozen_hashes.agekeys import Recipient
    from hozen_hashes.buffers import Buffer

CHUNK: Final = 64 * 1024
NONCE_BYTES: Final = 16


class AgeWriter:
    """Encrypts what is written to it for the recipients (C2SP age §Payload).

    Without `close` the stream has no last chunk, and every reader finds it cut: an interrupted capture stays visible.

    Args:
        write: takes the ciphertext, header first.
        recipients: each of them can open it.

    Raises:
        UsageError: no recipients, too many, or one that is of no use.
    """

    __slots__ = ("_aead", "_closed", "_count", "_held", "_write")

    def __init__(self, write: Callable[[Buffer], object], recipients: Sequence[Recipient]) -> None:
        file_key = secrets.token_bytes(ageheader.FILE_KEY_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        header = ageheader.make(file_key, recipients)
        self._aead = ChaCha20Poly1305(ageheader.payload_key(file_key, nonce))
        self._write = write
        self._held = bytearray()
        self._count = 0
        self._closed = False
        write(header + nonce)

    def write(self, data: Buffer) -> None:
        """Encrypt `data`; up to 64 KiB of it are held back, because only `close` knows the last chunk.

        Raises:
            InternalError: after `close`.
        """
        if self._closed:
            raise InternalError("an age stream is written after its end")
        view = memoryview(data).cast("B")
        at = 0
        if self._held:
            at = min(CHUNK - len(self._held), len(view))
            self._held += view[:at]
            if at == len(view):
                return  # a full chunk waits too: it may be the last
            self._seal(self._held)
            self._held = bytearray()
        while len(view) - at > CHUNK:
            self._seal(view[at : at + CHUNK])
            at += CHUNK
        self._held += view[at:]

    def close(self) -> None:
        """Write the last chunk; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._seal(self._held, last=True)

    def _seal(self, chunk: Buffer, *, last: bool = False) -> None:
        self._write(self._aead.encrypt(chunk_nonce(self._count, last=last), chunk, None))
        self._count += 1


def chunk_nonce(count: int, *, last: bool) -> bytes:
    """Return the nonce of chunk `count`: 11 bytes of counter and whether it is the last."""
    return count.to_bytes(11, "big") + bytes((last,))
