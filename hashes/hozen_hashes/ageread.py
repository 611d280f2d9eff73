"""An age v1 stream is read: every byte that is given out was authenticated first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hozen_hashes import ageheader
from hozen_hashes.agewrite import CHUNK, NONCE_BYTES, chunk_nonce
from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hozen_hashes.agekeys import Identity

_SEALED: Final = CHUNK + 16


class AgeReader:
    """Decrypts an age v1 stream with constant memory (C2SP age §Payload).

    A stream that was cut or changed gives its authenticated prefix, and then FormatError.

    Args:
        read: gives at most so many bytes of ciphertext, and none at its end.
        identities: one of them must be a recipient.

    Raises:
        FormatError: not an age v1 file, or its header was changed.
        LimitError: a header beyond its bounds.
        NotVerifiableError: none of the identities is a recipient.
    """

    __slots__ = ("_ahead", "_at", "_chunk", "_chunks", "_damage", "_read")

    def __init__(self, read: Callable[[int], bytes], identities: Sequence[Identity]) -> None:
        self._read = read
        self._ahead = b""
        file_key = ageheader.open_header(self._line, identities)
        nonce = self._take(NONCE_BYTES)
        if len(nonce) < NONCE_BYTES:
            raise FormatError("the encrypted file ends in its header")
        self._chunks = self._open_chunks(ChaCha20Poly1305(ageheader.payload_key(file_key, nonce)))
        self._chunk = b""
        self._at = 0
        self._damage: FormatError | None = None

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer only before the end or before damage, none at the end.

        Raises:
            FormatError: everything before was returned, and what follows was cut or changed.
        """
        parts: list[bytes] = []
        while size > 0 and (self._at < len(self._chunk) or self._next()):
            part = self._chunk[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        if size > 0 and not parts and self._damage is not None:
            raise self._damage
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _next(self) -> bool:
        if self._damage is not None:
            return False
        try:
            self._chunk, self._at = next(self._chunks, b""), 0
        except FormatError as damage:
            self._damage = damage
        return self._damage is None and bool(self._chunk)

    def _open_chunks(self, aead: ChaCha20Poly1305) -> Iterator[bytes]:
        count, last = 0, False
        sealed = self._take(_SEALED)
        while not last:
            following = self._take(_SEALED)
            chunk, last = _open(aead, count, sealed, ends=not following)
            if last and not chunk and count:
                raise FormatError(
                    "the encrypted file ends in an empty chunk, which no writer makes"
                )
            if chunk:
                yield chunk
            if last and following:
                raise FormatError("the encrypted file goes on after its last chunk")
            if not last and not following:
                raise FormatError("the encrypted file was cut: its last chunk is missing")
            sealed, count = following, count + 1

    def _take(self, size: int) -> bytes:
        """Return `size` bytes of ciphertext, fewer only at the end."""
        if not self._ahead:
            first = self._read(size)
            if len(first) == size:
                return first
            self._ahead = first
        held = bytearray(self._ahead[:size])
        self._ahead = self._ahead[size:]
        while len(held) < size and (more := self._read(size - len(held))):
            held += more
        return bytes(held)

    def _line(self) -> bytes:
        """Return the next header line with its LF, cut at the limit of a line."""
        while b"\n" not in self._ahead and len(self._ahead) < ageheader.MAX_LINE:
            more = self._read(ageheader.MAX_LINE)
            if not more:
                break
            self._ahead += more
        end = self._ahead.find(b"\n", 0, ageheader.MAX_LINE) + 1 or ageheader.MAX_LINE
        line, self._ahead = self._ahead[:end], self._ahead[end:]
        return line


def _open(aead: ChaCha20Poly1305, count: int, sealed: bytes, *, ends: bool) -> tuple[bytes, bool]:
    """Return the chunk and whether it is the last; a chunk that is not full can only be the last."""
    for last in (True,) if len(sealed) < _SEALED else (ends, not ends):
        try:
            return aead.decrypt(chunk_nonce(count, last=last), sealed, None), last
        except (InvalidTag, ValueError):
            continue
    what = "was cut within" if ends else "was changed in"
    raise FormatError(f"the encrypted file {what} chunk {count}")
