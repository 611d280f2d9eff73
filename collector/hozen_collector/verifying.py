"""Runs the lawyer's verifier on a container in a process of its own, bounded in memory, time and output.

The process gets a file name and the root, and writes one JSON verdict. It is made for hostile bytes: if it dies, the
container is not verifiable; the collector lives.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Final

from hozen_collector.verdict import Verdict, parse_verdict
from hozen_hashes.errors import InternalError, TryAgainError

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_config.settings import CollectorSettings as Settings

_MAX_OUTPUT: Final = 1 << 20
_KILL_AFTER: Final = 5.0


class DiedError(InternalError):
    """The verifier ended without a verdict: out of memory, out of time, or by a fault."""


class Verifier:
    """Starts verifier processes and can stop them all."""

    def __init__(self, root_pem: Path, settings: Settings) -> None:
        self._root_pem = root_pem
        self._settings = settings
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopping = False

    def verify(self, path: Path, kind: str) -> Verdict:
        """Give the verdict on the container at `path`. Blocks as long as it takes.

        Raises:
            DiedError: the process died or took too long.
            TryAgainError: the collector stops.
        """
        with tempfile.TemporaryFile() as output:
            process = self._start(path, kind, output.fileno())
            try:
                code = process.wait(self._settings.verify_seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                self._end(process)
            if self._stopping:
                raise TryAgainError("the collector stops")
            if code != 0:
                why = "took too long" if code is None else f"ended with {code}"
                raise DiedError(f"the verifier {why}")
            output.seek(0)
            return parse_verdict(output.read(_MAX_OUTPUT))

    def stop(self) -> None:
        """End every verification; the jobs are done again at the next start."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                process.terminate()

    def _start(self, path: Path, kind: str, output: int) -> subprocess.Popen[bytes]:
        words = [str(path), kind, str(self._root_pem), str(self._settings.verify_memory)]
        with self._lock:
            if self._stopping:
                raise TryAgainError("the collector stops")
            process = subprocess.Popen(
                [sys.executable, "-I", "-m", "hozen_collector.verifier_process", *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                # Nothing of the collector's surroundings is the verifier's business.
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            )
            self._running.add(process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_AFTER)
            process.kill()
            process.wait()
        with self._lock:
            self._running.discard(process)
