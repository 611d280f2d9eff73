"""An ELF core file of a process that was never stopped: the parts before its memory, as bytes (elf(5), core(5)).

Layout: ELF header, program headers, notes, the memory from a page boundary on, last a note of ours with what was not
read. Ranges without bytes in the file have a program header of file size 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

MACHINES: Final = {"x86_64": 62, "aarch64": 183, "riscv64": 243, "s390x": 22, "ppc64le": 21}
OWNER: Final = b"HOZEN\0"
OWN_NOTE: Final = 64 << 10  # room for the text of our note
MAX_SEGMENTS: Final = 60_000  # beyond 65,534 program headers their number has another place
PAGE: Final = 4096
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM: Final = struct.Struct("<IIQQQQQQ")
_NOTE: Final = struct.Struct("<III")
_STATUS: Final = struct.Struct("<iiihxxQQiiii64x")
_INFO: Final = struct.Struct("<BBBBxxxxQIIiiii16s80s")
_PT_LOAD, _PT_NOTE = 1, 4
_NT_PRSTATUS, _NT_PRPSINFO, _NT_AUXV, _NT_FILE = 1, 3, 6, 0x46494C45
_X86_REGISTERS, _ARM_REGISTERS = 27, 34
# Places in struct user_regs_struct of what /proc/PID/syscall says: number, six arguments, stack pointer, counter.
_X86_PLACES: Final = (15, 14, 13, 12, 7, 9, 8, 19, 16)
_ARM_PLACES: Final = (8, 0, 1, 2, 3, 4, 5, 31, 32)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the address space; `taken` says whether its bytes are in the file."""

    start: int
    end: int
    flags: int
    taken: bool


@dataclass(frozen=True, slots=True)
class FileMapping:
    """A file in the address space; `offset` in pages."""

    start: int
    end: int
    offset: int
    path: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Whose memory it is, for the notes.

    Attributes:
        threads: number and text of /proc/PID/task/TID/syscall of each; `running` has no registers.
    """

    machine: str
    pid: int
    ppid: int
    pgrp: int
    session: int
    uid: int
    gid: int
    state: str
    name: bytes
    arguments: bytes
    threads: tuple[tuple[int, bytes], ...]
    auxv: bytes
    files: tuple[FileMapping, ...]


def beginning(task: Task, segments: list[Segment]) -> bytes:
    """Return everything in front of the memory; the taken segments follow in their order, then `own_note`."""
    notes = _notes(task)
    table = _HEADER.size + _PROGRAM.size * (len(segments) + 2)
    start = -(-(table + len(notes)) // PAGE) * PAGE
    programs = [_PROGRAM.pack(_PT_NOTE, 0, table, 0, 0, len(notes), 0, 4)]
    offset = start
    for one in segments:
        size = one.end - one.start
        stored = size if one.taken else 0
        programs.append(
            _PROGRAM.pack(_PT_LOAD, one.flags, offset, one.start, 0, stored, size, PAGE)
        )
        offset += stored
    programs.append(_PROGRAM.pack(_PT_NOTE, 0, offset, 0, 0, len(own_note(b"")), 0, 4))
    head = _HEADER.pack(
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), 4, MACHINES.get(task.machine, 0), 1, 0, _HEADER.size, 0, 0,
        _HEADER.size, _PROGRAM.size, len(programs), 0, 0, 0,
    )  # fmt: skip
    return (head + b"".join(programs) + notes).ljust(start, b"\0")


def own_note(text: bytes) -> bytes:
    """Return our note, always of the same length; its text is filled up with blanks."""
    return _note(1, text[:OWN_NOTE].ljust(OWN_NOTE), owner=OWNER)


def _note(kind: int, data: bytes, *, owner: bytes = b"CORE\0") -> bytes:
    head = _NOTE.pack(len(owner), len(data), kind)
    return head + owner + bytes(-len(owner) % 4) + data + bytes(-len(data) % 4)


def _notes(task: Task) -> bytes:
    parts = []
    for place, (thread, syscall) in enumerate(task.threads):
        status = _status(task, thread, syscall)
        if status:
            parts.append(_note(_NT_PRSTATUS, status))
        if place == 0:
            parts.append(_note(_NT_PRPSINFO, _info(task)))
    if task.auxv:
        parts.append(_note(_NT_AUXV, task.auxv))
    parts.append(_note(_NT_FILE, _files(task.files)))
    return b"".join(parts)


def _status(task: Task, thread: int, syscall: bytes) -> bytes:
    """Return struct elf_prstatus of one thread; nothing for a machine whose registers are not known here."""
    places = {"x86_64": _X86_PLACES, "aarch64": _ARM_PLACES}.get(task.machine)
    if places is None:
        return b""
    count = _X86_REGISTERS if task.machine == "x86_64" else _ARM_REGISTERS
    registers = [0] * count
    for place, value in zip(places, registers_of(syscall), strict=False):
        registers[place] = value
    head = _STATUS.pack(0, 0, 0, 0, 0, 0, thread, task.ppid, task.pgrp, task.session)
    return head + struct.pack(f"<{count}Qi4x", *registers, 0)


def registers_of(syscall: bytes) -> list[int]:
    """Return number, arguments, stack pointer and counter of /proc/PID/syscall; nothing of a thread that runs.

    A thread that is blocked outside a system call has only the last two, after -1.
    """
    words = syscall.split()
    try:
        values = [int(word, 0) & (1 << 64) - 1 for word in words]
    except ValueError:
        return []
    if len(values) == 3:  # noqa: PLR2004
        return [values[0], *[0] * 6, *values[1:]]
    return values if len(values) == len(_X86_PLACES) else []


def _info(task: Task) -> bytes:
    states = "RSDTZW"
    state = states.find(task.state) if task.state in states else 0
    return _INFO.pack(
        state, ord(task.state[:1] or "?") & 0x7F, task.state == "Z", 0, 0, task.uid, task.gid, task.pid, task.ppid,
        task.pgrp, task.session, task.name[:15], task.arguments[:79].replace(b"\0", b" "),
    )  # fmt: skip


def _files(found: tuple[FileMapping, ...]) -> bytes:
    spans = b"".join(struct.pack("<QQQ", one.start, one.end, one.offset) for one in found)
    names = b"".join(one.path + b"\0" for one in found)
    return struct.pack("<QQ", len(found), PAGE) + spans + names
