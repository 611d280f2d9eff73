"""A power cut: a traced program replayed onto a disk that keeps what was synced, and some of the rest.

The trace is strace's, so nothing of the program under test has to be trusted. The disk is meaner than any real one:
a new name is durable only after fsync of its directory, unsynced 512-byte sectors survive or not each for itself, and
a file may be as long as it was issued while its sectors read as zeros.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

SECTOR: Final = 512
CALLS: Final = (
    "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,"
    "mkdir,mkdirat,unlink,unlinkat,rmdir,ftruncate,truncate,fallocate,link,linkat"
)
STRACE: Final = f"strace -f --seccomp-bpf -y -xx -s 100000000 -o trace.out -e trace={CALLS} "

_CALL: Final = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?")
_CUT_OFF: Final = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>")
_RESUMED: Final = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_PATH: Final = re.compile(r"<((?:\\x[0-9a-f]{2})+)>")
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that the program did to a name below the watched directory.

    Attributes:
        kind: create, write, sync (of a file or a directory), rename, mkdir or remove.
        path: relative to the watched directory.
        target: the new name of a rename.
        offset: where a write goes; None for the end of what was written so far.
    """

    kind: str
    path: str
    data: bytes = b""
    offset: int | None = None
    target: str = ""


def _plain(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _whole_lines(trace: Path) -> Iterator[str]:
    """Yield the lines of the trace, with calls that another process interrupted put together again."""
    waiting: dict[str, str] = {}
    with trace.open(encoding="ascii") as lines:
        for line in lines:
            if match := _CUT_OFF.match(line):
                waiting[match[1]] = match[0].removesuffix(" <unfinished ...>")
            elif match := _RESUMED.match(line):
                yield waiting.pop(match[1], "") + match[2]
            else:
                yield line


def read_trace(trace: Path, watched: Path) -> list[Event]:
    """Return what the traced program did below `watched`, in order; unknown calls there are an error."""
    found: list[Event] = []
    for line in _whole_lines(trace):
        match = _CALL.match(line)
        if match is None or int(match[4]) < 0:
            continue
        event = _event(match[2], match[3], int(match[4]), match[5] or "", str(watched))
        if event is not None:
            found.append(event)
    return found


def _event(call: str, arguments: str, result: int, opened: str, watched: str) -> Event | None:
    paths = [_plain(one).decode() for one in _PATH.findall(arguments)]
    if call in {"openat", "open"}:
        place = _below(_plain(opened).decode(), watched) if opened else None
        return Event("create", place) if place and "O_CREAT" in arguments else None
    inside = _below(paths[0], watched) if paths else None
    if inside is None:
        return None
    texts = [_plain(one) for one in _TEXT.findall(arguments)]
    if call in {"write", "writev", "pwrite64", "pwritev", "pwritev2"}:
        data = b"".join(texts)[:result]
        return Event("write", inside, data, _offset(call, arguments))
    if call in {"fsync", "fdatasync"}:
        return Event("sync", inside)
    names = [str(Path(inside) / text.decode()) for text in texts]
    if call in {"renameat", "renameat2"}:
        return Event(
            "rename",
            names[0],
            target=str(Path(_below(paths[1], watched) or "") / texts[1].decode()),
        )
    if call in {"mkdirat", "unlinkat"}:
        return Event("mkdir" if call == "mkdirat" else "remove", names[0])
    raise AssertionError(f"the disk does not know {call}")


def _below(path: str, watched: str) -> str | None:
    if path == watched:
        return "."
    return path[len(watched) + 1 :] if path.startswith(watched + "/") else None


def _offset(call: str, arguments: str) -> int | None:
    numbers = arguments.rsplit("], " if "v" in call else '", ', 1)[1].split(", ")
    return int(numbers[1], 0) if call.startswith("p") else None


@dataclass(slots=True)
class _File:
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    synced: int = 0
    end: int = 0

    def write(self, data: bytes, offset: int | None) -> None:
        at = self.end if offset is None else offset
        self.writes.append((at, data))
        self.end = max(self.end, at + len(data))

    def after_cut(self, keep: Random | None, *, everything: bool) -> bytes:
        """Return the bytes after a cut: all, only the synced ones, or a random part of the rest too."""
        solid = self.writes if everything else self.writes[: self.synced]
        held = bytearray()
        for at, data in solid:
            held[at : at + len(data)] = data
        if keep is not None and not everything:
            self._survivors(held, keep)
        return bytes(held)

    def _survivors(self, held: bytearray, keep: Random) -> None:
        chance = keep.choice((0.0, 0.3, 0.7, 0.97))
        solid = len(held)
        for at, data in self.writes[self.synced :]:
            for start in range(at - at % SECTOR, at + len(data), SECTOR):
                first, last = max(at, start), min(at + len(data), start + SECTOR)
                if keep.random() < chance:
                    held.extend(bytes(max(0, last - len(held))))
                    held[first:last] = data[first - at : last - at]
        if self.end > len(held) and keep.random() < 0.5:
            held.extend(bytes(keep.randint(0, self.end - len(held))))
        assert len(held) >= solid


class Disk:
    """Takes events, and shows at any moment what a power cut would leave."""

    def __init__(self) -> None:
        self._live: dict[str, _File | None] = {}
        self._durable: dict[str, _File | None] = {}
        self._pending: list[tuple[Event, _File | None]] = []

    def take(self, event: Event) -> None:
        """Do one thing; directories are entries without a file."""
        if event.kind == "write":
            file = self._live[event.path]
            assert file is not None
            file.write(event.data, event.offset)
        elif event.kind == "sync":
            file = self._live.get(event.path)
            if file is None:
                self._sync_names(event.path)
            else:
                file.synced = len(file.writes)
        else:
            made = _File() if event.kind == "create" else self._live.get(event.path)
            self._pending.append((event, made))
            _rename(self._live, event, made)

    def unsynced(self, ending: str) -> int:
        """Return how many bytes of files whose names end so are not durable."""
        return sum(
            len(data)
            for path, file in self._live.items()
            if file is not None and path.endswith(ending)
            for _, data in file.writes[file.synced :]
        )

    def after_cut(
        self, keep: Random | None = None, *, everything: bool = False
    ) -> dict[str, bytes]:
        """Return the files that are there after a cut now, by path; directories end in `/`.

        Args:
            keep: chooses what of the unsynced survives; None: nothing does.
            everything: all that was issued survives.
        """
        names = dict(self._durable)
        for event, file in self._pending:
            if everything or (keep is not None and keep.random() < 0.5):
                _rename(names, event, file)
        return {
            path if file is not None else path + "/": b""
            if file is None
            else file.after_cut(keep, everything=everything)
            for path, file in names.items()
            if "/" not in path or path.rpartition("/")[0] in names
        }

    def _sync_names(self, directory: str) -> None:
        waiting, self._pending = self._pending, []
        for event, file in waiting:
            if str(Path(event.path).parent) == directory:
                _rename(self._durable, event, file)
            else:
                self._pending.append((event, file))


def _rename(names: dict[str, _File | None], event: Event, file: _File | None) -> None:
    if event.kind in {"create", "mkdir"}:
        names[event.path] = file if event.kind == "create" else None
    elif event.kind == "remove":
        names.pop(event.path, None)
    elif event.path in names:
        names[event.target] = names.pop(event.path)
