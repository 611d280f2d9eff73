"""Writes the reference pages that follow from the code: command line, exit codes, profiles, configuration, artifacts.

`python tools/reference.py` writes them; `--check` writes nothing and names the pages that are not what it would write.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hozen_config.casefile import REQUIRED
from hozen_config.models import (
    AgentSettings,
    CaseFile,
    CollectorSettings,
    Profile,
    load_profile,
    profile_names,
)
from hozen_config.quantities import format_duration, format_size
from hozen_hashes import cli, errors, group

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Written by tools/reference.py; change the code, then run `make reference`. -->\n\n"
WIDTH = 96


def command_line() -> str:
    """Return the page of every command's own help."""
    parts = [
        NOTE,
        "# Command line\n\n`hozen COMMAND --help` shows the same. Results go to standard output, talk to standard ",
        "error; `--json` forms are described in [JSON results](json.md), exit codes in [Exit codes](exit-codes.md).\n",
    ]
    root = click.Context(
        group.hozen, info_name="hozen", terminal_width=WIDTH, max_content_width=WIDTH
    )
    parts.append(_help("hozen", group.hozen, root))
    for name in group.hozen.list_commands(root):
        command = group.hozen.get_command(root, name)
        if command is not None:
            parts += _tree(name, command, root)
    return "".join(parts)


def _tree(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
    )
    yield _help(context.command_path, command, context)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            if below is not None and not below.hidden:
                yield from _tree(child, below, context)


def _help(path: str, command: click.Command, context: click.Context) -> str:
    lines = (line.rstrip() for line in command.get_help(context).splitlines())
    return f"\n## `{path}`\n\n```text\n" + "\n".join(lines) + "\n```\n"


def exit_codes() -> str:
    """Return the page of exit codes, with the error classes that end with each."""
    parts = [NOTE, "# Exit codes\n\nEvery command ends with one of these, and with no other.\n\n"]
    parts.append("| code | meaning | errors |\n|---|---|---|\n")
    by_code: dict[int, list[str]] = {}
    for name, kind in vars(errors).items():
        if (
            isinstance(kind, type)
            and issubclass(kind, errors.HozenError)
            and kind is not errors.HozenError
        ):
            by_code.setdefault(kind.exit_code, []).append(f"`{name}`")
    for code, meaning in cli.EXIT_CODES.items():
        parts.append(f"| {code} | {meaning} | {', '.join(by_code.get(code, []))} |\n")
    parts.append(
        "\nA reader that goes away (`hozen … | head`) ends a command quietly with 141.\n\n## Error classes\n\n"
    )
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.HozenError):
            parts.append(f"- `{name}` ({kind.exit_code}): {(kind.__doc__ or '').splitlines()[0]}\n")
    return "".join(parts)


def profiles() -> str:
    """Return the page of the packaged profiles."""
    parts = [
        NOTE,
        "# Profiles\n\nA profile says what a capture takes, in which order, and how much it may use. ",
    ]
    parts.append(
        "A file of your own is given by its path: `--profile ./mine.yaml`; its keys are in "
    )
    parts.append(
        "[Configuration](config.md). The SHA-256 is that of the file and is in every bundle.\n"
    )
    for name in ("minimal", "standard", "full", "pre-isolation"):
        parts += _profile(name)
    missing = set(profile_names()) - {"minimal", "standard", "full", "pre-isolation"}
    if missing:
        raise SystemExit(f"profiles without a section: {missing}")
    return "".join(parts)


def _profile(name: str) -> Iterator[str]:
    one, digest = load_profile(name)
    yield f"\n## `{name}`\n\n{one.description.en}\n\n{one.description.ja}\n\n"
    yield f"- version {one.version}, SHA-256 `{digest}`\n"
    yield f"- order: {', '.join(f'`{name}`' for name in one.names())}\n"
    optional = ", ".join(f"`{artifact.name}`" for artifact in one.artifacts if artifact.optional)
    if optional:
        yield f"- only with `--with NAME`: {optional}\n"
    yield f"- item ≤ {format_size(one.limits.item)}, artifact ≤ {format_size(one.limits.family)}, "
    yield f"total ≤ {format_size(one.limits.total)}, time ≤ {format_duration(one.limits.deadline)}\n"
    yield f"- niceness {one.limits.nice}, I/O class {one.limits.io_class}, "
    yield f"processors ≤ {one.limits.cpu_share * 100:.0f} %, memory of a process ≤ {format_size(one.limits.memory)}\n"
    if one.isolation is not None:
        yield f"- volatile part ≤ {format_duration(one.isolation)}, then word whether the cable may be pulled\n"
    yield f"- redaction of command lines and environments: {_value(one.redaction)}\n"
    yield f"- needs a written reason: {_value(one.requires_reason)}; "
    yield f"needs encryption: {_value(one.requires_encryption)}\n"


_CASE = (
    f"Given with `--case-file FILE`. Required before the seal: {', '.join(REQUIRED)}; `unknown` is an answer, a blank "
    "is not. The environment gives the same fields as `HOZEN_CASE`, `HOZEN_CASE_NAME`, `HOZEN_OPERATOR` and so on; the "
    "command line comes first, then the file."
)
_FILES: tuple[tuple[str, type, str], ...] = (
    ("A profile", Profile, "Given with `hozen capture --profile FILE`."),
    ("A case file", CaseFile, _CASE),
    ("`agent.yaml`", AgentSettings, "What a prepared computer knows beforehand."),
    ("`collector.yaml`", CollectorSettings, "Limits and times of a collector."),
)


def configuration() -> str:
    """Return the page of every key of every file."""
    parts = [NOTE, "# Configuration\n\n"]
    parts.append(
        "Files are YAML: UTF-8, at most 1 MiB, 16 levels, 10,000 values; no anchors, aliases or tags. Unknown "
    )
    parts.append(
        "and doubled keys are refused, with file, line, column and a hint. Sizes are written `64MiB`, times `90s` "
    )
    parts.append("or `24h`, shares `5%`.\n")
    for title, model, text in _FILES:
        parts.append(
            f"\n## {title}\n\n{text}\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
        )
        parts += _keys(model, "")
    return "".join(parts)


def _keys(model: type, prefix: str) -> Iterator[str]:
    for field in dataclasses.fields(model):
        kind, doc = field.metadata["kind"], field.metadata["doc"]
        yield f"| `{prefix}{field.name}` | {kind.name.replace('|', 'or')} | {_default(field, kind.name)} | {doc} |\n"
        if kind.model is not None:
            yield from _keys(
                kind.model, f"{prefix}{field.name}{'[]' if 'list' in kind.name else ''}."
            )


def _default(field: dataclasses.Field[object], kind: str) -> str:
    if field.default is dataclasses.MISSING:
        return "" if field.default_factory is not dataclasses.MISSING else "required"
    if field.default is None or field.default == ():
        return ""
    return f"`{_value(field.default, kind)}`"


def _value(value: object, kind: str = "") -> str:
    if isinstance(value, bool):
        return "yes" if value and not kind else "no" if not kind else str(value).lower()
    if kind.startswith("size") and isinstance(value, int):
        return format_size(value)
    if kind.startswith("duration") and isinstance(value, int | float):
        return format_duration(value)
    if kind.startswith("percentage") and isinstance(value, float):
        return f"{value * 100:g}%"
    return str(value)


def artifacts() -> str:
    """Return the page of evidence families."""
    families = importlib.import_module("hozen_agent.artifacts")
    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"hozen_agent.artifacts.{module.name}")
    catalogue = importlib.import_module("hozen_agent.artifacts.registry").CATALOGUE
    parts = [
        NOTE,
        "# Artifacts\n\nKinds of evidence, the most volatile first. Each says what it proves and what not.\n\n",
        *_families(catalogue),
        *_coverage(),
    ]
    for one in sorted(catalogue.values(), key=lambda artifact: (artifact.rank, artifact.name)):
        parts.append(
            f"\n## `{one.name}`\n\n{one.en}\n\n{one.ja}\n\n- personal data: {one.personal}"
        )
        parts.append(
            f"; needs root: {_value(one.needs_root)}\n- reads: {', '.join(f'`{word}`' for word in one.reads)}\n"
        )
    return "".join(parts)


def _families(catalogue: dict[str, Any]) -> Iterator[str]:
    """Yield the table of all families."""
    yield "| artifact | rank | platform | needs root | personal data | outcomes |\n|---|---|---|---|---|---|\n"
    for one in sorted(catalogue.values(), key=lambda artifact: (artifact.rank, artifact.name)):
        where = ", ".join(one.platforms)
        yield f"| [`{one.name}`](#{one.name.replace('_', '-')}) | {one.rank} | {where} | {_value(one.needs_root)} "
        yield f"| {one.personal} | {', '.join(_outcomes(one))} |\n"


_OWN = re.compile(r"from hozen_agent(?:\.([a-z_.]+))? import (\([^)]*\)|[^\n]+)")


def _outcomes(one: Any) -> list[str]:
    """Return how an attempt of the family can end: the recorder's five ways, and those that its modules name."""
    outcomes = importlib.import_module("hozen_agent.items").Outcome
    text = _source(sys.modules[one.collect.__module__].__name__)
    used = {
        module
        for where, names in _OWN.findall(text)
        for module in _modules(f"hozen_agent.{where}".rstrip("."), re.findall(r"\w+", names))
    }
    text += "".join(_source(name) for name in used if not name.endswith((".items", ".registry")))
    files = "ctx.files" in text or "files.capture" in text
    named = {o for o in (outcomes.MISSING, outcomes.DENIED) if files or f"Outcome.{o.name}" in text}
    return [str(o) for o in outcomes if o in named or o not in {outcomes.MISSING, outcomes.DENIED}]


def _modules(where: str, names: list[str]) -> list[str]:
    """Return the modules that an import means: the named ones of a package, else the one that holds the names."""
    package = importlib.import_module(where)
    if not hasattr(package, "__path__"):
        return [where]
    inside = {module.name for module in pkgutil.iter_modules(package.__path__)}
    return [f"{where}.{name}" for name in names if name in inside] or [where]


def _source(name: str) -> str:
    """Return the text of a module of the agent."""
    file = importlib.import_module(name).__file__
    return Path(file).read_text(encoding="utf-8") if file else ""


def _coverage() -> Iterator[str]:
    """Yield the field's kinds of evidence with the families that capture them."""
    yield "\n## What the field asks for\n\nThe kinds of evidence by which live-response tools are compared.\n\n"
    yield "| kind | artifacts | note |\n|---|---|---|\n"
    for row in importlib.import_module("hozen_agent.coverage").ROWS:
        yield f"| {row.kind} | {', '.join(f'`{name}`' for name in row.families) or 'none'} | {row.note} |\n"


WRITERS = {
    "cli.md": command_line,
    "exit-codes.md": exit_codes,
    "profiles.md": profiles,
    "config.md": configuration,
    "artifacts.md": artifacts,
}


def main(argv: list[str]) -> int:
    """Write the pages, or with `--check` name the stale ones and return 1."""
    stale = []
    for name, write in WRITERS.items():
        text, page = write(), PAGES / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in argv:
                page.write_text(text, encoding="utf-8")
    if "--check" in argv and stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run `make reference`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
