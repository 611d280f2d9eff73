"""The address space of a process as its map tells it, and what of it goes into a core file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.proc.corefile import MAX_SEGMENTS, PAGE, FileMapping, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLUMNS: Final = 6
_GAPS: Final = (
    0,
    64 << 10,
    1 << 20,
    1 << 30,
)  # bridged with zeros, where there are too many runs for the headers
_READ, _WRITE, _EXECUTE = 4, 2, 1
# Memory of devices: a read may change what the device does.
_DEVICES: Final = (b"/dev/", b"/sys/", b"/proc/", b"anon_inode:", b"socket:")
_NO_DEVICES: Final = (b"/dev/shm/", b"/dev/zero", b"/dev/hugepages/")
_KERNELS: Final = (b"[vvar", b"[vsyscall]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One line of the map (proc_pid_maps(5)).

    Attributes:
        inode: 0 for memory without a file.
    """

    start: int
    end: int
    flags: int
    offset: int
    inode: int
    path: bytes

    @property
    def why_not(self) -> str:
        """Why nothing of it is read, empty for most."""
        if self.path.startswith(_DEVICES) and not self.path.startswith(_NO_DEVICES):
            return "memory of a device"
        return "page of the kernel" if self.path.startswith(_KERNELS) else ""

    @property
    def urgency(self) -> int:
        """What is taken first when a limit bites: 0 own memory, 1 changed files, 2 what is in files too."""
        if not self.inode:
            return 0
        return 1 if self.flags & _WRITE else 2


def parse_maps(data: bytes) -> list[Area]:
    """Return the areas in order; lines in another form are left out."""
    return [area for line in data.split(b"\n") if (area := _parse(line)) is not None]


def _parse(line: bytes) -> Area | None:
    parts = line.split(None, _COLUMNS - 1)
    if len(parts) < _COLUMNS - 1:
        return None
    first, dash, last = parts[0].partition(b"-")
    try:
        start, end, offset, inode = int(first, 16), int(last, 16), int(parts[2], 16), int(parts[4])
    except ValueError:
        return None
    if not dash or not 0 <= start < end < 1 << 64 or start % PAGE or end % PAGE or offset < 0:
        return None
    letters = ((b"r", _READ), (b"w", _WRITE), (b"x", _EXECUTE))
    flags = sum(bit for letter, bit in letters if letter in parts[1])
    path = parts[5] if len(parts) == _COLUMNS else b""
    return Area(start=start, end=end, flags=flags, offset=offset, inode=max(0, inode), path=path)


def file_mappings(areas: Iterable[Area]) -> tuple[FileMapping, ...]:
    """Return the areas with a file, as the note NT_FILE names them."""
    return tuple(
        FileMapping(area.start, area.end, area.offset // PAGE, area.path)
        for area in areas
        if area.inode
    )


def bridged(
    resident: list[tuple[Area, list[tuple[int, int]]]],
) -> list[tuple[Area, list[tuple[int, int]]]]:
    """Return the runs of each area, gaps between them closed as far as a file can only have so many segments."""
    found = resident
    for gap in _GAPS:
        found = [(area, _joined(runs, gap)) for area, runs in resident]
        if sum(2 * len(runs) + 1 for _, runs in found) <= MAX_SEGMENTS:
            break
    return found


def _joined(runs: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in runs:
        if found and start - found[-1][1] <= gap:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def chosen(
    resident: list[tuple[Area, list[tuple[int, int]]]], most: int
) -> tuple[list[Segment], list[tuple[int, int]]]:
    """Return the segments of the core in order of address, and the runs that the limit leaves out.

    Args:
        resident: each area with its runs in memory.
        most: bytes of memory that may be taken; own memory is taken before what is in files too.
    """
    kept: set[tuple[int, int]] = set()
    left_out: list[tuple[int, int]] = []
    for _, runs in sorted(resident, key=lambda pair: (pair[0].urgency, pair[0].start)):
        for run in runs:
            size = run[1] - run[0]
            if size <= most:
                kept.add(run)
                most -= size
            else:
                left_out.append(run)
    segments = [piece for area, runs in resident for piece in _pieces(area, runs, kept)]
    return segments[:MAX_SEGMENTS], sorted(left_out)


def _pieces(
    area: Area, runs: list[tuple[int, int]], kept: set[tuple[int, int]]
) -> Iterable[Segment]:
    at = area.start
    for start, end in runs:
        if (start, end) not in kept:
            continue
        if at < start:
            yield Segment(at, start, area.flags, taken=False)
        yield Segment(start, end, area.flags, taken=True)
        at = end
    if at < area.end:
        yield Segment(at, area.end, area.flags, taken=False)
