"""`hozen verify`, `inspect` and `extract` as a person calls them: words, exit codes, one error line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hozen_hashes import cli
from hozen_hashes.front import main
from hozen_hashes.terminal import Lang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = Path(__file__).parents[1] / "vectors" / "data"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
ROOT = ("--root", str(DATA / "root.pem"))
Ran = tuple[int, str, str]


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    cli.settings.lang, cli.settings.verbosity = Lang.EN, 0
    yield
    cli.settings.lang, cli.settings.verbosity = Lang.EN, 0


@pytest.fixture
def hozen(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*words: object) -> Ran:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def vector(name: str) -> Path:
    return DATA / f"{name}.zip"


def child(
    *words: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "hozen_hashes.front", *words],
        input=stdin,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", **(env or {})},
        timeout=60,
        check=False,
    )


CODES = {"match": 0, "mismatch": 1, "not verifiable": 2}
SAMPLE = ["good", "evidence-flipped", "resigned-end", "truncated", "good-one-capture", "version-2"]


@pytest.mark.parametrize("name", SAMPLE)
def test_the_first_line_has_the_verdict_and_the_exit_code_is_its(
    name: str, hozen: Callable[..., Ran]
) -> None:
    word = EXPECTED["vectors"][name]["word"]
    code, out, err = hozen("verify", vector(name), *ROOT, "--at", "2026-12-01T00:00:00Z")
    assert code == CODES[word]
    assert out.startswith(f"Result: {word}  ")
    assert "Steps not run:" in out
    assert err == ""


def test_japanese_words_are_those_of_the_law_page(hozen: Callable[..., Ran]) -> None:
    code, out, _ = hozen("verify", vector("evidence-flipped"), *ROOT, "--lang", "ja")
    assert code == 1
    assert out.startswith("結果: 不一致 mismatch")
    assert "変更: data/linux_logs/000002.log" in out
    assert "実施していない検証" in out


def test_quiet_says_the_verdict_only(hozen: Callable[..., Ran]) -> None:
    _, out, _ = hozen("verify", "-q", vector("good"), *ROOT, "--at", "2026-12-01T00:00:00Z")
    assert len(out.splitlines()) == 2


def test_verbose_gives_the_reasons_of_what_was_not_run(hozen: Callable[..., Ran]) -> None:
    _, out, _ = hozen("verify", "-v", vector("good"))
    assert "no root certificate from outside was given" in out


def test_the_card_with_blanks_and_capitals_is_read(hozen: Callable[..., Ran]) -> None:
    seal = EXPECTED["seal"].upper()
    spaced = " ".join(seal[at : at + 8] for at in range(0, 64, 8))
    code, out, _ = hozen("verify", vector("good"), "--seal", spaced)
    assert code == 0
    assert "Who sealed it was not established" in out
    assert hozen("verify", vector("good"), "--seal", "0" * 64)[0] == 1


@pytest.mark.parametrize("at", ["2038-11-23T00:00:00Z", "2174083200", "2038-11-23T09:00:00+09:00"])
def test_unchanged_and_who_are_stated_apart_years_later(at: str, hozen: Callable[..., Ran]) -> None:
    code, out, _ = hozen("verify", vector("good"), *ROOT, "--at", at)
    facts = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line[4:])
    assert code == 2
    assert facts["Unchanged (integrity)"].strip() == "match"
    assert facts["Who (origin)"].strip() == "not verifiable"
    assert "This does not mean that anything was changed" in out


@pytest.mark.parametrize("at", ["yesterday", "2038-11-23T00:00:00", "", "9" * 30])
def test_a_time_without_zone_or_sense_is_a_usage_error(at: str, hozen: Callable[..., Ran]) -> None:
    code, out, err = hozen("verify", vector("good"), "--at", at)
    assert (code, out) == (64, "")
    assert err.count("error:") == 1
    assert "hint:" in err


def test_json_is_one_document_with_every_step(hozen: Callable[..., Ran]) -> None:
    code, out, _ = hozen("verify", "--json", vector("good"), vector("evidence-flipped"), *ROOT)
    document = json.loads(out)
    assert code == 1
    assert document["format"] == "hozen-verification/1"
    assert [one["word"] for one in document["bundles"]] == ["match", "mismatch"]
    assert [step["number"] for step in document["bundles"][0]["steps"]] == list(range(1, 16))
    assert document["bundles"][1]["word_ja"] == "不一致"


def test_several_bundles_end_with_the_worst(hozen: Callable[..., Ran], tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.zip"
    nothing.write_bytes(bytes(100))
    code, _, err = hozen("verify", vector("good"), nothing, *ROOT)
    assert code == 65
    assert err.count("error:") == 1
    assert hozen("verify", nothing, vector("evidence-flipped"), *ROOT)[0] == 1


def test_standard_input_and_volumes_are_bundles_too(hozen: Callable[..., Ran]) -> None:
    piped = child("verify", "-", "-q", *ROOT, stdin=vector("good-streamed").read_bytes())
    assert (piped.returncode, piped.stderr) == (0, b"")
    first = DATA / "volumes" / f"{EXPECTED['bundle_id']}.zip.001"
    assert hozen("verify", first, *ROOT)[0] == 0
    assert hozen("verify", str(first)[:-4], *ROOT)[0] == 0


@pytest.mark.parametrize(
    "data", [b"", bytes(4096), b"PK\x03\x04" + bytes(100), b"PK\x05\x06" + bytes(18), b"\xff" * 999]
)
def test_what_is_no_bundle_is_one_error_with_a_hint(
    data: bytes, hozen: Callable[..., Ran], tmp_path: Path
) -> None:
    file = tmp_path / "foreign.zip"
    file.write_bytes(data)
    code, out, err = hozen("verify", file)
    assert (code, out) == (65, "")
    assert err.count("error:") == 1
    assert "hint:" in err
    assert "Traceback" not in err


def test_a_file_that_is_not_there_is_a_usage_error(
    hozen: Callable[..., Ran], tmp_path: Path
) -> None:
    for command in (("verify",), ("inspect",), ("extract", "--to", tmp_path / "x"), ("salvage",)):
        code, _, err = hozen(*command, tmp_path / "absent.zip")
        assert code == 64
        assert err.count("error:") == 1
    assert not (tmp_path / "x").exists()


def test_a_root_that_is_none_is_refused(hozen: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(b"SYNTHETIC\n")
    assert hozen("verify", vector("good"), "--root", tmp_path / "root.pem")[0] == 65
    assert hozen("verify", vector("good"), "--root", tmp_path / "absent.pem")[0] == 64


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C", "LANG": "ja_JP.UTF-8"},
        {"LANG": "ja_JP.UTF-8", "TERM": "linux"},
    ],
)
def test_a_terminal_without_japanese_gets_english(env: dict[str, str]) -> None:
    done = child("verify", "-q", str(vector("good")), *ROOT, env=env)
    assert done.stdout.startswith(b"Result: match")
    assert done.stdout.isascii()


def test_a_japanese_terminal_gets_japanese() -> None:
    done = child(
        "verify", "-q", str(vector("good")), *ROOT, env={"LANG": "ja_JP.UTF-8", "TERM": "xterm"}
    )
    assert done.stdout.decode().startswith("結果: 一致")


# --- inspect and extract --------------------------------------------------------------------------


def test_inspect_lists_every_item_with_its_outcome(hozen: Callable[..., Ran]) -> None:
    code, out, err = hozen("inspect", vector("good"))
    assert code == 0
    for part in ("hostname: synthetic01", "denied", "/root/.bash_history", r"secret\x0aname\xff"):
        assert part in out
    assert "use hozen verify" in err


def test_inspect_shows_one_item_and_the_head_of_its_content(hozen: Callable[..., Ran]) -> None:
    code, out, _ = hozen("inspect", vector("good"), "2")
    assert code == 0
    assert "source: /var/log/auth.log" in out
    assert "Nov 23 05:00:01 sshd: SYNTHETIC" in out
    assert hozen("inspect", vector("good"), "99")[0] == 64


def test_inspect_as_json_has_the_recorded_values(hozen: Callable[..., Ran]) -> None:
    _, out, _ = hozen("inspect", "--json", vector("good"))
    document = json.loads(out)
    assert [one["item"] for one in document["items"]] == list(range(1, 8))
    _, out, _ = hozen("inspect", "--json", vector("good"), "5")
    assert bytes.fromhex(json.loads(out)["head"]["hex"]) == b"id\nuname -a\n"


def test_control_characters_of_the_host_never_reach_the_terminal(
    hozen: Callable[..., Ran], tmp_path: Path
) -> None:
    evil = b"\x1b]0;owned\x07\x1b[2J\xe2\x80\xae"
    out_zip = io.BytesIO()
    with zipfile.ZipFile(vector("good")) as old, zipfile.ZipFile(out_zip, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, evil if name.endswith("000002.log") else data)
    file = tmp_path / "evil.zip"
    file.write_bytes(out_zip.getvalue())
    for words in (("inspect", file, "2"), ("inspect", file), ("verify", "-v", file)):
        _, out, err = hozen(*words)
        assert not {"\x1b", "\x07", "\u202e"} & set(out + err)


def test_extract_writes_the_verified_payload_under_our_names(
    hozen: Callable[..., Ran], tmp_path: Path
) -> None:
    target = tmp_path / "work"
    code, out, _ = hozen("extract", vector("good"), "--to", target)
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert code == 0
    assert "4 verified payload files" in out
    assert {one for one in found if one.startswith("data/")} == {
        "data/processes/000001.tar", "data/linux_logs/000002.log", "data/linux_logs/000003.log",
        "data/histories/000005.txt",
    }  # fmt: skip
    assert (target / "data/histories/000005.txt").read_bytes() == b"id\nuname -a\n"


def test_extract_of_one_item_writes_only_that(hozen: Callable[..., Ran], tmp_path: Path) -> None:
    target = tmp_path / "work"
    code, _, err = hozen("extract", vector("good"), "--to", target, "--item", 5, "--item", 4)
    assert code == 0
    assert [path.name for path in (target / "data").rglob("*.*")] == ["000005.txt"]
    assert "item 4 has no payload file" in err


@pytest.mark.parametrize(
    "name", ["evidence-flipped", "damaged-stream", "truncated", "added-data", "resealed-evidence"]
)
def test_extract_keeps_nothing_of_a_bundle_that_was_changed(
    name: str, hozen: Callable[..., Ran], tmp_path: Path
) -> None:
    target = tmp_path / "work"
    code, out, err = hozen("extract", vector(name), "--to", target)
    assert code == 1
    assert out.startswith("Result: mismatch")
    assert "nothing was kept" in err
    assert not target.exists()


@pytest.mark.parametrize(("name", "count"), [("good", 8), ("evidence-flipped", 0)])
def test_extract_as_json_has_files_and_verification(
    name: str, count: int, hozen: Callable[..., Ran], tmp_path: Path
) -> None:
    code, out, _ = hozen("extract", "--json", vector(name), "--to", tmp_path / "work")
    document = json.loads(out)
    assert len(document["files"]) == count
    assert (document["verification"]["integrity"] == "match") == (code == 0)


def test_a_bundle_is_found_from_inside_its_directory(
    hozen: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(vector("good")) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path / EXPECTED["bundle_id"])
    for name in (".", "..", "../" + EXPECTED["bundle_id"]):
        assert hozen("verify", name, *ROOT, "--at", "2026-12-01T00:00:00Z")[0] == 0


def test_extract_never_writes_into_a_directory_that_holds_something(
    hozen: Callable[..., Ran], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    code, _, _ = hozen("extract", vector("good"), "--to", tmp_path)
    assert code == 64
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_extract_from_a_pipe_is_verified_too(tmp_path: Path) -> None:
    target = tmp_path / "work"
    done = child("extract", "-", "--to", str(target), stdin=vector("good").read_bytes())
    assert done.returncode == 0
    assert len(list(target.rglob("data/*/*"))) == 4


# --- salvage --------------------------------------------------------------------------------------

PARTIAL = DATA / "partial" / f"{EXPECTED['bundle_id']}.zip.partial"


@pytest.mark.parametrize("given", [PARTIAL, PARTIAL.with_name(f"{EXPECTED['bundle_id']}.journal")])
def test_salvage_finds_what_lies_beside_and_writes_the_proved_files(
    given: Path, hozen: Callable[..., Ran], tmp_path: Path
) -> None:
    target = tmp_path / "proved"
    code, out, _ = hozen("salvage", given, "--to", target, *ROOT, "--at", "2026-12-01T00:00:00Z")
    assert code == 0
    assert "2 of 2 are proved" in out
    assert "Who (origin): match" in out
    assert len(list(target.rglob("data/*/*"))) == 3
    assert not list(target.rglob("*.part"))


def test_salvage_as_json_lists_proved_and_unproved(hozen: Callable[..., Ran]) -> None:
    _, out, _ = hozen("salvage", "--json", PARTIAL)
    document = json.loads(out)
    assert document["segments"] == {"found": 2, "proved": 2}
    assert [one["reason"] for one in document["unproved"]] == ["torn"]


def test_salvage_with_a_foreign_root_contradicts(hozen: Callable[..., Ran]) -> None:
    assert hozen("salvage", PARTIAL, "--root", DATA / "foreign-root.pem")[0] == 1


def test_salvage_of_nothing_provable_says_so(hozen: Callable[..., Ran], tmp_path: Path) -> None:
    junk = tmp_path / "hz-20261123T050000Z-web01-5f3a9c10.zip.partial"
    junk.write_bytes(bytes(1000))
    code, out, _ = hozen("salvage", junk)
    assert code == 2
    assert "0 of 0 are proved" in out
