r"""Text of the examined host in forms that a person opens: nothing in it acts, turns the writing or breaks a line.

Valid text stays as it is; control characters, marks that change the direction of writing, line separators and what is
no text become `\xNN`, `\` is doubled, and a cell that a spreadsheet would take for a formula begins with `'`.
"""

from __future__ import annotations

import json
from typing import Final

from hozen_hashes.errors import FormatError
from hozen_hashes.names import percent_decode, readable

EXCEL_CELL: Final = 32_767
_LOOKS_LIKE_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def text(value: object) -> str:
    """Return a value of a record as one inert line; nested values as JSON, nothing as an empty string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return readable(str(value).encode("utf-8", "surrogatepass"))


def cell(value: object) -> str:
    """Return a value of ours for a spreadsheet: text that is inert already gets only the `'` before a formula."""
    shown = "" if value is None else str(value)
    return "'" + shown if shown.startswith(_LOOKS_LIKE_A_FORMULA) else shown


def line(value: object) -> str:
    """Return the value as `text` does, for the middle of a sentence: without the `'` before a formula."""
    shown = text(value)
    return shown[1:] if shown.startswith("'") and shown[1:2] in _LOOKS_LIKE_A_FORMULA else shown


def again(shown: str) -> str:
    """Return text that should be inert already, made so once more; backslashes stay single."""
    return line(shown).replace("\\\\", "\\")


def name(source: str) -> str:
    """Return a percent-encoded name or path of the host for a person."""
    return line_of(raw(source))


def line_of(data: bytes) -> str:
    """Return bytes of the host as an inert line."""
    return line(data.decode("utf-8", "surrogateescape")) if _is_text(data) else _shown(data)


def raw(source: str) -> bytes:
    """Return the bytes that a percent-encoded text spells; what is not so spelled stays as it is."""
    try:
        return percent_decode(source)
    except FormatError:
        return source.encode("utf-8", "surrogatepass")


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _shown(data: bytes) -> str:
    shown = readable(data)
    return shown[1:] if shown.startswith("'") and data[:1] != b"'" else shown
