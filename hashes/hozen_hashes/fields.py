"""Typed reading of JSON objects that somebody else wrote: the value has the type, or FormatError says which key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}")


class Fields:
    """One JSON object with its place for messages; every getter raises FormatError on another type."""

    __slots__ = ("_object", "what")

    def __init__(self, found: Mapping[str, object], *, what: str) -> None:
        self._object = found
        self.what = what

    def __contains__(self, key: str) -> bool:
        return key in self._object

    def text(self, key: str) -> str:
        """Return a string that must be there."""
        value = self._object.get(key)
        if isinstance(value, str):
            return value
        raise self._wrong(key, "a string")

    def text_or_none(self, key: str) -> str | None:
        """Return a string, or None when the key is absent or null."""
        return None if self._object.get(key) is None else self.text(key)

    def number(self, key: str) -> int:
        """Return an integer from 0 that must be there; true and false are no integers."""
        value = self._object.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise self._wrong(key, "an integer from 0")

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self._object.get(key)
        if isinstance(value, bool):
            return value
        raise self._wrong(key, "true or false")

    def decimal(self, key: str) -> int:
        """Return the value of a decimal string (bundle-v1 §2: sizes and times)."""
        value = self._object.get(key)
        if isinstance(value, str) and _DECIMAL.fullmatch(value):
            return int(value)
        raise self._wrong(key, "a decimal string")

    def decimal_or_none(self, key: str) -> int | None:
        """Return the value of a decimal string, or None when the key is absent or null."""
        return None if self._object.get(key) is None else self.decimal(key)

    def sha256(self, key: str) -> str:
        """Return a lower-case hexadecimal SHA-256."""
        value = self._object.get(key)
        if isinstance(value, str) and _HASH.fullmatch(value):
            return value
        raise self._wrong(key, "a lower-case hexadecimal SHA-256")

    def sha256_or_none(self, key: str) -> str | None:
        """Return a SHA-256, or None when the key is absent or null."""
        return None if self._object.get(key) is None else self.sha256(key)

    def inner(self, key: str) -> Fields:
        """Return an object that must be there."""
        value = self._object.get(key)
        if isinstance(value, dict):
            return Fields(value, what=f"{self.what}, {key}")
        raise self._wrong(key, "an object")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings; an absent key is an empty list."""
        value = self._object.get(key, [])
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        raise self._wrong(key, "a list of strings")

    def objects(self, key: str) -> tuple[Fields, ...]:
        """Return a list of objects; an absent key is an empty list."""
        value = self._object.get(key, [])
        if isinstance(value, list) and all(isinstance(one, dict) for one in value):
            return tuple(Fields(one, what=f"{self.what}, {key}") for one in value)
        raise self._wrong(key, "a list of objects")

    def _wrong(self, key: str, wanted: str) -> FormatError:
        state = "is not" if key in self._object else "is absent, and must be"
        return FormatError(f"{self.what}: `{key}` {state} {wanted}")
