"""The console script: stage 0 first, then one error line, one hint and a documented exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import click
import pytest

from hozen_hashes import cli, group, report
from hozen_hashes.errors import CannotWriteError, MismatchError
from hozen_hashes.terminal import Lang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    cli.settings.lang, cli.settings.verbosity = Lang.EN, 0
    yield
    cli.settings.lang, cli.settings.verbosity = Lang.EN, 0


def raising(error: BaseException) -> Callable[[list[str]], int]:
    def command(_args: list[str]) -> int:
        raise error

    return command


def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from hozen_hashes.front import main; sys.exit(main())"
    surroundings = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **env}
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_os_and_sys_are_imported_before_stage_0() -> None:
    code = (
        "import sys; before = set(sys.modules); import hozen_hashes.front;"
        "print(sorted(set(sys.modules) - before - {'hozen_hashes', 'hozen_hashes.front'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"[]", "['__future__']"}


def test_capture_reaches_stage_0_before_click_is_imported(tmp_path: os.PathLike[str]) -> None:
    code = (
        "import sys, types\n"
        "stage0 = types.ModuleType('hozen_agent.stage0')\n"
        "stage0.early = lambda: print('early', 'click' in sys.modules, flush=True)\n"
        "sys.modules['hozen_agent'] = types.ModuleType('hozen_agent')\n"
        "sys.modules['hozen_agent.stage0'] = stage0\n"
        "sys.modules['hozen_agent.commands'] = None\n"
        "from hozen_hashes.front import main\n"
        "main(sys.argv[1:])\n"
    )

    def talk(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *args],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        return done.stdout

    assert talk("capture", "--case", "X") == "early False\n"
    assert talk("--lang", "ja", "-v", "capture") == "early False\n"
    assert "early" not in talk("capture", "--help")
    assert "early" not in talk("verify", "capture")


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (MismatchError("the bytes differ", hint="keep both"), 1, "hint: keep both"),
        (CannotWriteError("full"), 73, "error: full"),
        (click.UsageError("what?"), 64, "see `hozen --help`"),
        (click.FileError("x", "cannot"), 64, "error: Could not open file"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "a\x1b[2J"),
            64,
            "a\\x1b[2J: No such file",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "b"), 77, "b: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 73, "No space left"),
        (OSError(errno.EBADMSG, "odd"), 70, "unexpected OSError"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (EOFError(), 64, "ended before"),
        (ZeroDivisionError("oops"), 70, "unexpected ZeroDivisionError: oops (at test_front.py"),
    ],
)
def test_every_end_has_its_exit_code_and_words(
    error: BaseException, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.guarded(raising(error), []) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert word in err
    assert all(line.startswith("hozen: ") for line in err.splitlines())
    assert "Traceback" not in err


def test_the_trace_of_a_fault_is_shown_with_v(capsys: pytest.CaptureFixture[str]) -> None:
    cli.settings.verbosity = 1
    report.guarded(raising(ZeroDivisionError("oops")), [])
    assert "Traceback" in capsys.readouterr().err


def test_a_click_exit_keeps_its_code() -> None:
    assert report.guarded(raising(click.exceptions.Exit(3)), []) == 3


def test_help_version_and_unknown_words() -> None:
    assert "capture" in run("--help").stdout
    assert run("--version").stdout.startswith("hozen ")
    unknown = run("explode")
    assert unknown.returncode == 64
    assert unknown.stderr.startswith("hozen: error: No such command 'explode'")
    assert unknown.stderr.splitlines()[1] == "hozen: hint: see `hozen --help`"


def test_a_call_without_words_shows_the_help_as_it_is() -> None:
    for args in ([], ["key"]):
        done = run(*args)
        assert done.returncode == 64
        assert done.stdout == ""
        assert done.stderr.startswith("Usage: hozen")


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    code = "import sys; from hozen_hashes.front import main; sys.exit(main())"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("hozen_agent.commands.absent:absent", "this installation is incomplete"),
        ("no_such_library:absent", "pip install 'hozen[all]'"),
    ],
)
def test_a_missing_part_is_named_and_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str, hint: str
) -> None:
    point = metadata.EntryPoint("absent", target, group.ENTRY_POINTS)
    hollow = group.LazyGroup("hozen", params=[])
    hollow.add_command(group.with_globals(group._load(point)), "absent")
    monkeypatch.setattr(group, "hozen", hollow)
    assert report.guarded(group.run, ["absent", "--any", "word"]) == 64
    assert hint in capsys.readouterr().err
    assert report.guarded(group.run, ["--help"]) == 0


def test_summaries_cover_every_registered_command() -> None:
    registered = {point.name for point in metadata.entry_points(group=group.ENTRY_POINTS)}
    assert registered | {"completion"} == set(group.SUMMARIES)


def test_global_options_may_stand_after_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    outer = click.Group("outer")

    @outer.command("inner")
    def inner() -> int:
        seen.append((cli.lang(), cli.settings.verbosity))
        return 3

    hollow = group.LazyGroup("hozen", params=group._globals())
    hollow.add_command(group.with_globals(outer), "outer")
    monkeypatch.setattr(group, "hozen", hollow)
    assert group.run(["outer", "inner", "--lang", "ja", "-vv"]) == 3
    assert group.run(["--lang", "en", "outer", "-q", "inner"]) == 3
    assert seen == [(Lang.JA, 2), (Lang.EN, -1)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_HOZEN_COMPLETE" in done.stdout


def test_completion_offers_commands_without_importing_them() -> None:
    done = run(_HOZEN_COMPLETE="bash_complete", COMP_WORDS="hozen ver", COMP_CWORD="1")
    assert done.stdout == "plain,verify\n"
    options = run(_HOZEN_COMPLETE="bash_complete", COMP_WORDS="hozen --la", COMP_CWORD="1")
    assert options.stdout == "plain,--lang\n"


def test_a_terminal_that_went_away_does_not_change_the_exit_code() -> None:
    code = (
        "import os, pty, sys\n"
        "master, slave = pty.openpty(); os.dup2(slave, 2); os.close(slave); os.close(master)\n"
        "from hozen_hashes.front import main; sys.exit(main(['verify', '/nowhere/at/all']))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    assert done.returncode == 64
