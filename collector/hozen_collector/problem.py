"""Refusals as application/problem+json (RFC 9457), one shape for every error of the HTTP interface."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, Response

from hozen_collector.durable import FullError
from hozen_hashes.errors import (
    BadDataError,
    CannotWriteError,
    DeniedError,
    HozenError,
    LimitError,
    TryAgainError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPE_BASE: Final = "https://hozen.invalid/problems/"


class RefusedError(HozenError):
    """The request is refused with an HTTP status.

    Attributes:
        status: of the answer.
        headers: that the answer carries besides.
        wait: whether the rest of the request's body is worth waiting for.
    """

    exit_code = 65

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = dict(headers or {})
        self.wait = wait


# The first class that fits decides; everything else is our own fault.
_STATUS: Final[tuple[tuple[type[HozenError], int], ...]] = (
    (FullError, 507),
    (CannotWriteError, 500),
    (LimitError, 413),
    (BadDataError, 400),
    (DeniedError, 403),
    (TryAgainError, 503),
)


def status_of(error: HozenError) -> int:
    """Give the HTTP status that `error` is answered with."""
    if isinstance(error, RefusedError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(error: HozenError) -> Response:
    """Give the answer to a request that failed with `error`."""
    status = status_of(error)
    headers = dict(error.headers) if isinstance(error, RefusedError) else {}
    if status in (503, 507):
        headers.setdefault("Retry-After", "30")
    name = type(error).__name__.removesuffix("Error").lower()
    body = {
        "type": TYPE_BASE + name,
        "title": _phrase(status),
        "status": status,
        "detail": str(error),
        "hint": error.hint,
    }
    headers["Cache-Control"] = "no-store"
    return JSONResponse(
        body, status_code=status, headers=headers, media_type="application/problem+json"
    )


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:  # 460, which only tus knows
        return "Checksum Mismatch"
