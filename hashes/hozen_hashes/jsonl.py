"""JSON as the bundle writes and believes it: one ASCII object, each key once (bundle-v1 §2)."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from hozen_hashes.errors import FormatError, InternalError, LimitError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_BYTES = 1 << 20
_MAX_DEPTH = 16
_EXACT = 1 << 53
_EXACT_DIGITS = 17  # sign and the 16 digits of 2^53: longer text is not worth converting

# Made once: a new encoder for each record would cost more than the record.
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def dump_line(record: Mapping[str, object]) -> bytes:
    r"""Return one ASCII line with LF: keys in the given order, no blanks, non-ASCII as `\uXXXX`.

    Raises:
        InternalError: a value that JSON cannot hold, or text that is not Unicode. Bytes of the
            host go through `names.percent_encode` or `names.readable` first.
    """
    try:
        text = _encode(record)
    except (TypeError, ValueError, RecursionError) as error:
        raise InternalError(f"a record cannot be written as JSON: {error}") from error
    if "\\ud" in text:
        _refuse_lone_surrogates(record)
    return text.encode("ascii") + b"\n"


def parse_object(
    data: bytes, *, what: str, max_bytes: int = _MAX_BYTES, max_depth: int = _MAX_DEPTH
) -> dict[str, object]:
    """Return the object that `data` holds, when it keeps every rule of bundle-v1 §2.

    Args:
        data: one object, with or without the LF.
        what: what the bytes are, for the message: "journal record 3".
        max_bytes: longest text that is looked at.
        max_depth: how deep objects and lists may lie in each other; the object itself is 1.

    Raises:
        FormatError: not JSON, not an object, not ASCII, a key twice, NaN or infinity, an integer
            beyond 2^53 (those are decimal strings), text that is not Unicode.
        LimitError: longer or deeper than allowed.
    """
    if len(data) > max_bytes:
        raise LimitError(f"{what}: {len(data)} bytes of JSON, {max_bytes} are allowed")
    try:
        value = _decode(data.decode("ascii"))
    except UnicodeDecodeError as error:
        raise FormatError(f"{what}: byte {error.start} is not ASCII") from error
    except RecursionError as error:
        raise LimitError(f"{what}: deeper than {max_depth}") from error
    except ValueError as error:
        raise FormatError(f"{what}: {error}") from error
    if not isinstance(value, dict):
        raise FormatError(f"{what}: not a JSON object")
    # Fewer brackets than the bound cannot lie deeper than the bound: most records stop here.
    if data.count(b"{") + data.count(b"[") > max_depth:
        _check_depth(value, max_depth, what)
    if b"\\ud" in data or b"\\uD" in data:
        _check_unicode(value, what)
    return value


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _integer(text: str) -> int:
    if len(text) > _EXACT_DIGITS or abs(value := int(text)) > _EXACT:
        raise ValueError("an integer beyond 2^53; such values are decimal strings")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number too large")
    return value


def _constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


_decode = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float, parse_constant=_constant
).decode


def _check_depth(value: object, max_depth: int, what: str) -> None:
    level: list[object] = [value]
    depth = 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        if depth > max_depth:
            raise LimitError(f"{what}: deeper than {max_depth}")
        level = [
            child for item in level for child in (item.values() if isinstance(item, dict) else item)
        ]


def _check_unicode(value: object, what: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise FormatError(f"{what}: half of a surrogate pair is not text") from error


def _refuse_lone_surrogates(record: Mapping[str, object]) -> None:
    try:
        _check_unicode(record, "record")
    except FormatError as error:
        raise InternalError(
            f"{error}; encode bytes of the host before they are recorded"
        ) from error
