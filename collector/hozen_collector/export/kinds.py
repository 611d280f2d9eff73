"""The kinds of exports, by name; what a kind needs is imported when it is asked for.

Each is made for the path that was asked for, None for a pipe: the ending of the name may choose between two forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

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


def _uac() -> Kind:
    from hozen_collector.export.uac import export  # noqa: PLC0415 - one kind a run

    return Kind("stream", write=export.write)


def _bodyfile() -> Kind:
    from hozen_collector.export import bodyfile  # noqa: PLC0415

    return Kind("stream", write=bodyfile.write)


def _timesketch(path: Path | None) -> Kind:
    from hozen_collector.export import timeline  # noqa: PLC0415

    return Kind("stream", write=timeline.writer_for(path))


def _csv() -> Kind:
    from hozen_collector.export import csvfiles  # noqa: PLC0415

    return Kind("directory", make=csvfiles.make)


KINDS: Final[dict[str, Callable[[Path | None], Kind]]] = {
    "uac": lambda _: _uac(),
    "bodyfile": lambda _: _bodyfile(),
    "timesketch": _timesketch,
    "csv": lambda _: _csv(),
}
