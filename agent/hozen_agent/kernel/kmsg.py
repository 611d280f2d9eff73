"""The kernel's own messages, read without consuming them (Documentation/ABI/testing/dev-kmsg).

Every descriptor of /dev/kmsg has a position of its own; /proc/kmsg, which has one for all, is never touched.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
from dataclasses import dataclass
from errno import EAGAIN, EINVAL, EPIPE
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hozen_agent.redaction.redact import Redactor

MAX_BYTES: Final = 32 << 20
MAX_RECORDS: Final = 500_000
MAX_LOST: Final = 1_000  # whoever writes faster than we read would otherwise keep us for ever
_RECORD: Final = 16 << 10  # longer than any record; a shorter buffer gives EINVAL
_DEVICE: Final = os.makedev(1, 11)
_READ_ALL: Final = 3  # SYSLOG_ACTION_READ_ALL: the last messages, none removed
_BUFFER_SIZE: Final = 10
# The kernel repeats its command line, which may carry secrets.
_BOOT_LINE: Final = re.compile(rb"[Cc]ommand line|Unknown kernel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """What was read.

    Attributes:
        records: as /dev/kmsg gives them, `priority,sequence,microseconds,flags;text`, or whole lines of syslog(2).
        source: `/dev/kmsg` or `syslog(2)`.
        overwritten: how often messages were lost because newer ones took their place while we read.
        cut: a bound was reached.
    """

    records: list[bytes]
    source: bytes
    overwritten: int
    cut: bool


def read(root: int) -> Messages:
    """Return all messages that the kernel still has.

    Raises:
        OSError: EPERM, EACCES (kernel.dmesg_restrict without CAP_SYSLOG).
    """
    try:
        fd = _device(root)
    except OSError:
        return _by_syslog()
    try:
        return _from_device(fd)
    finally:
        os.close(fd)


def _device(root: int) -> int:
    """Return /dev/kmsg, opened only when it is that very device (containers put others in its place).

    Raises:
        OSError: as open(2); EINVAL when it is something else.
    """
    pinned = os.open(b"dev/kmsg", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
    try:
        info = os.fstat(pinned)
        if not stat.S_ISCHR(info.st_mode) or info.st_rdev != _DEVICE:
            raise OSError(EINVAL, "not the device 1:11", "/dev/kmsg")
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{pinned}", flags)
    finally:
        os.close(pinned)


def _from_device(fd: int) -> Messages:
    records: list[bytes] = []
    size = lost = 0
    while size < MAX_BYTES and len(records) < MAX_RECORDS and lost < MAX_LOST:
        try:
            record = os.read(fd, _RECORD)
        except OSError as error:
            if error.errno == EPIPE:
                lost += 1
                continue
            if error.errno == EAGAIN:
                return Messages(records=records, source=b"/dev/kmsg", overwritten=lost, cut=False)
            raise
        if not record:
            break
        records.append(record)
        size += len(record)
    return Messages(records=records, source=b"/dev/kmsg", overwritten=lost, cut=True)


def _by_syslog() -> Messages:
    libc = ctypes.CDLL(None, use_errno=True)
    size = libc.klogctl(_BUFFER_SIZE, None, 0)
    space = ctypes.create_string_buffer(max(1, min(size, MAX_BYTES)))
    length = libc.klogctl(_READ_ALL, space, len(space))
    if length < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "syslog(2)")
    return Messages(
        records=space.raw[:length].splitlines(keepends=True),
        source=b"syslog(2)",
        overwritten=0,
        cut=size > MAX_BYTES,
    )


def redacted(records: list[bytes], redactor: Redactor, counts: dict[str, int]) -> list[bytes]:
    """Return the records, those with the kernel's command line without secrets."""
    return [
        redactor.text(record, counts) if _BOOT_LINE.search(record) else record for record in records
    ]
