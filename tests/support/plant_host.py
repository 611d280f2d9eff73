"""Run inside a synthetic host: makes files and processes that hold planted secrets, then waits.

    plant_host.py PLANTS.JSON READY

A planted process is stopped by ptrace(2) right after its execve(2), so that any argument list and environment can be
shown by any program without the program acting on them.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import signal
import sys
import threading
from pathlib import Path

_PR_SET_NAME = 15


def make_file(path: str, content: bytes) -> None:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    place.chmod(0o600)


def stopped(libc: ctypes.CDLL, argv: list[str], env: list[str]) -> None:
    """Return when a process shows these arguments and this environment and does nothing."""
    pid = os.fork()
    if pid == 0:
        arrays = [
            (ctypes.c_char_p * (len(words) + 1))(*map(os.fsencode, words), None)
            for words in (argv, env)
        ]
        libc.ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
        libc.execve(b"/bin/true", *arrays)
        os._exit(1)
    os.waitpid(pid, 0)


def named(libc: ctypes.CDLL, process: str, thread: str) -> None:
    """Return when a process and a thread of it carry these names, as proctitle-setting programs do."""
    ready, told = os.pipe()
    if os.fork() == 0:
        libc.prctl(_PR_SET_NAME, process.encode(), 0, 0, 0)

        def run() -> None:
            libc.prctl(_PR_SET_NAME, thread.encode(), 0, 0, 0)
            os.write(told, b"x")
            signal.pause()

        threading.Thread(target=run, daemon=True).start()
        signal.pause()
    os.read(ready, 1)


def main(plan: str, ready: str) -> None:
    plants = json.loads(Path(plan).read_text(encoding="utf-8"))
    libc = ctypes.CDLL(None, use_errno=True)
    for path, content in plants["files"].items():
        make_file(path, base64.b64decode(content))
    for one in plants["processes"]:
        stopped(libc, one["argv"], one["env"])
    for process, thread in plants["names"]:
        named(libc, process, thread)
    Path(ready).touch()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
