"""Which files make up a kind of evidence, in the ForensicArtifacts definition format.

Three origins: Hozen's own definitions (definitions/*.yaml), those of the `artifacts` package (Apache-2.0), and files of
the user. The first two are read from definitions/index.json, which `python -m hozen_agent.defindex` makes; YAML is
loaded for the user's files alone. Commands in definitions are never run; sources that are no files are left out.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from hozen_agent.filetree import walk
from hozen_hashes.errors import InternalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from yaml.nodes import Node

INDEX: Final = os.path.join(os.path.dirname(__file__), "definitions", "index.json")
HOME: Final = "%%users.homedir%%"
USER: Final = "%%users.username%%"
MAX_BYTES: Final = 256 << 10
MAX_EVENTS: Final = 20_000
MAX_DEPTH: Final = 12
MAX_GROUPS: Final = 16
PLATFORM: Final = "Linux"
_KEYS: Final = frozenset(
    {"name", "doc", "sources", "supported_os", "urls", "aliases", "provides", "labels", "conditions"}
)  # fmt: skip
_SOURCE_KEYS: Final = frozenset({"type", "attributes", "supported_os", "provides", "conditions"})
_PATH_TYPES: Final = frozenset({"FILE", "PATH", "DIRECTORY", "LINK"})
_TYPES: Final = _PATH_TYPES | {"ARTIFACT_GROUP", "COMMAND", "REGISTRY_KEY", "REGISTRY_VALUE", "WMI"}
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}\Z")
_CLASS: Final = re.compile(r"\[[^\]/]*\]")
_BARE: Final = re.compile(r"(?:(?<=/)|\A)\*\*(?=/|\Z)")
# The generic homes are always searched, whatever /etc/passwd says or hides.
_EVERY_HOME: Final = (
    b"/root", b"/home/*", b"/var/home/*", b"/export/home/*", b"/usr/home/*", b"/srv/home/*", b"/var/lib/*",
    b"/var/www",
)  # fmt: skip
_NO_HOMES: Final = frozenset(
    b"/ /bin /dev /dev/null /nonexistent /proc /run /sbin /sys /usr /usr/bin /usr/sbin /var /var/empty /etc /tmp"
    b" /var/run /usr/games /var/tmp /var/lib /var/spool".split()
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One named kind of evidence.

    Attributes:
        patterns: file patterns, with %%users.homedir%% where a home directory belongs.
        groups: names of other definitions that belong to it.
        left_out: how many sources are not files (commands, registry).
    """

    name: str
    doc: str
    patterns: tuple[str, ...]
    groups: tuple[str, ...]
    left_out: int


def parse_yaml(text: bytes, *, what: str, strict: bool = True) -> list[Definition]:
    """Return the definitions of a YAML file that apply to Linux.

    Args:
        text: the file, UTF-8.
        what: its name, for messages.
        strict: refuse keys that the format does not know.

    Raises:
        UsageError: not YAML, beyond the bounds, or not definitions; the message names file and line.
    """
    return [
        definition
        for node in _documents(text, what)
        if (definition := _Reader(what, strict=strict).definition(node)) is not None
    ]


def _documents(text: bytes, what: str) -> list[Node]:
    """Return the documents as nodes, after a look at their size, depth and aliases."""
    import yaml

    if len(text) > MAX_BYTES:
        raise UsageError(f"{what} is larger than {MAX_BYTES} bytes", hint="split it")
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
            depth += isinstance(event, yaml.events.CollectionStartEvent)
            depth -= isinstance(event, yaml.events.CollectionEndEvent)
            line = _line(event.start_mark)
            if isinstance(event, yaml.events.AliasEvent):
                raise UsageError(f"{what}:{line}: an alias", hint="write the value out")
            if depth > MAX_DEPTH or count > MAX_EVENTS:
                raise UsageError(
                    f"{what}:{line}: nested too deep or too long", hint="split the file"
                )
        nodes = yaml.compose_all(text, Loader=yaml.SafeLoader)
        return [node for node in nodes if node.tag != "tag:yaml.org,2002:null"]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{what}:{mark.line + 1}" if mark is not None else what
        reason = getattr(error, "problem", None) or "not UTF-8 text"
        raise UsageError(f"{place}: {reason}", hint="see the ForensicArtifacts format") from None


def _line(mark: Any) -> int:
    """Return the line of a mark; the C and the Python parser of PyYAML have each their own kind."""
    return int(mark.line) + 1 if mark is not None else 1


class _Reader:
    """Takes one definition out of YAML nodes; each complaint names its line."""

    def __init__(self, what: str, *, strict: bool) -> None:
        self._what = what
        self._strict = strict

    def _bad(self, node: Node, text: str, hint: str) -> UsageError:
        return UsageError(f"{self._what}:{_line(node.start_mark)}: {text}", hint=hint)

    def _mapping(self, node: Node, allowed: frozenset[str] | None) -> dict[str, Node]:
        from yaml.nodes import MappingNode

        if not isinstance(node, MappingNode):
            raise self._bad(node, "not a mapping", "write `key: value` lines")
        found: dict[str, Node] = {}
        for key, value in node.value:
            name = self._text(key)
            if name in found:
                raise self._bad(key, f"key {name!r} a second time", "keep one of them")
            if self._strict and allowed is not None and name not in allowed:
                raise self._bad(
                    key, f"unknown key {name!r}", f"known: {', '.join(sorted(allowed))}"
                )
            found[name] = value
        return found

    def _text(self, node: Node) -> str:
        from yaml.nodes import ScalarNode

        if not isinstance(node, ScalarNode):
            raise self._bad(node, "not a text", "write one value")
        return str(node.value)

    def _texts(self, node: Node | None) -> list[tuple[str, Node]]:
        from yaml.nodes import SequenceNode

        if node is None:
            return []
        if not isinstance(node, SequenceNode):
            raise self._bad(node, "not a list", "begin each entry with `- `")
        return [(self._text(entry), entry) for entry in node.value]

    def definition(self, node: Node) -> Definition | None:
        """Return the definition, None when it is for other systems only."""
        fields = self._mapping(node, _KEYS)
        for key in ("name", "doc", "sources"):
            if key not in fields:
                raise self._bad(node, f"no {key!r}", "name, doc and sources are required")
        name = self._text(fields["name"])
        if not _NAME.match(name):
            raise self._bad(fields["name"], f"{name!r} is not a name", "letters, digits and _")
        systems = [text for text, _ in self._texts(fields.get("supported_os"))]
        if systems and PLATFORM not in systems:
            return None
        patterns: dict[str, None] = {}
        groups: dict[str, None] = {}
        left_out = 0
        for source in self._sources(fields["sources"]):
            kind, paths, names = source
            patterns.update(dict.fromkeys(paths))
            groups.update(dict.fromkeys(names))
            left_out += kind not in _PATH_TYPES and kind != "ARTIFACT_GROUP"
        doc = " ".join(self._text(fields["doc"]).split())
        return Definition(
            name=name, doc=doc, patterns=tuple(patterns), groups=tuple(groups), left_out=left_out
        )

    def _sources(self, node: Node) -> list[tuple[str, list[str], list[str]]]:
        from yaml.nodes import SequenceNode

        if not isinstance(node, SequenceNode) or not node.value:
            raise self._bad(node, "sources is not a list", "begin each source with `- type:`")
        return [found for entry in node.value if (found := self._source(entry)) is not None]

    def _source(self, node: Node) -> tuple[str, list[str], list[str]] | None:
        """Return (type, patterns, group names) of one source, None when it is for other systems."""
        fields = self._mapping(node, _SOURCE_KEYS)
        if "type" not in fields:
            raise self._bad(node, "a source without type", f"one of {', '.join(sorted(_TYPES))}")
        kind = self._text(fields["type"])
        if kind not in _TYPES:
            raise self._bad(
                fields["type"], f"unknown type {kind!r}", f"known: {', '.join(sorted(_TYPES))}"
            )
        systems = [text for text, _ in self._texts(fields.get("supported_os"))]
        if systems and PLATFORM not in systems:
            return None
        allowed = frozenset({"paths", "separator"} if kind in _PATH_TYPES else {"names"})
        if kind not in _PATH_TYPES and kind != "ARTIFACT_GROUP":
            return kind, [], []
        inner = fields.get("attributes")
        if inner is None:
            raise self._bad(node, "a source without attributes", "name its paths")
        attributes = self._mapping(inner, allowed)
        if "separator" in attributes and self._text(attributes["separator"]) == "\\":
            return None
        paths = [self._pattern(text, at) for text, at in self._texts(attributes.get("paths"))]
        return kind, [p for p in paths if p], [t for t, _ in self._texts(attributes.get("names"))]

    def _pattern(self, text: str, node: Node) -> str:
        """Return the pattern in our form, empty when it is for another system."""
        if text.startswith("\\") or (not text.startswith(("/", HOME)) and not self._strict):
            return ""
        normal = normalise(text)
        if "%%" in normal.replace(HOME, "").replace(USER, ""):
            raise self._bad(node, f"unknown variable in {text!r}", f"known: {HOME}, {USER}")
        try:
            walk.compile_pattern(normal.replace(HOME, "/home/x").replace(USER, "x").encode())
        except UsageError as error:
            raise self._bad(node, str(error), error.hint) from None
        return normal


def normalise(pattern: str) -> str:
    """Return the pattern with `**` as the format means it (three deep) and `[…]` widened to `?`."""
    return _BARE.sub("**3", _CLASS.sub("?", pattern))


@cache
def _index() -> Mapping[str, Definition]:
    with open(INDEX, "rb") as file:
        loaded = json.load(file)
    return {
        entry["name"]: Definition(
            name=entry["name"],
            doc=entry["doc"],
            patterns=tuple(entry["patterns"]),
            groups=tuple(entry["groups"]),
            left_out=entry["left_out"],
        )
        for entry in loaded["definitions"]
    }


def known() -> Mapping[str, Definition]:
    """Return the definitions that come with Hozen, by name."""
    return _index()


def patterns_of(
    name: str, *, among: Mapping[str, Definition] | None = None, depth: int = 0
) -> tuple[str, ...]:
    """Return every pattern of a definition and of the groups it names, each once.

    Raises:
        UsageError: a name is not defined, or groups name each other in a circle.
    """
    table = _index() if among is None else among
    if name not in table:
        raise UsageError(f"there is no artifact definition {name!r}", hint="see `hozen plan`")
    if depth > MAX_GROUPS:
        raise UsageError(f"definition {name!r} belongs to itself", hint="remove it from its group")
    definition = table[name]
    found = dict.fromkeys(definition.patterns)
    for group in definition.groups:
        found.update(dict.fromkeys(patterns_of(group, among=table, depth=depth + 1)))
    return tuple(found)


def own(name: str) -> tuple[str, ...]:
    """Return the patterns of one of Hozen's own definitions.

    Raises:
        InternalError: the index lacks it.
    """
    try:
        return patterns_of(name)
    except UsageError as error:
        raise InternalError(f"definitions/index.json: {error}") from None


def homes_in(passwd: bytes) -> tuple[bytes, ...]:
    """Return the home directories of a passwd file that the generic places do not cover, at most 10,000."""
    found: dict[bytes, None] = {}
    for line in passwd.split(b"\n")[:200_000]:
        fields = line.split(b":")
        if len(fields) < 7:  # noqa: PLR2004 - columns of passwd(5)
            continue
        home = b"/" + b"/".join(part for part in fields[5].split(b"/") if part not in {b"", b"."})
        parts = home.split(b"/")
        covered = home == b"/root" or (len(parts) == 3 and parts[1] == b"home")  # noqa: PLR2004
        bad = b".." in parts or b"*" in home or b"?" in home or b"\0" in home or len(home) > 1000  # noqa: PLR2004
        if home not in _NO_HOMES and not covered and not bad:
            found[home] = None
    return tuple(found)[:10_000]


def expand(patterns: Iterable[str], homes: Iterable[bytes]) -> list[bytes]:
    """Return the patterns as bytes, those of home directories once for each home."""
    places = [*_EVERY_HOME, *homes]
    found: dict[bytes, None] = {}
    for pattern in patterns:
        raw = pattern.replace(USER, "*").encode()
        marker = HOME.encode()
        if marker in raw:
            found.update(dict.fromkeys(raw.replace(marker, home) for home in places))
        else:
            found[raw] = None
    return list(found)
