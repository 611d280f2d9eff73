"""Entries of procfs become a redacted tar: the form in which a sweep is hashed and stored."""

from __future__ import annotations

from hozen_agent.proc.sweep import FILE
from hozen_agent.reading.ustar import tar_stream

TYPE_CHECKING = False  # stage 0: `typing` is loaded later
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.proc.sweep import Entry, Sweep
    from hozen_agent.redaction.redact import Redactor

MOUNT_TEXTS = frozenset({b"mountinfo", b"mounts", b"mountstats"})


def sweep_tar(sweep: Sweep, redactor: Redactor, counts: dict[str, int]) -> Iterator[bytes]:
    """Yield the tar of a sweep; the same sweep and rules give the same bytes each time.

    `counts` receives how often each type of secret was removed; it is complete after the last piece.
    """
    entries = redacted(sweep.entries, redactor, counts)
    return tar_stream(entries, seconds=sweep.started[0] // 1_000_000_000)


def redacted(
    entries: Iterable[Entry], redactor: Redactor, counts: dict[str, int]
) -> Iterator[Entry]:
    """Yield the entries, command lines and environments and the copies of them without secrets.

    A process may write its arguments into its name (prctl(2), PR_SET_NAME), which stat, status and comm show.
    """
    for entry in entries:
        name, kind, data, number = entry
        if kind == FILE and data:
            clean = clean_file(name[name.rfind(b"/") + 1 :], data, redactor, counts)
            if clean is not data:
                entry = (name, kind, clean, number)  # noqa: PLW2901 - the same entry, cleaned
        yield entry


def clean_file(file: bytes, data: bytes, redactor: Redactor, counts: dict[str, int]) -> bytes:
    """Return what the file of this name below /proc/PID says, without secrets; `data` itself when there are none."""
    if file == b"cmdline":
        return redactor.command_line(data, counts)
    if file == b"environ":
        return redactor.environ(data, counts)
    if file == b"stat" and (end := data.rfind(b")")) > 0:
        start = data.find(b"(") + 1
        return _named(data, start, end, redactor, counts)
    if file == b"status" and data.startswith(b"Name:\t"):
        return _named(data, 6, max(6, data.find(b"\n")), redactor, counts)
    if (
        file in MOUNT_TEXTS
    ):  # a source may be a URL with a password (curlftpfs), an option too (cifs)
        clean = redactor.text(data, counts)
        return data if clean == data else clean
    return redactor.text(data, counts) if file == b"comm" else data


def _named(data: bytes, start: int, end: int, redactor: Redactor, counts: dict[str, int]) -> bytes:
    name = data[start:end]
    clean = redactor.text(name, counts)
    return data if clean == name else data[:start] + clean + data[end:]
