"""The sealed text is the same in both languages where it is run, and uses stock tools only."""

from __future__ import annotations

import re
import shlex

import pytest

from hozen_hashes import readme_verify
from hozen_hashes.errors import FormatError

BUNDLE = "hz-20261123T050000Z-web01-5f3a9c10"
TEXT = readme_verify.render(BUNDLE)
ALLOWED = {"unzip", "sha256sum", "openssl", "diff", "sort", "cut", "find", "mkdir"}
SHELL = {
    "export", "test", "cd", "echo", "for", "do", "done", "case", "esac", "read", "while", "false", "in",
    "{", "}", "(", ")", "||", "&&", "|", ";", ";;",
}  # fmt: skip


def test_both_languages_have_the_same_commands() -> None:
    assert readme_verify.commands(TEXT, "en") == readme_verify.commands(TEXT, "ja")
    assert len(readme_verify.commands(TEXT)) > 20


def test_the_same_bundle_id_gives_the_same_bytes_with_its_name_in_every_place() -> None:
    assert readme_verify.render(BUNDLE) == TEXT
    assert b"{id}" not in TEXT
    assert TEXT.count(BUNDLE.encode()) > 20
    assert TEXT.endswith(b"\n")
    assert b"\r" not in TEXT
    TEXT.decode()


def words_run(line: str) -> set[str]:
    """Return the first word of every simple command of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found, expected = set(), True
    for token in lexer:
        if token in {"|", "||", "&&", ";", ";;", "(", ")", "{", "do", "done", "}"}:
            expected = True
        elif expected:
            if re.fullmatch(r"[A-Za-z_]+=.*", token):
                continue
            found.add(token)
            expected = False
    return found


def test_only_stock_tools_are_called() -> None:
    called = set[str]()
    for line in readme_verify.commands(TEXT):
        called |= {word for word in words_run(line) if re.fullmatch(r"[a-z0-9]+", word)}
        called |= set(re.findall(r"\$\((\w+)", line))
    assert called - SHELL - ALLOWED == set()
    assert {"unzip", "sha256sum", "openssl", "diff", "find"} <= called


def test_what_must_be_in_it_for_years_is_in_it() -> None:
    text = TEXT.decode()
    lines = "\n".join(readme_verify.commands(TEXT))
    assert "-attime" in lines
    assert "unzip -o" not in lines
    assert lines.count("-binary") == 4
    for part in (
        "fingerprint",
        "receipt",
        "time stamp",
        "NOT VERIFIABLE",
        "受領証",
        "指紋",
        "検証不能",
        "-o",
    ):
        assert part in text


@pytest.mark.parametrize(
    "word", ["legally admissible", "証拠能力", "改ざん不可能", "100%", "tamper-proof", "完全に"]
)
def test_no_legal_effect_is_promised(word: str) -> None:
    assert word not in TEXT.decode()


def test_commands_of_a_foreign_text_are_a_format_error() -> None:
    for text in (b"\xff", b"no part\n"):
        with pytest.raises(FormatError):
            readme_verify.commands(text)
    assert readme_verify.commands(b"[en]\n$ true\n x\n[ja]\n$ false\n", "en") == ["true"]
