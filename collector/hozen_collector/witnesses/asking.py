"""One question to a witness (C2SP add-checkpoint), bounded in time and size; what comes back is hostile."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httptools

from hozen_hashes.addcheckpoint import CONFLICT, UNKNOWN, UNPROVED, UNSIGNED
from hozen_hashes.checkpoint import parse_decimal
from hozen_hashes.cosignature import verify_cosignatures
from hozen_hashes.errors import BadDataError, TryAgainError
from hozen_hashes.note import parse_note

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from hozen_hashes.cosignature import WitnessKey
    from hozen_hashes.note import Note, NoteSignature

MAX_ANSWER: Final = 64 << 10
_READ: Final = 16 << 10
_GOOD: Final = 200
_SAID: Final = {
    UNSIGNED: "it does not accept the log's signature (403)",
    UNKNOWN: "it does not know this log (404)",
    UNPROVED: "it refuses: the log is not shown to contain what it cosigned before (422)",
}


class WitnessError(TryAgainError):
    """The witness did not cosign; the text says why."""


@dataclass(slots=True)
class Answer:
    """What came over HTTP; the parser of httptools calls its methods."""

    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """Note the end."""
        self.whole = True

    @property
    def known(self) -> int:
        """The size in a 409 answer; WitnessError where there is none."""
        try:
            return parse_decimal(bytes(self.body).decode("ascii").removesuffix("\n"), "its size")
        except (BadDataError, UnicodeDecodeError):
            raise WitnessError("it answered 409 without the size that it knows") from None


async def ask(url: str, body: bytes, *, seconds: float) -> Answer:
    """Return the answer to a POST of `body`, of any status.

    Raises:
        WitnessError: no whole answer of at most 64 KiB within the time.
    """
    parts = urlsplit(url)
    answer = Answer()
    try:
        async with asyncio.timeout(seconds):
            await _exchange(parts, _request(parts, body), answer)
    except TimeoutError:
        raise WitnessError(f"no whole answer within {seconds:g} s") from None
    except (OSError, ValueError, httptools.HttpParserError) as error:
        said = str(error)[:200] or type(error).__name__
        raise WitnessError(f"no answer: {said}") from None
    return answer


def cosignature(answer: Answer, note: Note, key: WitnessKey) -> tuple[NoteSignature, int]:
    """Return the line of this witness in an answer, and the time it claims.

    Raises:
        WitnessError: another status than 200, or no cosignature by this key over this note.
    """
    if answer.status != _GOOD:
        said = _SAID.get(answer.status, f"it answered with HTTP status {answer.status}")
        raise WitnessError(said)
    try:
        lines = parse_note(f"{note.text}\n".encode() + bytes(answer.body))
        if lines.text != note.text:
            raise WitnessError("its answer is no list of signature lines")
        found = verify_cosignatures(lines, [key])
    except BadDataError as error:
        raise WitnessError(f"its answer is not usable: {error}") from None
    if not found:
        raise WitnessError("its answer has no cosignature by its key")
    seconds = found[0].seconds
    return next(
        (line, seconds)
        for line in lines.signatures
        if (line.name, line.key_id) == (key.name, key.key_id)
        and line.signature[:8] == seconds.to_bytes(8, "big")
    )


def is_conflict(answer: Answer) -> bool:
    """Return whether the witness knows another size, or another root of it."""
    return answer.status == CONFLICT


async def _exchange(parts: SplitResult, request: bytes, answer: Answer) -> None:
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    try:
        writer.write(request)
        await writer.drain()
        await _read(reader, answer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader, answer: Answer) -> None:
    parser = httptools.HttpResponseParser(answer)
    taken = 0
    while not answer.whole:
        data = await reader.read(_READ)
        taken += len(data)
        if taken > MAX_ANSWER:
            raise WitnessError(f"its answer is longer than {MAX_ANSWER} bytes")
        if not data:
            raise WitnessError("its answer was cut short")
        parser.feed_data(data)
    answer.status = parser.get_status_code()


def _request(parts: SplitResult, body: bytes) -> bytes:
    path = parts.path.rstrip("/") + "/add-checkpoint"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
