"""Which questions can be put to the kernel without making it load a module (law M01).

A netlink request to a part that is not there makes many kernels run modprobe. So a part is asked only when the
kernel shows that it is there already, or when this kernel can load nothing at all.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from hozen_agent.proc.sweep import read_small

_MODULES_MAX: Final = 1 << 20
_BUILTIN_MAX: Final = 4 << 20
_PLAIN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW


class Guard:
    """What the kernel showed of its own parts when this was made.

    Attributes:
        loads: this kernel could load a module if it were asked for one.
    """

    __slots__ = ("_builtin", "_live", "_proc", "_root", "loads")

    def __init__(self, proc: int, root: int) -> None:
        """Look at procfs `proc` and the host's root `root`; nothing is asked of the kernel."""
        self._proc = proc
        self._root = root
        modules = read_small(b"modules", at=proc, cap=_MODULES_MAX)
        lines = (line.split() for line in modules.split(b"\n"))
        self._live = {words[0] for words in lines if len(words) > 4 and words[4] == b"Live"}  # noqa: PLR2004
        self._builtin: set[bytes] | None = None
        self.loads = self._can_load()

    def _can_load(self) -> bool:
        """A kernel without module support has neither file; a switch may forbid it; an empty helper runs nothing."""
        if not (_exists(self._proc, b"modules") or _exists(self._proc, b"sys/kernel/modprobe")):
            return False
        if read_small(b"sys/kernel/modules_disabled", at=self._proc).strip() == b"1":
            return False
        helper = read_small(b"sys/kernel/modprobe", at=self._proc)
        return not (helper and not helper.strip())

    def refuses(self, protocol: int, modules: tuple[str, ...]) -> str:
        """Return why a netlink question is not put, or an empty string when it is safe.

        Args:
            protocol: of the netlink socket; its kernel side must exist in this network namespace.
            modules: any one of them answers; none for what the protocol itself answers.
        """
        if not self.loads:
            return ""
        if not self._registered(protocol):
            return f"netlink protocol {protocol} is not present; asking could load a module"
        if not modules or any(map(self.present, modules)):
            return ""
        return f"{' and '.join(modules)} not seen in this kernel; asking could load a module"

    def present(self, module: str) -> bool:
        """Return whether a module is loaded or built in, by /proc/modules, /sys/module and modules.builtin."""
        name = module.encode()
        if name in self._live:
            return True
        # A module that is only being loaded has a directory too; a built-in one has no `initstate`.
        directory = b"sys/module/" + name
        if _exists(self._root, directory) and not _exists(self._root, directory + b"/initstate"):
            return True
        if self._builtin is None:
            self._builtin = self._built_in()
        return name in self._builtin

    def _registered(self, protocol: int) -> bool:
        """The kernel's own sockets have port 0 in /proc/net/netlink, one for each protocol that is there."""
        table = read_small(b"self/net/netlink", at=self._proc, cap=_BUILTIN_MAX)
        rows = (line.split() for line in table.split(b"\n")[1:])
        return any(words[1:3] == [b"%d" % protocol, b"0"] for words in rows)

    def _built_in(self) -> set[bytes]:
        release = read_small(b"sys/kernel/osrelease", at=self._proc).strip()
        if not release or b"/" in release:
            return set()
        text = b""
        for place in (b"lib/modules/", b"usr/lib/modules/"):
            text = text or _plain(self._root, place + release + b"/modules.builtin")
        names = (line[line.rfind(b"/") + 1 :].partition(b".ko")[0] for line in text.split(b"\n"))
        return {name.replace(b"-", b"_") for name in names if name}


def _exists(at: int, path: bytes) -> bool:
    try:
        os.stat(path, dir_fd=at, follow_symlinks=False)
    except OSError:
        return False
    return True


def _plain(at: int, path: bytes) -> bytes:
    """Return a regular file's beginning; a name that is something else is not opened for reading."""
    try:
        if not stat.S_ISREG(os.stat(path, dir_fd=at, follow_symlinks=False).st_mode):
            return b""
        fd = os.open(path, _PLAIN | os.O_NOATIME, dir_fd=at)
    except OSError:
        return b""
    try:
        return os.read(fd, _BUILTIN_MAX)
    finally:
        os.close(fd)
