"""Who is and was logged in: utmp, wtmp, btmp, lastlog raw and parsed, and logind's own state files."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from hozen_agent import utmp
from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest
from hozen_agent.items import Attempt, AttemptFailed, Outcome
from hozen_agent.proc.sweep import FILE
from hozen_agent.reading import sparse
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Buffer

_NAME = "sessions"
_KEPT = 8 << 20  # of each file for parsing; whole records, the newest
_BLOCK = 512
_DIGITS = 24  # of a number in the map of a sparse file, with its newline
_LOGINS = (b"/run/utmp", b"/var/log/wtmp", b"/var/log/btmp")
_ROTATED = (b"/var/log/wtmp.*", b"/var/log/wtmp-*", b"/var/log/btmp.*", b"/var/log/btmp-*")
_LASTLOG = b"/var/log/lastlog"
_DATABASES = (
    b"/var/lib/lastlog/lastlog2.db",
    b"/var/lib/wtmpdb/wtmp.db",
    b"/var/log/faillog",
    b"/var/log/tallylog",
)
_LOGIND = (
    b"/run/systemd/sessions/*",
    b"/run/systemd/users/*",
    b"/run/systemd/seats/*",
    b"/run/faillock/*",
)


@artifact(
    name=_NAME,
    rank=14,
    personal="personal",
    en="Present and past logins as the system recorded them: proves that these records stood there; they can be "
    "altered by whoever was administrator, and logins that were not recorded leave nothing.",
    ja="現在及び過去のログイン記録。記録が存在したことを示す。管理者権限があれば改変でき、"
    "記録されなかったログインは示さない。",
    reads=tuple(p.decode() for p in (*_LOGINS, *_ROTATED, _LASTLOG, *_DATABASES, *_LOGIND)),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield each file raw, followed by its records; utmp as it was in the first sweep comes first."""
    yield from _swept(ctx)
    paths = [*_LOGINS, _LASTLOG, *(path for path in ctx.match(_ROTATED) if path not in _LOGINS)]
    for path in paths:
        for attempt in ctx.files([_request(path)]):
            yield from _with_records(attempt, path)
    others = (*_DATABASES, *ctx.match(_LOGIND))
    yield from ctx.files(_request(path) for path in others)


def _request(path: bytes) -> FileRequest:
    return FileRequest(
        artifact=_NAME, path=path, ext="bin", max_bytes=1 << 30, newest=path in _LOGINS
    )


def _swept(ctx: Context) -> Iterator[Attempt]:
    """The sessions of the first sweep, parsed; the raw bytes lie in the sweep's tar."""
    for name, kind, data, _ in ctx.sweep.entries:
        if name.endswith(b"utmp") and not name.startswith(b"proc/") and kind == FILE and data:
            yield _parsed(b"/" + name, _login_lines(data, 0), "sweep")


def _with_records(attempt: Attempt, path: bytes) -> Iterator[Attempt]:
    """Pass a file on, keeping what is needed to parse it, then yield its records."""
    if attempt.data is None or path.endswith((b".gz", b".xz", b".bz2", b".zst")):
        yield attempt
        return
    tail = _Tail(attempt.data)
    tag = "sessions:" + path.decode("ascii", "replace")
    yield replace(attempt, data=tail, tag=tag)
    if tail.size:
        lines = _last_lines(tail, holes=attempt.holes) if path == _LASTLOG else tail.lines()
        yield _parsed(path, lines, tag, cut=tail.cut)


def _parsed(path: bytes, lines: Iterator[bytes], tag: str, *, cut: bool = False) -> Attempt:
    return Attempt(
        artifact=_NAME,
        source=path,
        method="derived",
        personal="personal",
        ext="jsonl",
        data=lines,
        derived_from=(tag,),
        outcome=Outcome.TRUNCATED if cut else None,
        reason=f"only the newest {_KEPT} bytes were parsed; the raw file is stored" if cut else "",
    )


class _Tail:
    """Passes bytes through and keeps the last of them, beginning at a whole record of either layout.

    Attributes:
        size: of everything that went through.
        cut: the beginning was not kept.
    """

    def __init__(self, data: Iterable[Buffer]) -> None:
        self._data = data
        self._kept = bytearray()
        self.size = 0

    def __iter__(self) -> Iterator[Buffer]:
        for chunk in self._data:
            self.size += len(chunk)
            self._kept += chunk
            if len(self._kept) > 2 * _KEPT:
                del self._kept[: len(self._kept) - _KEPT]
            yield chunk

    @property
    def cut(self) -> bool:
        return self.size > len(self._kept) or self.size > _KEPT

    def kept(self) -> tuple[bytes, int]:
        """Return the bytes and where they begin."""
        data = bytes(self._kept[-_KEPT:])
        return data, self.size - len(data)

    def lines(self) -> Iterator[bytes]:
        yield from _login_lines(*self.kept())


def _login_lines(data: bytes, start: int) -> Iterator[bytes]:
    machine = os.uname().machine
    layouts = [layout for layout in utmp.LAYOUTS if (start + len(data)) % layout.record.size == 0]
    size = (layouts[0] if len(layouts) == 1 else utmp.layout_of(data, machine=machine)).record.size
    skip = -start % size
    whole = data[skip:]
    layout = utmp.layout_of(whole, machine=machine)
    for record in utmp.login_records(whole, layout, first=(start + skip) // layout.record.size):
        yield dump_line(record)


def _last_lines(tail: _Tail, *, holes: bool) -> Iterator[bytes]:
    """The records of lastlog; of a sparse one (it has a place for every possible user) only its extents are there."""
    data, start = tail.kept()
    layout = utmp.layout_of(b"", machine=os.uname().machine)
    if not holes:
        for record in utmp.last_records(data, layout, offset=start):
            yield dump_line(record)
        return
    if start:
        return  # the archive's beginning, with its map, is not here; the item says truncated
    for offset, extent in sparse_extents(data):
        # A record may reach from the extent into the hole behind it, which reads as zeros.
        padded = extent + bytes(layout.last.size - 1)
        for record in utmp.last_records(padded, layout, offset=offset):
            yield dump_line(record)


def sparse_extents(archive: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield offset and bytes of each extent of the one member of a GNU.sparse.1.0 tar (GNU tar manual, E.0.3).

    Not by tarfile: on a map that was cut it reads for ever.

    Raises:
        AttemptFailed: the archive is not whole, as when its reading was given up.
    """
    try:
        begin = _member_data(archive)
        numbers, end = _map(archive, begin)
    except ValueError as error:
        raise AttemptFailed(
            Outcome.FAILED, "the sparse form of the file is not whole; nothing was parsed"
        ) from error
    at = begin + _padded(end - begin)
    for offset, length in zip(numbers[::2], numbers[1::2], strict=True):
        yield offset, archive[at : at + length]
        at += length


def _member_data(archive: bytes) -> int:
    """Return where the member's data begin: behind its header, which follows one PAX header.

    Raises:
        ValueError: the archive does not begin so.
    """
    size = archive[124:135]
    if archive[156:157] != b"x" or not size.isdigit():
        raise ValueError("no PAX header")
    at = _BLOCK + _padded(int(size, 8))
    if archive[at + 156 : at + 157] != b"0":
        raise ValueError("no member behind the PAX header")
    return at + _BLOCK


def _map(archive: bytes, at: int) -> tuple[list[int], int]:
    """Return the numbers of the map (offset, length, …) and where it ends.

    Raises:
        ValueError: it is cut, or holds something else.
    """
    numbers: list[int] = []
    wanted = 1
    while len(numbers) < wanted:
        end = archive.index(b"\n", at, at + _DIGITS)
        numbers.append(int(archive[at:end]))
        at = end + 1
        if wanted == 1:
            wanted += 2 * min(numbers[0], sparse.MAX_EXTENTS + 1)
    return numbers[1:], at


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
