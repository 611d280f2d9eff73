"""The sealed README-VERIFY.txt: how a stranger checks a bundle with stock tools only (bundle-v1 §1, law M15).

The text is sealed into every bundle and cannot be mended later. So that it holds for years it carries the
`-attime` step from the beginning, and so that it stays true our tests and `make demo` run exactly the lines
that a reader would type: those that begin with `$ `. Prose is one file a language; the commands are one file.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

from hozen_hashes.errors import FormatError

LANGUAGES: Final = ("en", "ja")
PROMPT: Final = "$ "
_OPENING: Final = "English below [en]. 日本語は後半 [ja] にあります。\n"


def render(bundle_id: str) -> bytes:
    """Return README-VERIFY.txt of the bundle: UTF-8, LF, English first, then Japanese (bundle-v1 §1).

    The same id gives the same bytes. The commands read three variables of the shell, all optional: ROOT (file
    name of the root certificate), SEAL (64 hexadecimal digits) and TIME (seconds since 1970).

    Args:
        bundle_id: as bundle-v1 §3; its alphabet needs no quoting in a shell.
    """
    commands = _sections(_text("verify.commands.txt"))
    parts = [_OPENING]
    for language in LANGUAGES:
        prose = _text(f"verify.{language}.txt")
        parts.append(f"\n[{language}]\n\n" + _woven(prose, commands))
    return "".join(parts).replace("{id}", bundle_id).encode()


def commands(text: bytes, lang: str = "en") -> list[str]:
    """Return the command lines of one language's part, without the prompt, in their order.

    They make one POSIX shell script: joined with LF and run with `sh -e` beside the container, it ends with 0
    only when every check holds.

    Raises:
        FormatError: the text is not UTF-8 or has no part in this language.
    """
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("README-VERIFY.txt is not UTF-8") from error
    if f"[{lang}]" not in lines:
        raise FormatError(f"README-VERIFY.txt has no part in the language {lang!r}")
    found: list[str] = []
    for line in lines[lines.index(f"[{lang}]") + 1 :]:
        if line in {f"[{other}]" for other in LANGUAGES}:
            break
        if line.startswith(PROMPT):
            found.append(line.removeprefix(PROMPT))
    return found


def _text(name: str) -> str:
    return resources.files("hozen_hashes").joinpath("readme", name).read_text(encoding="utf-8")


def _sections(text: str) -> dict[str, str]:
    """Split the command file at its `@n` lines."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if line.startswith("@"):
            name = line.strip()
        else:
            found[name] = found.get(name, "") + line
    return found


def _woven(prose: str, commands_by_section: dict[str, str]) -> str:
    """Put each section's commands where the prose names the section."""
    return "".join(
        commands_by_section[line.strip()] if line.startswith("@") else line
        for line in prose.splitlines(keepends=True)
    )
