"""One deleted file that processes hold, and the JSON line that says who holds it (docs/format/records/recovered.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.redaction import withheld
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.items import FileStat
    from hozen_agent.proc.leads import Holder

_GONE: Final = b" (deleted)"
_MOST: Final = 128
_WHAT: Final = {b"exe": "program", b"map_files": "mapped", b"fd": "open_file"}


@dataclass(slots=True, kw_only=True)
class Held:
    """A deleted file as it was found through one of its holders.

    Attributes:
        target: what the link says, with its ending.
        mount: number of the mount that it lies on.
        more: holders that are not listed.
    """

    holder: Holder
    target: bytes
    stat: FileStat
    mount: int
    holders: list[Holder]
    more: int

    @property
    def path(self) -> bytes:
        """Where it is read: the source of its item."""
        return b"/proc/%d/%b" % (self.holder.pid, self.holder.name)

    @property
    def tag(self) -> str:
        """Its name among the attempts of the capture."""
        return f"recovered-{self.stat.dev}-{self.stat.ino}"

    @property
    def withheld(self) -> str:
        """Why its content is not read, by the name that it had; empty for most."""
        return withheld.by_name(self.target.removesuffix(_GONE))

    def also(self, other: Held) -> None:
        """The same inode was found once more, on another way; as a program it is read through `exe`."""
        if other.holder.name == b"exe" != self.holder.name:
            self.holder, self.target = other.holder, other.target
        room = max(0, _MOST - len(self.holders))
        self.holders.extend(other.holders[:room])
        self.more += other.more + len(other.holders[room:])


def record_lines(held: Iterable[Held]) -> Iterator[bytes]:
    """Yield one line a file."""
    for one in held:
        yield dump_line({
            "source": percent_encode(one.path),
            "target": percent_encode(one.target),
            "what": _WHAT[one.holder.name.partition(b"/")[0]],
            "in_memory": one.target.startswith(b"/memfd:"),
            "device": str(one.stat.dev),
            "inode": str(one.stat.ino),
            "size": str(one.stat.size),
            "withheld": one.withheld or None,
            "holders": [
                {"pid": holder.pid, "start_ticks": str(holder.start_ticks), "through": holder.name.decode("ascii")}
                for holder in one.holders
            ],
            "holders_left_out": one.more,
        })  # fmt: skip
