"""Keeps the signing keys of a capture out of core dumps, swap and other processes' reach (design §5)."""

from __future__ import annotations

import ctypes
import resource
import signal

from hozen_agent.host import capabilities

_PR_SET_DUMPABLE = 4
_MCL_CURRENT_FUTURE_ONFAULT = (
    1 | 2 | 4
)  # on fault: locking must not bring every library page into memory
_CAP_IPC_LOCK = 14
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 256 << 10


def harden() -> list[str]:
    """Lock the process down as far as the system allows; return one sentence for each thing not obtained."""
    missing: list[str] = []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        missing.append("core dumps and tracing by the same user could not be switched off")
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        missing.append("the core file limit could not be set to 0")
    if not _lock_memory(libc):
        missing.append("memory could not be locked: a key may reach the swap space")
    return missing


def _lock_memory(libc: ctypes.CDLL) -> bool:
    """Lock present and future pages only where no limit could then make an allocation fail."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    free_of_limits = (
        soft == resource.RLIM_INFINITY or int(capabilities() or "0", 16) >> _CAP_IPC_LOCK & 1
    )
    return bool(free_of_limits and libc.mlockall(_MCL_CURRENT_FUTURE_ONFAULT) == 0)


def return_memory() -> None:
    """Make the C library give large buffers back to the system, so that the peak stays that of the moment.

    By default glibc raises the size from which it does so with each buffer that is freed (mallopt(3)).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none, and none of the habit
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _LARGE)


def survive_hangups() -> None:
    """Make a closed terminal or pipe unable to end the capture."""
    for name in ("SIGHUP", "SIGPIPE", "SIGTTOU", "SIGTTIN", "SIGXFSZ", "SIGTSTP"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
