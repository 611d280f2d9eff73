"""Sends one container by tus 1.0 so that a cut at any byte costs at most one piece.

Each piece carries its SHA-256 and counts when the collector has acknowledged it as durable. Where the connection dies,
pieces become smaller; where it holds, larger. The upload's address is kept between calls, so that a later call goes on.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from hozen_agent.sending.replies import (
    API,
    PATIENCE,
    Answer,
    LostError,
    RefusedError,
    delay,
    refusal,
)
from hozen_hashes.errors import FormatError, NotVerifiableError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from hozen_agent.sending.parcel import Parcel

TUS: Final = {"Tus-Resumable": "1.0.0"}
LARGEST: Final = 8 << 20
SMALLEST: Final = 64 << 10
_GONE: Final = frozenset({404, 410})
_CONFLICT: Final = 409
_CHECKSUM: Final = 460
_LOCATION: Final = re.compile(rf"{API}/uploads/[A-Za-z0-9_-]{{1,128}}")


class Line(Protocol):
    """A connection to a collector; `courier.Courier` is one."""

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer, whatever its status; LostError when there is none."""


@dataclass(slots=True)
class Upload:
    """One container on its way.

    Attributes:
        line: the connection.
        parcel: what is sent.
        location: its address at the collector, None before it was created.
        remember: keeps the address for a later call.
        moved: told how many bytes the collector has made durable.
        wait: sleeps; a test may be quicker.
    """

    line: Line
    parcel: Parcel
    location: str | None = None
    remember: Callable[[str], object] = lambda _location: None
    moved: Callable[[int], object] = lambda _size: None
    wait: Callable[[float], object] = time.sleep
    _piece: int = 0
    _failures: int = 0

    def send(self) -> str:
        """Return the upload's address when the collector has every byte.

        Raises:
            TryAgainError: the connection fails again and again; a later call goes on.
            DeniedError, RefusedError: the collector does not take it.
            NotVerifiableError: the container cannot be read, or changed its size.
        """
        self._piece = LARGEST
        with self.parcel.open() as file:
            offset = self._patiently(self._begin)
            while offset < self.parcel.size:
                self.moved(offset)
                reached = self._patiently(lambda at=offset: self._step(file, at))  # type: ignore[misc]
                if reached > offset:
                    self._failures = 0
                offset = reached
        self.moved(offset)
        return self.location or ""

    def _begin(self) -> int:
        """Return where to go on; a new upload where there is none to go on with."""
        if self.location is not None:
            answer = self.line.call("HEAD", self.location, TUS)
            if answer.status not in _GONE:
                return self._offset(_good(answer))
            self.location = None
        answer = _good(self.line.call("POST", f"{API}/uploads", self._declaration()))
        location = answer.headers.get("location", "")
        if not _LOCATION.fullmatch(location):
            raise FormatError("the collector gave no usable address for the upload")
        self.location = location
        self.remember(location)
        return 0

    def _step(self, file: BinaryIO, offset: int) -> int:
        """Send one piece and return the new offset, or where the collector says it is."""
        if self._failures:
            offset = self._begin()
            if offset >= self.parcel.size:
                return offset
        piece = self._read(file, offset)
        digest = base64.b64encode(hashlib.sha256(piece).digest()).decode()
        headers = {
            **TUS,
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
            "Upload-Checksum": f"sha256 {digest}",
        }
        answer = self.line.call("PATCH", self.location or "", headers, piece)
        if answer.status in (_CONFLICT, _CHECKSUM, *_GONE):
            raise LostError(str(refusal(answer)))  # ask where it stands, then go on from there
        reached = self._offset(_good(answer))
        if reached <= offset:
            raise LostError("the collector did not keep what was sent")
        self._piece = min(LARGEST, self._piece * 2)
        return reached

    def _patiently(self, step: Callable[[], int]) -> int:
        """Return what `step` gives, tried again while it makes sense."""
        while True:
            try:
                return step()
            except TryAgainError as error:
                self._failures += 1
                if self._failures >= PATIENCE:
                    raise TryAgainError(
                        str(error), hint="What was sent is kept; the same call goes on from there."
                    ) from None
                self._piece = max(SMALLEST, self._piece // 4)
                self.wait(delay(self._failures))

    def _read(self, file: BinaryIO, offset: int) -> bytes:
        try:
            file.seek(offset)
            piece = file.read(min(self._piece, self.parcel.size - offset))
        except OSError as error:
            raise NotVerifiableError(
                f"{self.parcel.path} cannot be read: {error.strerror}"
            ) from None
        if not piece:
            raise NotVerifiableError(f"{self.parcel.path} became shorter while it was sent")
        return piece

    def _offset(self, answer: Answer) -> int:
        text = answer.headers.get("upload-offset", "")
        if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > self.parcel.size:
            raise FormatError("the collector gave an offset that cannot be")
        return int(text)

    def _declaration(self) -> dict[str, str]:
        parcel = self.parcel
        words = {
            "bundle": parcel.bundle_id,
            "case": parcel.case,
            "seal": parcel.seal or "",
            "sha256": parcel.sha256,
            "filename": parcel.filename,
            "kind": parcel.kind,
        }
        pairs = (
            f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in words.items()
        )
        metadata = ",".join(pair.rstrip() for pair in pairs)
        return {**TUS, "Upload-Length": str(parcel.size), "Upload-Metadata": metadata}


def _good(answer: Answer) -> Answer:
    """Return a good answer; a conflict is something to wait for, the rest as `refusal`."""
    if answer.status // 100 == 2:  # noqa: PLR2004
        return answer
    error = refusal(answer)
    if isinstance(error, RefusedError) and error.status == _CONFLICT:
        raise TryAgainError(str(error), hint=error.hint)
    raise error
