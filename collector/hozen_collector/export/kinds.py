"""The kinds of exports, by name; what a kind needs is imported when it is asked for.

Each is made for what was asked for: the ending of a name may choose between two forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal

from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hozen_collector.export.manifest import Done
    from hozen_collector.export.source import Source
    from hozen_collector.export.target import Stream

Shape = Literal["stream", "file", "directory"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind.

    Attributes:
        shape: it writes a stream front to back, a file that it seeks in, or a new directory of files.
        write: of a stream; `make`: of a file or directory, at the given path. Exactly one is there.
    """

    shape: Shape
    write: Callable[[Source, Stream], Done] | None = None
    make: Callable[[Source, Path], Done] | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for: `path` is None for a pipe, `items` are numbers of items."""

    path: Path | None
    items: tuple[int, ...] = ()


def _uac() -> Kind:
    from hozen_collector.export.uac import export  # noqa: PLC0415 - one kind a run

    return Kind("stream", write=export.write)


def _bodyfile() -> Kind:
    from hozen_collector.export import bodyfile  # noqa: PLC0415

    return Kind("stream", write=bodyfile.write)


def _timesketch(wish: Wish) -> Kind:
    from hozen_collector.export import timeline  # noqa: PLC0415

    return Kind("stream", write=timeline.writer_for(wish.path))


def _csv() -> Kind:
    from hozen_collector.export import csvfiles  # noqa: PLC0415

    return Kind("directory", make=csvfiles.make)


def _xlsx() -> Kind:
    _need("xlsxwriter")
    from hozen_collector.export import workbook  # noqa: PLC0415

    return Kind("file", make=workbook.make)


def _sqlite() -> Kind:
    from hozen_collector.export import database  # noqa: PLC0415

    return Kind("file", make=database.make)


def _parquet() -> Kind:
    _need("pyarrow")
    from hozen_collector.export import parquet  # noqa: PLC0415

    return Kind("directory", make=parquet.make)


def _pcapng() -> Kind:
    from hozen_collector.export import pcapng  # noqa: PLC0415

    return Kind("stream", write=pcapng.write)


def _items(wish: Wish) -> Kind:
    from hozen_collector.export import selected  # noqa: PLC0415

    return Kind("stream", write=selected.writer_for(wish.items))


def _case_uco() -> Kind:
    from hozen_collector.export import caseuco  # noqa: PLC0415

    return Kind("stream", write=caseuco.write)


def _stix() -> Kind:
    from hozen_collector.export import stix  # noqa: PLC0415

    return Kind("stream", write=stix.write)


def _need(module: str) -> None:
    if find_spec(module) is None:
        raise UsageError(
            f"this kind is written by {module}, which is not installed",
            hint="pip install 'hozen[exports]'",
        )


KINDS: Final[dict[str, Callable[[Wish], Kind]]] = {
    "uac": lambda _: _uac(),
    "bodyfile": lambda _: _bodyfile(),
    "timesketch": _timesketch,
    "csv": lambda _: _csv(),
    "xlsx": lambda _: _xlsx(),
    "sqlite": lambda _: _sqlite(),
    "parquet": lambda _: _parquet(),
    "case-uco": lambda _: _case_uco(),
    "stix": lambda _: _stix(),
    "pcapng": lambda _: _pcapng(),
    "items": _items,
}
