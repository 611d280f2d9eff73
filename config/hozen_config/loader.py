"""YAML text to positioned nodes, with every bound held before anything is built.

Only the event stream of PyYAML's safe loader is used: no object is constructed, no tag is obeyed, and no scalar is
guessed at (`no` stays a word until a key asks for a flag). Aliases and anchors are refused, so nothing can be
multiplied; depth, count and size are bounded, so nothing can be grown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol

import yaml

from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
MAX_NODES = 10_000
MAX_SCALAR = 65_536


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A word or text; `absent` for an empty plain value, as in `key:`."""

    place: Place
    value: str
    absent: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    place: Place
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys, each once, in the order of the file."""

    place: Place
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


def refuse(place: Place, problem: str, *, key: str = "", hint: str = "") -> NoReturn:
    """Raise the one form that every configuration error has: `file:line:column: key: problem`.

    Raises:
        UsageError: always.
    """
    raise UsageError(f"{place}: {key + ': ' if key else ''}{problem}", hint=hint)


def load_mapping(data: bytes, *, file: str) -> Mapping:
    """Return the one mapping that a YAML file holds.

    Raises:
        UsageError: no UTF-8, no YAML, not one mapping, a duplicate key, an alias, anchor or tag, or a bound reached.
    """
    node = load(data, file=file)
    if not isinstance(node, Mapping):
        refuse(
            node.place,
            "the file must hold keys and values",
            hint="begin with a line such as `name: …`",
        )
    return node


def load(data: bytes, *, file: str) -> Node:
    """Return the one document that a YAML file holds; errors as load_mapping."""
    start = Place(file, 1, 1)
    if len(data) > MAX_BYTES:
        refuse(start, f"the file is longer than {MAX_BYTES} bytes", hint="is it the right file?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        place = Place(file, data[: problem.start].count(b"\n") + 1, 1)
        refuse(place, "the text is no UTF-8", hint="save the file as UTF-8")
    try:
        return _Builder(file).build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as problem:
        refuse(
            _mark(file, problem.problem_mark),
            f"no YAML: {problem.problem or problem.context}",
            hint=_YAML,
        )
    except yaml.reader.ReaderError as problem:
        place = Place(file, text[: problem.position].count("\n") + 1, 1)
        refuse(place, f"a character that YAML forbids (U+{problem.character:04X})", hint=_YAML)
    except (yaml.YAMLError, ValueError, OverflowError) as problem:
        # PyYAML lets a number in an escape sequence or in a directive overflow.
        refuse(start, f"no YAML: {problem}", hint=_YAML)


_YAML = "mend the file; blanks indent, tabs do not"


class _Mark(Protocol):
    line: int
    column: int


def _mark(file: str, mark: _Mark | None) -> Place:
    return Place(file, 1, 1) if mark is None else Place(file, mark.line + 1, mark.column + 1)


class _Builder:
    """Builds nodes from events; the recursion is as deep as MAX_DEPTH and no deeper."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0

    def build(self, events: Iterator[yaml.Event]) -> Node:
        """Return the only document."""
        document: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if document is not None:
                    refuse(
                        _mark(self._file, event.start_mark),
                        "a second document",
                        hint="keep one in a file",
                    )
                document = self._node(next(events), events, 1)
        if document is None:
            refuse(
                Place(self._file, 1, 1),
                "the file is empty",
                hint="write at least the required keys",
            )
        return document

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        place = _mark(self._file, event.start_mark)
        self._admit(event, place, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place, events, depth)
        return self._mapping(place, events, depth)

    def _admit(self, event: yaml.Event, place: Place, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            refuse(place, f"more than {MAX_NODES} values", hint="is it the right file?")
        if depth > MAX_DEPTH:
            refuse(place, f"nested deeper than {MAX_DEPTH} levels", hint="is it the right file?")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            refuse(
                place,
                "anchors and aliases are not used here",
                hint="write the value out; quote a word with & or *",
            )
        if getattr(event, "tag", None) is not None:
            refuse(place, "tags are not used here", hint="leave out the word with !")

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Scalar:
        if len(event.value) > MAX_SCALAR:
            refuse(
                place, f"a text longer than {MAX_SCALAR} characters", hint="is it the right file?"
            )
        if any(0xD800 <= ord(c) <= 0xDFFF for c in event.value):  # noqa: PLR2004 - the surrogates
            refuse(place, "half of a surrogate pair", hint="write the character itself")
        return Scalar(
            place, event.value, absent=event.style is None and event.value in {"", "~", "null"}
        )

    def _sequence(self, place: Place, events: Iterator[yaml.Event], depth: int) -> Sequence:
        found = Sequence(place)
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            found.items.append(self._node(event, events, depth + 1))
        return found

    def _mapping(self, place: Place, events: Iterator[yaml.Event], depth: int) -> Mapping:
        found = Mapping(place)
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            if not isinstance(key, Scalar):
                refuse(key.place, "a key must be a word")
            if key.value in found.entries:
                refuse(
                    key.place,
                    f"the key stands twice, first at line {found.keys[key.value].line}",
                    key=key.value,
                    hint="keep one of them",
                )
            found.keys[key.value] = key.place
            found.entries[key.value] = self._node(next(events), events, depth + 1)
        return found
