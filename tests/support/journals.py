"""Journal files made by systemd itself from text in the export format."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

REMOTE = "/lib/systemd/systemd-journal-remote"


def export_text(count: int = 200) -> bytes:
    """Return entries with plain, binary, long and repeated fields."""
    parts = []
    for number in range(count):
        parts.append(
            b"__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n"
            b"MESSAGE=message %d\nPRIORITY=6\n_PID=%d\n_COMM=sshd\n"
            % (1795000000000000 + number * 1000, 1000 + number * 1000, number, number % 7)
        )
        if number % 10 == 0:
            value = b"two\nlines\0\xff%d" % number
            parts.append(b"BINARY\n" + len(value).to_bytes(8, "little") + value + b"\n")
        if number % 20 == 0:
            parts.append(b"LONG=" + b"abc %d " % number * 200 + b"\n")
        parts.append(b"\n")
    return b"".join(parts)


def make(place: Path, *, compress: bool = False, count: int = 200) -> Path:
    """Return a journal file; the test is skipped by name without the programs."""
    if shutil.which("journalctl") is None or shutil.which(REMOTE) is None:
        pytest.skip("no systemd-journal-remote")
    source, target = place / "in.export", place / f"made{int(compress)}.journal"
    source.write_bytes(export_text(count))
    command = [REMOTE, f"--compress={'yes' if compress else 'no'}", "-o", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return target


def exported(path: Path) -> bytes:
    """Return what journalctl(1) exports of a file."""
    command = ["journalctl", "--file", str(path), "-o", "export", "--no-pager"]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
