"""The scheduler's group of our session: without its niceness, our own means nothing to processes of other sessions.

Where the kernel groups tasks by session (sched(7), "The autogroup feature"), the niceness of a process is weighed
only inside its group. The group's own is in /proc/PID/autogroup; it is lowered for the bulk and put back at the end.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from hozen_agent import syscalls

_LINE: Final = re.compile(rb"/autogroup-[0-9]{1,20} nice (-?[0-9]{1,2})\n?")
_RESOLVE: Final = syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_SYMLINKS


@dataclass(slots=True)
class Autogroup:
    """The group of our session.

    Attributes:
        fd: its file, opened before the view became read-only.
        before: its niceness then.
    """

    fd: int
    before: int

    def lower(self, nice: int) -> int:
        """The group yields to those of other sessions, at least as far as `nice`; return its niceness.

        Raises:
            OSError: the kernel refused.
        """
        self._write(max(nice, self.before))
        return max(nice, self.before)

    def restore(self) -> None:
        """The group is as it was, as far as the kernel lets us; nothing more can be written."""
        with suppress(OSError):  # an ordinary user cannot raise what somebody made negative
            self._write(self.before)
        os.close(self.fd)

    def _write(self, nice: int) -> None:
        os.write(self.fd, b"%d" % nice)


def own() -> Autogroup | None:
    """Return the group of our session, None where the kernel has none or does not let us write.

    The host's own /proc is used, since ours are read-only; a mount over the file is not entered.
    """
    try:
        fd = _opened()
    except OSError:
        return None
    found = None
    with suppress(OSError):
        found = _LINE.fullmatch(os.pread(fd, 64, 0))
    if found is None:
        os.close(fd)
        return None
    return Autogroup(fd, int(found[1]))


def _opened() -> int:
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        name = b"%d/autogroup" % os.getpid()
        return syscalls.openat2(proc, name, os.O_RDWR | os.O_CLOEXEC, resolve=_RESOLVE)
    finally:
        os.close(proc)
