"""The helpers that all commands share."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import cli
from hozen_hashes.errors import HozenError, UsageError
from hozen_hashes.terminal import Lang, default_lang, safe_text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 日本語 é", "plain 日本語 é"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("\u202egnp.exe", "\\u{202e}gnp.exe"),
        ("\u200bhidden\ufeff", "\\u{200b}hidden\\u{feff}"),
        (b"raw\xff", "raw\\xff"),
        ("\x9b31m", "\\x9b31m"),
        ("\ud800", "\\u{d800}"),
        ("a\u2028b", "a\\u{2028}b"),
    ],
)
def test_nothing_that_acts_on_a_terminal_passes(text: str | bytes, shown: str) -> None:
    assert safe_text(text) == shown


def test_line_feeds_stay_where_lines_are_wanted() -> None:
    assert safe_text("a\n\tb\r", one_line=False) == "a\n\tb\\x0d"


@given(st.one_of(st.text(), st.binary()))
def test_safe_text_is_printable_and_stable(text: str | bytes) -> None:
    once = safe_text(text)
    assert safe_text(once) == once
    assert "\x1b" not in once
    once.encode()


@pytest.mark.parametrize(
    ("env", "lang"),
    [
        ({}, Lang.EN),
        ({"LANG": "ja_JP.UTF-8", "TERM": "xterm"}, Lang.JA),
        ({"LANG": "ja_JP.utf8"}, Lang.JA),
        ({"LANG": "ja_JP.UTF-8", "TERM": "linux"}, Lang.EN),
        ({"LANG": "ja_JP.eucJP"}, Lang.EN),
        ({"LANG": "ja_JP"}, Lang.EN),
        # Python itself adds LC_CTYPE where the locale is not installed (PEP 538).
        ({"LANG": "ja_JP.eucJP", "LC_CTYPE": "C.UTF-8"}, Lang.EN),
        ({"LANG": "ja_JP.UTF-8", "LC_CTYPE": "C.UTF-8"}, Lang.JA),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, Lang.EN),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ja_JP.UTF-8"}, Lang.JA),
        ({"LANG": "de_DE.UTF-8"}, Lang.EN),
        ({"LANG": "C", "HOZEN_LANG": "ja"}, Lang.JA),
        ({"LANG": "ja_JP.UTF-8", "HOZEN_LANG": "en"}, Lang.EN),
        ({"LANG": "ja_JP.UTF-8", "HOZEN_LANG": "tlh"}, Lang.JA),
    ],
)
def test_japanese_only_where_it_can_be_shown(env: dict[str, str], lang: Lang) -> None:
    assert default_lang(env) is lang


def test_pick_follows_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.settings, "lang", Lang.JA)
    assert cli.pick(en="receipt", ja="受領証") == "受領証"
    assert cli.lang() is Lang.JA
    monkeypatch.setattr(cli.settings, "lang", Lang.EN)
    assert cli.pick(en="receipt", ja="受領証") == "receipt"


def test_results_and_talk_are_kept_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.settings, "verbosity", 0)
    cli.say("result")
    cli.tell("working")
    cli.detail("unseen")
    cli.warn("careful")
    cli.hint("do that")
    cli.emit_json({"語": 1})
    out, err = capsys.readouterr()
    assert out.startswith("result\n")
    assert json.loads(out.partition("\n")[2]) == {"語": 1}
    assert out.isascii()
    assert err == "hozen: working\nhozen: warning: careful\nhozen: hint: do that\n"


def test_quiet_hides_talk_but_no_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.settings, "verbosity", -1)
    cli.tell("working")
    cli.warn("careful")
    assert capsys.readouterr().err == "hozen: warning: careful\n"


def test_talk_to_a_closed_terminal_is_lost_without_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    cli.warn("nobody hears this")


def test_a_secret_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"correct horse\r\nsecond line\n")
    assert cli.read_secret(str(tmp_path / "secret"), what="token") == b"correct horse"
    assert cli.read_passphrase(str(tmp_path / "secret")) == b"correct horse"


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 5000])
def test_an_empty_or_endless_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(UsageError):
        cli.read_secret(str(tmp_path / "secret"), what="token")


def test_an_unreadable_secret_says_so(tmp_path: Path) -> None:
    with pytest.raises(HozenError, match="cannot read the token") as caught:
        cli.read_secret(str(tmp_path / "none"), what="token")
    assert caught.value.hint


def test_a_secret_comes_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"pass\n")))
    assert cli.read_passphrase("-") == b"pass"


def test_nobody_is_asked_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert cli.read_passphrase(None) is None


def test_a_person_at_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("click.prompt", lambda *_, **__: "typed")
    assert cli.read_passphrase(None, confirm=True) == b"typed"


def test_exit_status_names_each_code() -> None:
    assert cli.exit_status(0, 64).splitlines()[2:] == [
        "   0  done; a check: 一致 match",
        "  64  the call's words are off",
    ]
    assert cli.exit_status().count("\n") == len(cli.EXIT_CODES) + 1
