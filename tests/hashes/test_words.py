"""Every sentence is there in both languages, and no foreign text in it acts on a terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hozen_hashes
from hozen_hashes.errors import InternalError
from hozen_hashes.verify.report import Note, Result
from hozen_hashes.words import Words, catalogue

SOURCES = Path(hozen_hashes.__file__).parent


def test_every_sentence_has_both_languages_and_the_same_blanks() -> None:
    for group, sentences in catalogue().items():
        for key, languages in sentences.items():
            assert set(languages) == {"ja", "en"}, (group, key)
            blanks = [sorted(set(re.findall(r"{(\w+)}", text))) for text in languages.values()]
            assert blanks[0] == blanks[1], (group, key)
            assert all(languages.values())


def test_every_note_that_a_step_can_make_has_a_sentence() -> None:
    keys = set[str]()
    for source in (SOURCES / "verify").glob("*.py"):
        text = source.read_text()
        keys |= set(re.findall(r'Note\(\s*"([a-z_-]+)"', text))
        keys |= set(re.findall(r'_problem\("([a-z-]+)"', text))
    known = set(catalogue()["note"])
    assert keys - known == set()
    assert known - keys == {"expired", "not_yet_valid", "receipt-unanchored", "receipt-other"}


def test_every_reason_why_something_is_unproved_has_a_sentence() -> None:
    text = (SOURCES / "salvage.py").read_text()
    keys = set(re.findall(r'Unproved\([^)]*?"([a-z]+)"', text)) | {"unnamed", "torn"}
    assert keys == set(catalogue()["unproved"])


def test_every_text_that_a_command_says_has_a_sentence() -> None:
    keys = set[str]()
    for source in (SOURCES / "commands").glob("*.py"):
        keys |= set(re.findall(r'\.text\(\s*"([a-z-]+)"', source.read_text()))
    assert keys - set(catalogue()["text"]) == set()


def test_the_words_of_a_result_are_those_of_the_glossary() -> None:
    words = Words("ja")
    assert [words.result(one) for one in Result] == ["一致", "不一致", "検証不能", "実施せず"]


def test_what_is_filled_in_cannot_act_on_a_terminal() -> None:
    text = Words("en").note(Note("malformed", {"reason": "\x1b[2J{path}\u202e"}))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_sentence_that_is_not_there_is_our_own_fault() -> None:
    with pytest.raises(InternalError):
        Words("en").text("no such sentence")


@pytest.mark.parametrize(
    "word", ["admissible", "tamper-proof", "証拠能力", "改ざん不可能", "完全に", "100%"]
)
def test_no_sentence_promises_a_legal_effect(word: str) -> None:
    everything = str(catalogue())
    assert word not in everything
