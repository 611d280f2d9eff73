"""One line a file, as The Sleuth Kit's `mactime` reads it (body file 3.x), and the spelling of names in it.

`0|/usr/bin/vi -> /etc/alternatives/vi|1234|l/lrwxrwxrwx|0|0|20|1700000000.000000000|…|…|…`: MD5 (never computed), name,
inode, mode, uid, gid, size, then access, content change, attribute change and birth in seconds since 1970.
"""

from __future__ import annotations

import re
import stat as modes
from typing import Final

_SECOND: Final = 10**9
# mactime and others: letters of the directory entry and of the inode; a socket is `h` in The Sleuth Kit.
_LETTERS: Final = {
    modes.S_IFREG: "r", modes.S_IFDIR: "d", modes.S_IFLNK: "l", modes.S_IFCHR: "c", modes.S_IFBLK: "b",
    modes.S_IFIFO: "p", modes.S_IFSOCK: "h",
}  # fmt: skip
# Cc, the line and direction controls (as names.readable), what mactime decodes or splits at, and our own backslash.
_UNSAFE: Final = re.compile(
    "[%|\\\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\udc80-\udcff]"
)
PLAIN: Final = bytes(byte for byte in range(0x20, 0x7F) if byte not in b"%|\\")
"""The bytes that stand for themselves."""


def escaped(name: bytes) -> bytes:
    r"""Return a name as the bodyfile spells it, in UTF-8.

    `%` is `%25` and `|` is `%7C`, since mactime decodes these in every field; `\` is `\\`; other unsafe characters and
    bytes that are no UTF-8 are `\xNN` for each byte. `unescaped` is the inverse.
    """
    if not name.translate(None, PLAIN):
        return name
    return _UNSAFE.sub(_spelled, name.decode("utf-8", "surrogateescape")).encode()


def _spelled(found: re.Match[str]) -> str:
    character = found[0]
    if character in "%|":
        return f"%{ord(character):02X}"
    if character == "\\":
        return "\\\\"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


_SPELLED: Final = re.compile(rb"%(25|7C)|\\(\\|x[0-9a-f]{2})")


def unescaped(text: bytes) -> bytes:
    """Return the bytes of a name from its spelling in the bodyfile."""

    def plain(found: re.Match[bytes]) -> bytes:
        if found[1]:
            return bytes([int(found[1], 16)])
        return b"\\" if found[2] == b"\\" else bytes([int(found[2][1:], 16)])

    return _SPELLED.sub(plain, text)


def mode_text(mode: int) -> str:
    """Return `r/rrwxr-xr-x` for st_mode; an unknown type is `-/-`."""
    letter = _LETTERS.get(modes.S_IFMT(mode), "-")
    return f"{letter}/{letter}{modes.filemode(mode)[1:]}"


def seconds(whole: int, part: int) -> bytes:
    """Return a time as decimal seconds; one before 1970 has its sign in front of the whole."""
    if whole >= 0:
        return b"%d.%09d" % (whole, part)
    ns = -(whole * _SECOND + part)
    return b"-%d.%09d" % (ns // _SECOND, ns % _SECOND)
