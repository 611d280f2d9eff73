"""Whether the kernel lets main memory be read through /proc/kcore, and if not, exactly why."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.items import AttemptFailed, Outcome
from hozen_agent.kernel import ramlayout
from hozen_agent.proc.sweep import read_small
from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hozen_agent.kernel.lime import Image
    from hozen_agent.kernel.ramlayout import Piece, Range

_CAP_SYS_RAWIO: Final = 17
_MOST: Final = 4 << 20
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What can be read.

    Attributes:
        kcore: open descriptor; the caller closes it.
        ranges: what the kernel calls System RAM.
        pieces: what of it /proc/kcore gives.
        lockdown: the kernel's own line, empty where it is not shown.
    """

    kcore: int
    ranges: tuple[Range, ...]
    pieces: tuple[Piece, ...]
    lockdown: str


def look(proc: int, root: int, capabilities: str | None) -> Layout:
    """Return where memory is and how to read it.

    Args:
        proc: descriptor of a procfs.
        root: descriptor of the directory that plays `/`.
        capabilities: our effective ones, hexadecimal.

    Raises:
        AttemptFailed: it cannot be read.
    """
    lockdown = _lockdown(root)
    try:
        fd = os.open("kcore", _FLAGS, dir_fd=proc)
    except OSError as error:
        raise _refused(error, lockdown, int(capabilities or "0", 16)) from error
    try:
        ranges, pieces = _pieces(fd, proc)
    except (OSError, FormatError, AttemptFailed) as error:
        os.close(fd)
        if isinstance(error, OSError):
            raise _refused(error, lockdown, int(capabilities or "0", 16)) from error
        if isinstance(error, FormatError):
            raise AttemptFailed(Outcome.FAILED, str(error)) from error
        raise
    return Layout(kcore=fd, ranges=tuple(ranges), pieces=tuple(pieces), lockdown=lockdown)


def _pieces(fd: int, proc: int) -> tuple[list[Range], list[Piece]]:
    """Return what is memory, and what of it can be read."""
    pieces = ramlayout.segments(_table(fd))
    ranges = ramlayout.memory_ranges(_text(proc, b"iomem"))
    if not ranges:
        raise AttemptFailed(
            Outcome.DENIED,
            "/proc/iomem shows no addresses: that needs CAP_SYS_ADMIN in the first user namespace",
        )
    found = ramlayout.readable(ranges, pieces)
    if not found:
        raise AttemptFailed(Outcome.FAILED, "/proc/kcore has none of the memory of /proc/iomem")
    return ranges, found


def record(layout: Layout, image: Image, proc: int) -> dict[str, object]:
    """Return what was read of what there is, and what a reader of the image must know; addresses hexadecimal."""
    flags = _text(proc, b"cpuinfo").split(b"\n\n")[0]
    return {
        "format": "lime/1",
        "at_one_moment": False,
        "memory": [_range(one.start, one.end) for one in layout.ranges],
        "image": [_range(one.start, one.end) for one in layout.pieces],
        "left_out": [
            _range(*one) for one in ramlayout.left_out(layout.ranges, list(layout.pieces))
        ],
        "bytes": str(image.taken),
        "unreadable_bytes": str(image.unreadable),
        "unreadable": [_range(*one) for one in image.holes],
        "banner": _text(proc, b"version").decode("ascii", "backslashreplace").strip(),
        "la57": b"la57" in flags.split(),
        "symbols_have_addresses": _has_addresses(proc),
        "lockdown": layout.lockdown or None,
    }


def _range(start: int, end: int) -> list[str]:
    return [f"{start:x}", f"{end - 1:x}"]


def _has_addresses(proc: int) -> bool:
    """Return whether /proc/kallsyms shows addresses; kptr_restrict makes them zero."""
    try:
        fd = os.open("kallsyms", _FLAGS, dir_fd=proc)
    except OSError:
        return False
    try:
        head = os.read(fd, 4096)
    except OSError:
        return False
    finally:
        os.close(fd)
    return any(line[:16].strip(b"0") for line in head.split(b"\n")[1:-1])


def _table(fd: int) -> bytes:
    head = os.pread(fd, ramlayout.ELF_HEAD, 0)
    if not head:
        raise AttemptFailed(
            Outcome.DENIED, "/proc/kcore is empty: something, such as a container, covers it"
        )
    offset, length = ramlayout.table_size(head)
    return os.pread(fd, length, offset)


def _refused(error: OSError, lockdown: str, capabilities: int) -> AttemptFailed:
    name = errno.errorcode.get(error.errno or 0, "unknown")
    if error.errno == errno.ENOENT:
        return AttemptFailed(
            Outcome.DENIED, "the kernel has no /proc/kcore (CONFIG_PROC_KCORE is not set)"
        )
    if error.errno not in {errno.EPERM, errno.EACCES}:
        return AttemptFailed(Outcome.FAILED, f"/proc/kcore: {error.strerror} ({name})")
    reasons = [text for forbids, text in _causes(lockdown, capabilities) if forbids]
    why = " and ".join(reasons) or "the kernel or a security module forbids it"
    return AttemptFailed(Outcome.DENIED, f"{why} ({name})")


def _causes(lockdown: str, capabilities: int) -> Iterable[tuple[bool, str]]:
    yield "[confidentiality]" in lockdown, "the kernel is locked down for confidentiality"
    yield not capabilities >> _CAP_SYS_RAWIO & 1, "CAP_SYS_RAWIO is missing"


def _lockdown(root: int) -> str:
    text = read_small(b"sys/kernel/security/lockdown", at=root, cap=4096)
    return text.decode("ascii", "backslashreplace").strip()


def _text(proc: int, name: bytes) -> bytes:
    """Return a text of the kernel, empty where it does not give it."""
    return read_small(name, at=proc, cap=_MOST)
