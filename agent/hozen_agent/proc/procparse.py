"""What the texts of /proc/PID say, as values (proc_pid_stat(5), proc_pid_status(5)); bytes in, objects out.

Every text may be cut short or made by a process that wants to mislead: what is not there is None.
"""

from __future__ import annotations

from dataclasses import dataclass

from hozen_hashes.names import percent_encode

_PF_KTHREAD = 0x0020_0000
_STAT_FIELDS = 20  # from state to starttime
_MAX_ARGUMENTS = 4096
_STATUS_KEYS = tuple(
    b"Uid: Gid: Groups: NSpid: CapInh: CapPrm: CapEff: CapBnd: CapAmb: NoNewPrivs: Seccomp: TracerPid:".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """The fields of /proc/PID/stat that a record needs.

    Attributes:
        start_ticks: field 22, clock ticks after boot; with the pid it names a process.
        tty: field 7, device number of the controlling terminal, 0 for none.
        kernel_thread: the flag PF_KTHREAD of field 9.
    """

    name: bytes
    state: str
    ppid: int
    pgrp: int
    session: int
    tty: int
    threads: int
    start_ticks: int
    kernel_thread: bool


def parse_stat(data: bytes) -> Stat | None:
    """Return what a stat line says, None when it is not one; the name may hold blanks and parentheses."""
    begin, end = data.find(b"("), data.rfind(b")")
    fields = data[end + 2 :].split()
    if not 0 < begin < end or len(fields) < _STAT_FIELDS:
        return None
    try:
        return Stat(
            name=data[begin + 1 : end],
            state=fields[0].decode("ascii", "replace"),
            ppid=int(fields[1]),
            pgrp=int(fields[2]),
            session=int(fields[3]),
            tty=int(fields[4]),
            threads=int(fields[17]),
            start_ticks=int(fields[19]),
            kernel_thread=bool(int(fields[6]) & _PF_KTHREAD),
        )
    except ValueError:
        return None


def brief_stat(data: bytes) -> bytes:
    """Return a stat line up to the start time, field 22; the whole line is in the tar."""
    end = data.rfind(b")") + 2
    return data[:end] + b" ".join(data[end:].split(None, _STAT_FIELDS)[:_STAT_FIELDS])


def brief_status(data: bytes) -> bytes:
    """Return the lines of a status text that a record is made of; the whole text is in the tar."""
    return b"\n".join(line for line in data.split(b"\n") if line.startswith(_STATUS_KEYS))


def parse_status(data: bytes) -> dict[bytes, bytes]:
    """Return the lines `Key:<TAB>value` of a status text; the first of a key counts, as the kernel writes it first."""
    found: dict[bytes, bytes] = {}
    for line in data.split(b"\n"):
        key, colon, value = line.partition(b":")
        if colon and key not in found:
            found[key] = value.strip()
    return found


def identifiers(status: dict[bytes, bytes], key: bytes) -> list[int]:
    """Return the real, effective, saved and file-system id of `Uid` or `Gid`; empty when they are not there."""
    try:
        return [int(word) for word in status.get(key, b"").split()]
    except ValueError:
        return []


def arguments(cmdline: bytes) -> list[str]:
    """Return the arguments of a NUL-separated command line, each percent-encoded (bundle-v1 §2)."""
    words = cmdline.removesuffix(b"\0").split(b"\0") if cmdline else []
    return [percent_encode(word) for word in words[:_MAX_ARGUMENTS]]


def boot_seconds(stat: bytes) -> int | None:
    """Return `btime` of /proc/stat: when the host booted, Unix seconds, by its present clock."""
    for line in stat.split(b"\n"):
        word, _, value = line.partition(b" ")
        if word == b"btime" and value.strip().isdigit():
            return int(value)
    return None


def terminal(device: int) -> str | None:
    """Return the name of a controlling terminal by its number (devices.txt of the kernel), None for none."""
    if not device:
        return None
    major = (device >> 8) & 0xFFF
    minor = (device & 0xFF) | ((device >> 12) & 0xFFF00)
    if 136 <= major <= 143:  # noqa: PLR2004 - Unix98 pseudo terminals
        return f"pts/{(major - 136) * 256 + minor}"
    if major == 4:  # noqa: PLR2004
        return f"tty{minor}" if minor < 64 else f"ttyS{minor - 64}"  # noqa: PLR2004
    return f"{major}:{minor}"


def users_of(passwd: bytes) -> dict[int, str]:
    """Return user names by id; the first line of an id counts, as the C library has it."""
    found: dict[int, str] = {}
    for line in passwd.split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 2 and fields[2].isdigit() and len(fields[2]) < 11:  # noqa: PLR2004
            found.setdefault(int(fields[2]), percent_encode(fields[0]))
    return found
