"""The first volatile read, before anything heavy is imported (design: first record within a blink).

Imports only what the interpreter has loaded anyway; the sweep waits in `taken` until the capture command asks for it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # built in; `signal` costs milliseconds too many here
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hozen_agent.proc.sweep import Sweep

_PROC = "/proc"
taken: list[tuple[int, Sweep]] = []


def early() -> None:
    """Read the process table, sockets and sessions into memory; keep them for `take()`.

    From the first moment a terminal that goes away ends nothing. Raises nothing: this runs before there is
    anybody to report an error, so `take()` tries again and reports it.
    """
    if not sys.platform.startswith("linux"):
        return
    from hozen_agent import traces

    traces.begin()
    from hozen_agent.proc.sweep import sweep

    _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
    try:
        proc = os.open(_PROC, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        taken.append((proc, sweep(proc)))
    except OSError:
        return


def take() -> tuple[int, Sweep]:
    """Return the descriptor of /proc and the sweep; made now when it was not made earlier.

    Raises:
        DeniedError: /proc cannot be read, or this is no Linux.
    """
    from hozen_hashes.errors import DeniedError

    if not taken:
        early()
    if not taken:
        raise DeniedError(
            "/proc cannot be read, and nothing volatile without it",
            hint="mount proc, or run on Linux",
        )
    return taken.pop()
