"""Binds positioned nodes to frozen dataclasses: every key is declared, typed, bounded and described once.

The declaration (`key(kind, "what it means", default=…)`) is the only source: the loader, the error texts and the
reference pages are made from it.
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import MISSING, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hozen_config.loader import Mapping, Node, Place, Scalar, Sequence, refuse
from hozen_config.quantities import parse_duration, parse_share, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
_TEXT_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Kind:
    """How the value of a key is written.

    Attributes:
        name: the word that the reference page shows.
        read: from node and key path to value.
        model: the dataclass of a section, or of the entries of a list.
    """

    name: str
    read: Callable[[Node, str], Any]
    model: type | None = None


def key(kind: Kind, doc: str, *, default: Any = MISSING) -> Any:
    """Declare a key of a configuration dataclass; without a default it is required."""
    metadata = {"kind": kind, "doc": doc}
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def bind(model: type[T], node: Node, *, path: str = "") -> T:
    """Return an instance of `model` from a mapping.

    Raises:
        UsageError: with file, line, column, key and hint: an unknown or missing key, or a value not of its kind.
    """
    if not isinstance(node, Mapping):
        refuse(node.place, "keys and values are expected here", key=path)
    fields = {field.name: field for field in dataclasses.fields(model)}  # type: ignore[arg-type]
    for name, place in node.keys.items():
        if name not in fields:
            refuse(place, "unknown key", key=_join(path, name), hint=did_you_mean(name, fields))
    values = {}
    for name, field in fields.items():
        if name in node.entries:
            values[name] = field.metadata["kind"].read(node.entries[name], _join(path, name))
        elif field.default is MISSING and field.default_factory is MISSING:
            refuse(
                node.place,
                "missing",
                key=_join(path, name),
                hint=f"add `{name}:` ({field.metadata['doc']})",
            )
    return model(**values)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the closest known word, or all of them when none is close."""
    words = sorted(known)
    close = difflib.get_close_matches(word[:80], words, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(words)}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _word(node: Node, path: str) -> str:
    if not isinstance(node, Scalar):
        refuse(node.place, "one value is expected here", key=path)
    if node.absent:
        refuse(
            node.place, "the value is missing", key=path, hint="write a value, or remove the line"
        )
    return node.value


def _bounded(value: float, place: Place, path: str, bounds: tuple[float, float]) -> None:
    if not bounds[0] <= value <= bounds[1]:
        refuse(
            place,
            f"{value:g} is outside {bounds[0]:g} to {bounds[1]:g}",
            key=path,
            hint="choose a value within",
        )


def _quantity(name: str, parse: Callable[[str], float], low: float, high: float) -> Kind:
    def read(node: Node, path: str) -> float:
        try:
            value = parse(_word(node, path))
        except ValueError as problem:
            refuse(node.place, str(problem), key=path, hint=f"write a {name}")
        _bounded(value, node.place, path, (low, high))
        return value

    return Kind(name, read)


def size(*, low: int = 0, high: int = 1 << 60) -> Kind:
    """A number of bytes, such as `64MiB`."""
    return _quantity("size, such as 64MiB", parse_size, low, high)


def duration(*, low: float = 0, high: float = 100 * 366 * 86_400) -> Kind:
    """A number of seconds, such as `24h`."""
    return _quantity("duration, such as 90s or 24h", parse_duration, low, high)


def share(*, low: float = 0, high: float = 1) -> Kind:
    """A part of a whole, such as `5%`."""
    return _quantity("percentage, such as 5%", parse_share, low, high)


def number(low: int, high: int) -> Kind:
    """A whole number."""

    def parse(text: str) -> int:
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18):  # noqa: PLR2004 - fits 64 bits
            raise ValueError(f"{text[:40]!r} is no whole number")
        return int(text)

    return _quantity(f"number from {low} to {high}", parse, low, high)


def text(
    *, limit: int = _TEXT_LIMIT, pattern: Callable[[str], object] | None = None, example: str = ""
) -> Kind:
    """One line of text; control characters are refused, because it reaches screens and reports."""
    kind = f"text{', such as ' + example if example else ''}"

    def read(node: Node, path: str) -> str:
        value = _word(node, path).strip()
        if not value or len(value) > limit:
            refuse(node.place, f"a text of 1 to {limit} characters is expected", key=path)
        if not value.isprintable():
            refuse(
                node.place,
                "the text holds a character that is not printable",
                key=path,
                hint="use one plain line",
            )
        if pattern is not None and not pattern(value):
            refuse(
                node.place,
                f"{value!r} is not of the expected form",
                key=path,
                hint=f"write a {kind}",
            )
        return value

    return Kind(kind, read)


def flag() -> Kind:
    """`true` or `false`, and no other spelling."""

    def read(node: Node, path: str) -> bool:
        word = _word(node, path)
        if word not in {"true", "false"}:
            refuse(
                node.place,
                f"{word[:40]!r} is neither true nor false",
                key=path,
                hint="write true or false",
            )
        return word == "true"

    return Kind("true or false", read)


def choice(*words: str) -> Kind:
    """One of the given words."""

    def read(node: Node, path: str) -> str:
        word = _word(node, path)
        if word not in words:
            refuse(
                node.place,
                f"{word[:40]!r} is none of the known words",
                key=path,
                hint=did_you_mean(word, words),
            )
        return word

    return Kind(" | ".join(words), read)


def section(model: type) -> Kind:
    """A mapping with the keys of `model`."""
    return Kind("section", lambda node, path: bind(model, node, path=path), model)


def listing(entry: Kind, *, limit: int = 1000) -> Kind:
    """A list of values of one kind, as a tuple; one value may stand without a list."""

    def read(node: Node, path: str) -> tuple[Any, ...]:
        items = node.items if isinstance(node, Sequence) else [node]
        if len(items) > limit:
            refuse(node.place, f"more than {limit} entries", key=path)
        return tuple(entry.read(item, f"{path}[{number}]") for number, item in enumerate(items, 1))

    return Kind(f"list of {entry.name}", read, entry.model)
