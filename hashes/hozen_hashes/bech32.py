"""Bech32 of whole bytes, without the length limit of addresses (BIP 173; age uses it for its keys)."""

from __future__ import annotations

from typing import Final

from hozen_hashes.errors import FormatError

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM: Final = 6
MAX_TEXT: Final = 4096


def encode(prefix: str, data: bytes) -> str:
    """Return `data` as lower-case Bech32 under a lower-case prefix."""
    words = _regroup(data, 8, 5)
    if (spare := len(data) * 8 % 5) != 0:
        words.append(int.from_bytes(data, "big") << (5 - spare) & 31)
    check = _polymod([*_expand(prefix), *words, *([0] * _CHECKSUM)]) ^ 1
    words += [check >> 5 * (5 - at) & 31 for at in range(_CHECKSUM)]
    return f"{prefix}1{''.join(_ALPHABET[word] for word in words)}"


def decode(text: str) -> tuple[str, bytes]:
    """Return lower-case prefix and bytes of a Bech32 text.

    Raises:
        FormatError: mixed case, no prefix, a foreign character, a wrong checksum, or padding that is not zero.
    """
    if (
        len(text) > MAX_TEXT
        or (text != text.lower() and text != text.upper())
        or not text.isascii()
    ):
        raise FormatError("not Bech32: mixed case, or not ASCII, or too long")
    prefix, found, body = text.lower().rpartition("1")
    if not found or not prefix or len(body) < _CHECKSUM or not set(body) <= set(_ALPHABET):
        raise FormatError("not Bech32: a character is missing or foreign")
    words = [_ALPHABET.index(letter) for letter in body]
    if _polymod([*_expand(prefix), *words]) != 1:
        raise FormatError("the checksum of the key does not hold: it was mistyped or cut")
    return prefix, _bytes(words[:-_CHECKSUM])


def _bytes(words: list[int]) -> bytes:
    spare = len(words) * 5 % 8
    if spare >= 5 or (words and words[-1] & (1 << spare) - 1):  # noqa: PLR2004 - a whole word of padding
        raise FormatError("not Bech32: its padding is not empty")
    return bytes(_regroup(words, 5, 8))


def _regroup(values: bytes | list[int], width: int, wanted: int) -> list[int]:
    """Return the bits of `values` in groups of `wanted` bits; the rest that fills no group is left out."""
    held, bits, groups = 0, 0, []
    for value in values:
        held, bits = (held << width | value) & 0xFFF, bits + width
        while bits >= wanted:
            bits -= wanted
            groups.append(held >> bits & (1 << wanted) - 1)
    return groups


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _polymod(words: list[int]) -> int:
    check = 1
    for word in words:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ word
        for at, term in enumerate(_GENERATOR):
            check ^= term if top >> at & 1 else 0
    return check
