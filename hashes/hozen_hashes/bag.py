"""BagIt 1.0 (RFC 8493): the declaration, manifests and bag-info of a bundle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hozen_hashes.errors import FormatError, InternalError
from hozen_hashes.names import check_member_path
from hozen_hashes.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

BAGIT_TXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
"""The whole of `bagit.txt` (RFC 8493 §2.1.1)."""

_MAX_LINE = 512
_LINE = re.compile(rb"([0-9a-f]{64})  ([!-~]+)")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_INFO_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,63}): (.*)")
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def manifest_line(sha256_hex: str, path: str) -> bytes:
    """Return the manifest line of one file, as `sha256sum -c` reads it."""
    return f"{sha256_hex}  {path}\n".encode("ascii")


def parse_manifest(
    chunks: Iterable[bytes], *, max_line: int = _MAX_LINE
) -> Iterator[tuple[str, str]]:
    """Yield path and hash of every line of a manifest, in its order.

    Args:
        chunks: the manifest's bytes, cut anywhere.
        max_line: longest line in bytes, without LF.

    Raises:
        FormatError: a line that is not `<64 hex><two blanks><path><LF>`, a path outside bundle-v1
            §3, a path that was there before (in any case of letters), a last line without LF.
    """
    seen: set[str] = set()
    for number, line in enumerate(_lines(chunks, max_line), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise FormatError(f"manifest line {number} is not a hash, two blanks and a path")
        path = check_member_path(match[2].decode("ascii"))
        if (folded := path.lower()) in seen:
            raise FormatError(f"manifest line {number} names {path} a second time")
        seen.add(folded)
        yield path, match[1].decode("ascii")


def _lines(chunks: Iterable[bytes], max_line: int) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if len(line) > max_line:
                raise FormatError(f"a manifest line of {len(line)} bytes, {max_line} are allowed")
            yield line
        if len(rest) > max_line:
            raise FormatError(f"a manifest line of more than {max_line} bytes")
    if rest:
        raise FormatError("the last manifest line has no end")


def bag_info(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return `bag-info.txt`: a line a field, in the given order (RFC 8493 §2.2.2).

    Line breaks and control characters in a value become one blank, so that no value can pretend to
    be another field; text that is not Unicode is written with backslashes.

    Raises:
        InternalError: a label that is not a word of letters, digits and `-`.
    """
    lines = []
    for label, value in fields:
        if not _LABEL.fullmatch(label):
            raise InternalError(f"not a bag-info label: {label!r}")
        lines.append(f"{label}: {_BREAKS.sub(' ', value).strip()}\n")
    return "".join(lines).encode("utf-8", "backslashreplace")


def parse_bag_info(data: bytes) -> list[tuple[str, str]]:
    """Return label and value of each line of a `bag-info.txt` as `bag_info` writes it.

    Raises:
        FormatError: not UTF-8, or a line that is not `Label: value`; folded lines are refused.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("bag-info.txt is not UTF-8") from error
    if text and not text.endswith("\n"):
        raise FormatError("the last line of bag-info.txt has no end")
    fields = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        match = _INFO_LINE.fullmatch(line)
        if match is None:
            raise FormatError(f"bag-info.txt line {number} is not a label and a value")
        fields.append((match[1], match[2]))
    return fields


class ManifestSpool:
    """Collects the lines of a manifest; beyond 1 MiB in a temporary file.

    Attributes:
        size: bytes of the manifest so far.
    """

    __slots__ = ("_spool",)

    def __init__(self, *, spill: Callable[[], BinaryIO] | None = None) -> None:
        self._spool = Spool(spill)

    @property
    def size(self) -> int:
        """Bytes of the manifest so far."""
        return self._spool.size

    def add(self, path: str, sha256_hex: str) -> None:
        """Append one line.

        Raises:
            CannotWriteError: the temporary file refuses it.
        """
        self._spool.append(manifest_line(sha256_hex, path))

    def chunks(self) -> Iterator[bytes]:
        """Yield the manifest's bytes in order; may be asked for more than once.

        Raises:
            CannotWriteError: the temporary file cannot be read back.
        """
        return self._spool.chunks()

    def close(self) -> None:
        """Give the temporary file back."""
        self._spool.close()
