"""What all commands share: talk, results, JSON, secrets by file or prompt, and the exit status text.

Results go to standard output, talk goes to standard error with the prefix `hozen:`. Only commands call these.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from hozen_hashes.errors import UsageError
from hozen_hashes.terminal import Lang, default_lang, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "EXIT_CODES", "Lang", "detail", "emit_json", "error", "exit_status", "hint", "json_option", "lang",
    "passphrase_option", "pick", "read_passphrase", "read_secret", "safe_text", "say", "settings", "tell", "warn",
]  # fmt: skip

SECRET_LIMIT = 4096
F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(slots=True)
class Settings:
    """The global options of this run.

    Attributes:
        verbosity: -1 with `-q`, 0, or the number of `-v`.
    """

    lang: Lang = field(default_factory=lambda: default_lang(os.environ))
    verbosity: int = 0


settings = Settings()


def lang() -> Lang:
    """Return the language of this run."""
    return settings.lang


def pick(*, en: str, ja: str) -> str:
    """Return the text in the language of this run."""
    return ja if settings.lang is Lang.JA else en


def say(text: str = "") -> None:
    """Write one result line to standard output; foreign text in it must have gone through safe_text."""
    click.echo(text)


def tell(text: str) -> None:
    """Say something about the work on standard error, unless `-q`."""
    if settings.verbosity >= 0:
        _talk(text)


def detail(text: str) -> None:
    """Say something that only `-v` shows."""
    if settings.verbosity > 0:
        _talk(text)


def warn(text: str) -> None:
    """Say what the user should know although the work goes on."""
    _talk(f"warning: {text}")


def hint(text: str) -> None:
    """Say what to do next."""
    _talk(f"hint: {text}")


def error(text: str, *, hint: str = "") -> None:
    """Say what is wrong, and what to do about it."""
    _talk(f"error: {text}")
    if hint:
        _talk(f"hint: {hint}")


def _talk(text: str) -> None:
    # A closed terminal never ends the work (design §5): talk is lost, evidence is not.
    with suppress(OSError, ValueError):
        click.echo("hozen: " + safe_text(text, one_line=False), err=True)


def emit_json(value: object) -> None:
    """Write one JSON document, ASCII only, to standard output (docs/reference/json.md)."""
    click.echo(json.dumps(value, indent=2))


def json_option(command: F) -> F:
    """Add `--json`, passed as `as_json`: the documented, stable form of the result."""
    option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    return option(command)


def passphrase_option(command: F) -> F:
    """Add `--passphrase-file FILE|-`, passed as `passphrase_file`; give it to read_passphrase."""
    return click.option(
        "--passphrase-file",
        metavar="FILE|-",
        help="Read the passphrase from the first line of FILE or of standard input; default: ask on the terminal.",
    )(command)


def read_passphrase(
    source: str | None, *, prompt: str = "Passphrase", confirm: bool = False
) -> bytes | None:
    """Return the passphrase from file, standard input (`-`) or terminal; None when there is nobody to ask.

    Raises:
        UsageError: as read_secret; the two answers differ; the answer is empty.
    """
    if source is not None:
        return read_secret(source, what="passphrase")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return answer.encode()


def read_secret(source: str, *, what: str) -> bytes:
    """Return the first line of a file, or of standard input for `-`: secrets never travel in argv.

    Raises:
        UsageError: the file cannot be read, is empty, or its first line is longer than 4096 bytes.
    """
    line = _first_line(source, what)
    if len(line) > SECRET_LIMIT:
        raise UsageError(
            f"the {what} in {source} is longer than {SECRET_LIMIT} bytes",
            hint="is it the right file?",
        )
    secret = line.rstrip(b"\r\n")
    if not secret:
        raise UsageError(f"the {what} in {source} is empty", hint="put it into the first line")
    return secret


def _first_line(source: str, what: str) -> bytes:
    try:
        if source == "-":
            stream: IO[bytes] = sys.stdin.buffer
            return stream.readline(SECRET_LIMIT + 2)
        with open(source, "rb") as file:  # noqa: PTH123 - a name from the command line, maybe /dev/fd/N
            return file.readline(SECRET_LIMIT + 2)
    except OSError as problem:
        raise UsageError(
            f"cannot read the {what} from {source}: {problem.strerror}",
            hint="give a readable file, or - for standard input",
        ) from problem


EXIT_CODES = {
    0: "done; a check: 一致 match",
    1: "不一致 mismatch",
    2: "検証不能 not verifiable",
    3: "done: the capture ended early, or (with --strict) items were not obtained",
    64: "the call's words are off",
    65: "the data breaks a rule of the format",
    70: "a fault of hozen itself",
    73: "cannot write the result",
    75: "the other side is busy or out of reach: try again",
    77: "denied",
    130: "interrupted",
}


def exit_status(*codes: int) -> str:
    """Return the EXIT STATUS part of a command's help (its `epilog`); without arguments, all codes."""
    lines = [f"{code:>4}  {EXIT_CODES[code]}" for code in codes or EXIT_CODES]
    return "\b\nExit status:\n" + "\n".join(lines)
