"""A long list of procfs entries kept small: full stretches are compressed as they are made, and opened one at a time.

Five thousand processes have 25 MiB of entries, as Python objects; packed they have about two. A small host's entries
are never packed, and cost nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # stage 0: `typing` is loaded later
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.proc.sweep import Entry

STRETCH = 4096
_LEVEL = 1


class Entries:
    """Entries in the order in which they came; may be gone through any number of times.

    Attributes:
        tail: the last of them, not packed; append to it, then call `pack` now and then.
    """

    __slots__ = ("_packed", "tail")

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self.tail: list[Entry] = []

    def pack(self) -> None:
        """What has gathered is kept compressed, once it is enough."""
        if len(self.tail) < STRETCH:
            return
        import marshal  # both are part of the interpreter, but only a large host needs them
        import zlib

        self._packed.append(zlib.compress(marshal.dumps(self.tail), _LEVEL))
        self.tail.clear()

    def __iter__(self) -> Iterator[Entry]:
        """Yield each entry; at most one stretch is open at a time."""
        if self._packed:
            import marshal
            import zlib

            for stretch in self._packed:
                yield from marshal.loads(zlib.decompress(stretch))  # noqa: S302 - our own bytes, never left memory
        yield from self.tail
