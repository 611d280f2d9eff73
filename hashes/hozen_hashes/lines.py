"""Cuts a stream of chunks into lines without ever holding more than one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes.errors import FormatError, LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE = 1 << 20


class LineSplitter:
    """Give it chunks, take lines with their LF; `close` checks that the last line had one."""

    __slots__ = ("_limit", "_rest", "_what")

    def __init__(self, *, what: str, limit: int = MAX_LINE) -> None:
        self._rest = b""
        self._limit = limit
        self._what = what

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield each line that ends in this chunk.

        Raises:
            LimitError: a line is longer than the limit.
        """
        start = 0
        while (at := chunk.find(b"\n", start)) >= 0:
            line = self._rest + chunk[start : at + 1]
            self._rest, start = b"", at + 1
            self._check(line)
            yield line
        self._rest += chunk[start:]
        self._check(self._rest)

    def close(self) -> None:
        """Raise FormatError when bytes without LF are left."""
        if self._rest:
            raise FormatError(f"{self._what}: the last line has no end")

    def _check(self, line: bytes) -> None:
        if len(line) > self._limit:
            raise LimitError(f"{self._what}: a line of more than {self._limit} bytes")
