"""Runs `hozen export` as a user does."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from synthetic_host import BIN

if TYPE_CHECKING:
    from pathlib import Path


def export(bundle: Path, kind: str, out: object, *more: str) -> subprocess.CompletedProcess[bytes]:
    command = [
        str(BIN / "hozen"),
        "--lang",
        "en",
        "export",
        str(bundle),
        "--to",
        kind,
        str(out),
        *more,
    ]
    return subprocess.run(command, capture_output=True, check=False)
