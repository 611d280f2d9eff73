"""The request headers of tus 1.0, each read strictly."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_collector.problem import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,checksum,termination,expiration"
ALGORITHMS: Final = ("sha1", "sha256")
CONTENT_TYPE: Final = "application/offset+octet-stream"
_DECIMAL: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the body of one request must hash to."""

    algorithm: str
    digest: bytes

    def new(self) -> hashlib._Hash:
        """Give an empty hash of the algorithm."""
        # sha1 is tus's own default and guards against transfer faults only; the container's hash is SHA-256.
        return hashlib.new(self.algorithm, usedforsecurity=False)


def check_version(headers: Mapping[str, str]) -> None:
    """Return if the client speaks tus 1.0.0.

    Raises:
        RefusedError: 412, with the versions we speak.
    """
    if headers.get("tus-resumable") != VERSION:
        raise RefusedError(
            412,
            "Tus-Resumable is not 1.0.0",
            headers={"Tus-Version": VERSION},
            hint="Send Tus-Resumable: 1.0.0.",
        )


def upload_length(headers: Mapping[str, str]) -> int:
    """Give the declared length in bytes; deferred lengths are refused on purpose.

    Raises:
        RefusedError: 400.
    """
    if "upload-defer-length" in headers:
        raise RefusedError(400, "a deferred length is not accepted", hint="Send Upload-Length.")
    length = _decimal(headers, "upload-length")
    if length == 0:
        raise RefusedError(400, "an empty container is not accepted")
    return length


def upload_offset(headers: Mapping[str, str]) -> int:
    """Give the offset at which the client goes on.

    Raises:
        RefusedError: 400.
    """
    return _decimal(headers, "upload-offset")


def content_length(headers: Mapping[str, str]) -> int | None:
    """Give the length of the body, or None where it is chunked.

    Raises:
        RefusedError: 400.
    """
    return _decimal(headers, "content-length") if "content-length" in headers else None


def check_content_type(headers: Mapping[str, str]) -> None:
    """Return if the body is a piece of an upload.

    Raises:
        RefusedError: 415.
    """
    if headers.get("content-type") != CONTENT_TYPE:
        raise RefusedError(415, f"the content type is not {CONTENT_TYPE}")


def upload_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Give what the body must hash to, or None.

    Raises:
        RefusedError: 400, the algorithm is not ours or the value is not a digest of it.
    """
    value = headers.get("upload-checksum")
    if value is None:
        return None
    algorithm, _, encoded = value.partition(" ")
    if algorithm not in ALGORITHMS:
        raise RefusedError(
            400, "the checksum algorithm is not accepted", hint=f"One of {','.join(ALGORITHMS)}."
        )
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    checksum = Checksum(algorithm, digest)
    if len(digest) != checksum.new().digest_size:
        raise RefusedError(400, "Upload-Checksum is not a digest in base64")
    return checksum


def _decimal(headers: Mapping[str, str], name: str) -> int:
    value = headers.get(name, "")
    if not _DECIMAL.fullmatch(value) or int(value) >= 1 << 63:
        raise RefusedError(400, f"{name} is missing or not a number")
    return int(value)
