"""What a terminal may be sent: the language it can show, and text that cannot act on it."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Lang(StrEnum):
    """The languages of every screen, report and page."""

    JA = "ja"
    EN = "en"


# Controls, formats (bidi marks, zero-width and tag characters), lone surrogates, line and paragraph separators.
_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_KEPT = frozenset("\n\t")
_COERCED = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})


def safe_text(text: str | bytes, *, one_line: bool = True) -> str:
    r"""Return text in which nothing acts on a terminal: such characters become `\xNN` or `\u{N}`.

    Args:
        text: foreign text; bytes that are no UTF-8 (also as surrogate escapes) become `\xNN`.
        one_line: escape line feeds and tabs too.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return "".join(c if _harmless(c, one_line=one_line) else _escaped(c) for c in text)


def _harmless(char: str, *, one_line: bool) -> bool:
    if char in _KEPT:
        return not one_line
    return (char.isascii() and char.isprintable()) or unicodedata.category(char) not in _ACTING


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - a byte that was no UTF-8 (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{{{code:x}}}"  # noqa: PLR2004 - one byte


def default_lang(env: Mapping[str, str]) -> Lang:
    """Return Japanese only for a Japanese locale in UTF-8 on a terminal that has the glyphs, else English.

    `HOZEN_LANG` decides before the locale; the Linux console (TERM=linux) has no Japanese font.
    """
    wish = env.get("HOZEN_LANG", "").strip().lower()
    if wish in set(Lang):
        return Lang(wish)
    messages = env.get("LC_ALL") or env.get("LC_MESSAGES") or env.get("LANG") or ""
    japanese = messages.lower().startswith("ja")
    return Lang.JA if japanese and shows_japanese(env) else Lang.EN


def shows_japanese(env: Mapping[str, str]) -> bool:
    """Return whether the locale's encoding is UTF-8 and the terminal is not the Linux console.

    Where a locale is not installed, Python itself sets LC_CTYPE (PEP 538), which says nothing of the terminal.
    """
    ctype = env.get("LC_ALL") or env.get("LC_CTYPE") or ""
    if not ctype or (ctype in _COERCED and not env.get("LC_ALL")):
        ctype = env.get("LANG") or ctype
    encoding = ctype.partition(".")[2].partition("@")[0].lower().replace("-", "")
    return encoding == "utf8" and env.get("TERM") != "linux"
