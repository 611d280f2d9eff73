"""Counts what the agent's own processes open and make, from the first moment on (law M04, bundle-v1 §12).

Python tells every open, socket and program start to an audit hook (PEP 578); calls that pass it by are counted where
they are made. Each process counts in cells of its own, in memory that all of them share, so that what a worker did is
known even when the worker had to be left behind.

What is counted: calls that open a file or a directory, those included that the system refused. What is not: the files
that the interpreter opened before its first line of ours, and the shared libraries that the loader opens.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableSequence

_CELLS = 4  # of each process: opens, sockets, children, one to spare
_PROCESSES = 256  # more than these share the last cells
_OPENS, _SOCKETS, _CHILDREN = 0, 1, 2
_LISTS = ("os.listdir", "os.scandir")
_cells: MutableSequence[int] = [0] * _CELLS
_at = 0
_next = 0
_begun = False


def begin() -> None:
    """From now on this process and all that it forks are counted; calling it again changes nothing."""
    global _begun  # noqa: PLW0603 - one counter a process, like the process itself
    if not _begun:
        _begun = True
        sys.addaudithook(_heard)
        os.register_at_fork(before=_forking, after_in_child=_forked)


def share() -> None:
    """The counts lie in memory that later children share; call it before the first fork."""
    global _cells  # noqa: PLW0603
    import mmap

    begin()
    memory = mmap.mmap(
        -1, (_PROCESSES + 1) * _CELLS * 8
    )  # anonymous; the last cell numbers the processes
    cells = memoryview(memory).cast("Q")
    for index in range(_CELLS):
        cells[index] = _cells[_at + index]
    cells[-1] = 1
    _cells = cells  # type: ignore[assignment]  # a sequence of numbers that can be set, all that is used


def opened() -> None:
    """A file was opened past Python."""
    _cells[_at] += 1


def socket_made() -> None:
    """A socket was made past Python."""
    _cells[_at + _SOCKETS] += 1


def totals() -> tuple[int, int, int]:
    """Return (calls that open files, sockets made, processes created) of all processes so far."""
    last = min(len(_cells), _PROCESSES * _CELLS)
    opens, sockets, children = (
        sum(_cells[index] for index in range(which, last, _CELLS))
        for which in (_OPENS, _SOCKETS, _CHILDREN)
    )
    return opens, sockets, children


def _heard(event: str, args: tuple[object, ...]) -> None:
    if event == "open":
        if not isinstance(args[0], int):  # a descriptor that is wrapped is not opened again
            _cells[_at] += 1
    elif event == "socket.__new__":
        _cells[_at + _SOCKETS] += 1
    elif event == "subprocess.Popen":
        _cells[_at + _CHILDREN] += 1
    elif event in _LISTS and not isinstance(args[0], int):
        _cells[_at] += 1


def _forking() -> None:
    global _next  # noqa: PLW0603
    _cells[_at + _CHILDREN] += 1
    if len(_cells) > _CELLS:
        _next = min(_cells[-1], _PROCESSES - 1)
        _cells[-1] = _next + 1


def _forked() -> None:
    global _at  # noqa: PLW0603
    if len(_cells) > _CELLS:
        _at = _next * _CELLS
