"""What the witness's commands do; apart from `witness.py` so that `--help` imports nothing heavy."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from hozen_collector.server import parse_address
from hozen_collector.witness import store
from hozen_collector.witness.serve import serve_witness
from hozen_hashes.cli import pick, say, tell
from hozen_hashes.commands.inputs import log_keys as read_log_keys
from hozen_hashes.cosignature import WitnessSigner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def init(directory: Path, *, name: str, log_keys: Sequence[str]) -> None:
    """Make a witness and print its card.

    Raises:
        UsageError: the directory is not empty, or a file cannot be read.
        FormatError: the name or a key is none.
        CannotWriteError: the disk refuses.
    """
    keys = read_log_keys(log_keys)
    say(store.init(directory.absolute(), WitnessSigner.generate(name), keys))
    for key in keys:
        tell(pick(en=f"watches {key.name}", ja=f"対象のログ: {key.name}"))


def trust(directory: Path, log_key: str) -> None:
    """Watch one more log; errors as `store.trust`."""
    for key in read_log_keys((log_key,)):
        store.trust(directory.absolute(), key)
        tell(pick(en=f"watches {key.name}", ja=f"対象のログ: {key.name}"))


def serve(directory: Path, *, listen: str, ready_fd: int | None) -> None:
    """Serve until a signal; errors as `serve_witness`."""
    logging.basicConfig(level=logging.WARNING, format="hozen: %(levelname)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    def ready(address: str) -> None:
        line = f"ready: http://{address}"
        tell(line)
        if ready_fd is not None:
            with contextlib.suppress(OSError):
                os.write(ready_fd, f"{line}\n".encode())
                os.close(ready_fd)

    serve_witness(directory.absolute(), parse_address(listen), ready=ready)
