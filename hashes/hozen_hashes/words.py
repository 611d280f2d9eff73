"""The sentences of verify, inspect, extract and salvage in Japanese and English; terms as in law §7.

The catalogue is data (`messages/verify.json`): group, key, language. A missing key is our own fault and raises.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from hozen_hashes.errors import InternalError
from hozen_hashes.terminal import Lang, safe_text

if TYPE_CHECKING:
    from hozen_hashes.verify.report import Note

Catalogue = dict[str, dict[str, dict[str, str]]]


@cache
def catalogue() -> Catalogue:
    """Return all sentences: group, key, language."""
    text = resources.files("hozen_hashes").joinpath("messages", "verify.json").read_text("utf-8")
    found: Catalogue = json.loads(text)
    return found


class Words:
    """Sentences in one language; whatever is filled in is made harmless for a terminal."""

    def __init__(self, lang: Lang | str) -> None:
        self.lang = str(lang)

    def get(self, group: str, key: str, /, **values: str | int) -> str:
        """Return a sentence with its blanks filled.

        Raises:
            InternalError: the catalogue has no such sentence.
        """
        try:
            text = catalogue()[group][key][self.lang]
        except KeyError as error:
            raise InternalError(f"no message {group}/{key} in {self.lang}") from error
        for name, value in values.items():
            text = text.replace("{" + name + "}", safe_text(str(value)))
        return text

    def text(self, key: str, /, **values: str | int) -> str:
        """Return a sentence of the group `text`."""
        return self.get("text", key, **values)

    def result(self, word: str) -> str:
        """Return 一致, 不一致, 検証不能 or 実施せず, or the English word."""
        return self.get("result", word)

    def both(self, word: str) -> str:
        """Return the word of a result so that a reader of either language finds it."""
        return f"{self.result(word)} {word}" if self.lang == "ja" else word

    def step(self, number: int) -> str:
        """Return what a step of bundle-v1 §11 is about."""
        return self.get("step", str(number))

    def difference(self, kind: str) -> str:
        """Return the name of an item difference."""
        return self.get("difference", kind)

    def note(self, note: Note) -> str:
        """Return the sentence of a note."""
        return self.get("note", note.key, **note.values)
