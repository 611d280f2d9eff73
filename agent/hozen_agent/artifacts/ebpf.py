"""eBPF: programs that run inside the kernel, what they are attached to, their maps by name, and who holds them."""

from __future__ import annotations

import os
import re
import struct
from errno import EINVAL, ENOENT, ENOSYS, EPERM
from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.items import Attempt, Outcome
from hozen_agent.kernel import bpf, bpfrecords, pinned
from hozen_agent.proc.entries import listing
from hozen_agent.proc.sweep import FILE, read_small
from hozen_agent.reading.ustar import tar_stream
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.sweep import Entry

_NAME: Final = "ebpf"
_PROGRAMS_MAX: Final = 24 << 20  # of translated instructions, all together
_HOLDERS_MAX: Final = 10_000
_REASONS: Final = 8
_ENTRIES_MAX: Final = 200_000
_HELD: Final = b"anon_inode:bpf"
_OBJECT: Final = re.compile(rb"^(prog_id|map_id|link_id):\s*(\d+)$", re.MULTILINE)

Records = list[dict[str, object]]


@artifact(
    name=_NAME,
    rank=21,
    personal="none",
    en="eBPF programs, links, maps and pinned objects that the kernel admits to, with the programs' translated code: "
    "proves that these were loaded; not what they did, and a program in the kernel can hide others. Contents of maps "
    "are not read.",
    ja="カーネルが申告するeBPFプログラム（変換後のコードを含む）、リンク、マップ及びピン留めの一覧。ロードされていた"
    "ことを示す。何をしたかは示さず、カーネル内のプログラムが他を隠すことがあり得る。マップの内容は読み取らない。",
    reads=("bpf(2)", "/sys/fs/bpf", "/proc/PID/fdinfo"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield programs with their code, then links, maps, pinned objects, attachments to control groups, holders."""
    started = now()
    codes: list[Entry] = []
    room = [_PROGRAMS_MAX]

    def program(fd: int) -> dict[str, object]:
        info, code, maps = bpf.program(fd)
        record = bpfrecords.program_record(info, code, maps)
        kept = len(code) <= room[0]
        room[0] -= len(code) if kept else 0
        if code and kept:
            codes.append((f"program-{record['id']}.insns".encode(), FILE, code, 0))
        return {"object": "program", **record, "code_stored": bool(code) and kept}

    lines: Records = []
    failures = [
        *_all(bpf.PROGRAM, program, lines),
        *_all(bpf.LINK, _link, lines),
        *_all(bpf.MAP, lambda fd: {"object": "map", **bpfrecords.map_record(bpf.info(fd))}, lines),
    ]
    lines += pinned.objects(ctx)
    lines += pinned.on_cgroups(ctx)
    lines += _holders(ctx) if lines else []  # it costs a look at every open file
    yield _listing(lines, failures, started)
    if codes:
        data = tar_stream(codes, seconds=started[0] // 1_000_000_000)
        yield Attempt(
            artifact=_NAME, source=b"bpf(2):code", method="syscall", kind="snapshot", ext="tar", data=data
        )  # fmt: skip


def _listing(lines: Records, failures: list[OSError], started: tuple[int, int]) -> Attempt:
    """Return the attempt of all records; without any, how the first question failed."""
    outcome, reason = None, ""
    if failures:
        reason = _reasons(failures)
        outcome = Outcome.TRUNCATED if lines else _outcome(failures[0])
    elif not lines:
        outcome, reason = Outcome.EMPTY, "the kernel says that there are no eBPF objects"
    return Attempt(
        artifact=_NAME,
        source=b"bpf(2)",
        method="syscall",
        ext="jsonl",
        outcome=outcome,
        reason=reason,
        data=[dump_line(line) for line in lines] if lines else None,
        started=started,
        ended=now(),
    )


def _reasons(failures: list[OSError]) -> str:
    """Return the first failures in words, and how many more there are; there can be thousands."""
    words = list(dict.fromkeys(f"{e.filename}: {e.strerror}" for e in failures))
    more = f"; and {len(words) - _REASONS} more" if len(words) > _REASONS else ""
    return "; ".join(words[:_REASONS]) + more


def _outcome(error: OSError) -> Outcome:
    if error.errno == EPERM:
        return Outcome.DENIED
    return Outcome.MISSING if error.errno in {ENOSYS, EINVAL} else Outcome.FAILED


def _all(
    kind: bpf.Kind, describe: Callable[[int], dict[str, object]], lines: Records
) -> Iterator[OSError]:
    """Every object of the kind is in `lines`; yields what kept some out."""
    try:
        for number in bpf.identifiers(kind):
            try:
                lines.append(_described(kind, number, describe))
            except OSError as error:
                if error.errno != ENOENT:  # else it was unloaded between the two questions
                    yield OSError(error.errno, error.strerror, f"{kind.name} {number}")
    except OSError as error:
        yield OSError(error.errno, error.strerror, f"{kind.name}s")


def _described(
    kind: bpf.Kind, number: int, describe: Callable[[int], dict[str, object]]
) -> dict[str, object]:
    fd = bpf.opened(kind, number)
    try:
        return describe(fd)
    finally:
        os.close(fd)


def _link(fd: int) -> dict[str, object]:
    info, name = bpf.link(fd)
    (number,) = struct.unpack_from("=I", info.ljust(4, b"\0"))
    at = bpfrecords.NAME_AT.get(bpfrecords.word(bpfrecords.LINKS, number))
    if at is not None:
        info, name = bpf.link(fd, name_at=at)
    return {"object": "link", **bpfrecords.link_record(info, name)}


def _holders(ctx: Context) -> Records:
    """Which processes hold objects open: a program that nobody holds, pinned or attached has ended."""
    found: Records = []
    unseen = 0
    for pid in listing(ctx.proc, b".", most=_ENTRIES_MAX):
        if not pid.isdigit():
            continue
        if len(found) >= _HOLDERS_MAX:
            return [*found, {"object": "holder", "left_out": f"more than {_HOLDERS_MAX} holders"}]
        try:
            found += _held(ctx.proc, pid)
        except PermissionError:
            unseen += 1
        ctx.tick()
    if unseen:
        found.append({"object": "holder", "left_out": f"{unseen} processes may not be looked at"})
    return found


def _held(proc: int, pid: bytes) -> Records:
    """Return what one process holds; what it closes meanwhile costs nothing but itself.

    Raises:
        PermissionError: its descriptors may not be looked at.
    """
    try:
        at = os.open(pid, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return []  # it ended
    try:
        return [one for number in listing(at, b"fd") if (one := _descriptor(at, pid, number))]
    except PermissionError:
        raise
    except OSError:
        return []  # it ended meanwhile
    finally:
        os.close(at)


def _descriptor(at: int, pid: bytes, number: bytes) -> dict[str, object] | None:
    try:
        target = os.readlink(b"fd/" + number, dir_fd=at)
    except OSError:
        return None  # closed meanwhile
    if not target.startswith(_HELD):
        return None
    text = read_small(b"fdinfo/" + number, at=at)
    objects = {key.decode(): int(value) for key, value in _OBJECT.findall(text)}
    what = target[len(b"anon_inode:") :].decode("ascii", "replace")
    return {"object": "holder", "pid": int(pid), "fd": int(number), "what": what, **objects}
