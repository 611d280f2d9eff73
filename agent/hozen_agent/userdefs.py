"""Artifact definitions that the user wrote become families of the catalogue, named `user_…`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hozen_agent import definitions
from hozen_agent.artifacts.registry import CATALOGUE, artifact
from hozen_agent.reading import files
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

RANK = 80  # after everything that Hozen itself captures
_LONGEST = 48  # bundle-v1 §3


def family_name(name: str) -> str:
    """Return the artifact name for a definition: `MyAppLogs` becomes `user_my_app_logs`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_+", "_", name).lower()
    return f"user_{words}"[:_LONGEST].rstrip("_")


def enter(text: bytes, *, what: str) -> list[str]:
    """Return the names under which the definitions of a YAML file are in the catalogue from now on.

    Args:
        text: the file.
        what: its name, for messages.

    Raises:
        UsageError: as `definitions.parse_yaml`; a name is taken, a group is not defined, or nothing in it names files.
    """
    own = {entry.name: entry for entry in definitions.parse_yaml(text, what=what)}
    among = {**definitions.known(), **own}
    names = []
    for entry in own.values():
        patterns = definitions.patterns_of(entry.name, among=among)
        name = family_name(entry.name)
        if not patterns:
            raise UsageError(f"{what}: {entry.name} names no files", hint="give it a FILE source")
        if name in CATALOGUE:
            raise UsageError(f"{what}: {entry.name} is there already", hint="rename one of them")
        _family(name, entry, patterns)
        names.append(name)
    return names


def _family(name: str, entry: definitions.Definition, patterns: tuple[str, ...]) -> None:
    """The definition is a family; what it proves only its author knows, so its own words are given."""

    @artifact(
        name=name,
        rank=RANK,
        personal="personal",
        en=f"Files named by the user's own definition {entry.name}: {entry.doc[:300]}",
        ja=f"利用者の定義{entry.name}が指すファイルです。証明できる範囲は定義の作成者が示します。",
        reads=patterns,
        needs_root=True,
    )
    def collect(ctx: Context) -> Iterator[Attempt]:
        yield from files.capture_patterns(
            ctx, artifact=name, patterns=patterns, personal="personal"
        )
