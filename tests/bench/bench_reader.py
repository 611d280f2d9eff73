"""Prints what reading costs, as ratios to stock tools on the same files; run alone, on a quiet machine.

usage: bench_reader.py [--files N] [--megabytes N] [--directory DIR]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hozen_agent.context import FileRequest
from hozen_agent.filetree.finder import Finder
from hozen_agent.reading.reader import FileReader
from hozen_agent.workers.pool import ReaderPool

if TYPE_CHECKING:
    from collections.abc import Iterator


def say(text: str) -> None:
    """Write one line."""
    sys.stdout.write(text + "\n")


def cpu() -> float:
    """Return CPU seconds of this process and of all that have ended below it."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def stock(command: list[str]) -> float:
    """Return the CPU seconds of a stock tool."""
    before = cpu()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while process.stdout.read(1 << 16):
            pass
    return cpu() - before


def measured(directory: Path, *, hashed: bool) -> tuple[float, float, int, int]:
    """Return CPU seconds, wall seconds, files and bytes of walking and reading all of a directory."""
    before, wall = cpu(), time.monotonic()
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    pool = ReaderPool.start(root=root, proc=proc, note=lambda text: say(f"note: {text}"))
    files = total = 0

    def requests() -> Iterator[FileRequest]:
        for path in Finder(pool)([b"/**"]):
            yield FileRequest(artifact="bench", path=path)

    try:
        for attempt in FileReader(pool)(requests()):
            digest = hashlib.sha256()
            for piece in attempt.data or ():
                total += len(piece)
                if hashed:
                    digest.update(piece)
            files += 1
    finally:
        pool.stop()
        os.close(root)
        os.close(proc)
    return cpu() - before, time.monotonic() - wall, files, total


def small_files(directory: Path, count: int) -> None:
    """Print the cost of many small files beside that of tar."""
    for number in range(count):
        place = directory / f"{number // 1000:04}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        with open(f"{place}/{number}.log", "wb") as file:
            file.write(b"x" * (100 + number % 900))
    tar = stock(["tar", "cf", "-", str(directory)])
    seconds, wall, files, _ = measured(directory, hashed=False)
    assert files == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    say(
        f"{count} small files: {seconds:.2f} CPU s ({seconds / count * 1e6:.1f} us each), wall {wall:.2f} s"
    )
    say(
        f"  tar cf: {tar:.2f} CPU s; ratio {seconds / tar:.2f}; peak RSS of the supervisor {peak} MB"
    )


def one_large(directory: Path, megabytes: int) -> None:
    """Print the cost of read + hash of one large file beside that of sha256sum."""
    directory.mkdir()
    path = directory / "large.log"
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 16) * 16)
    sha256sum = stock(["sha256sum", str(path)])
    seconds, wall, _, total = measured(directory, hashed=True)
    assert total == megabytes << 20
    say(f"{megabytes} MB read + sha256: {seconds:.2f} CPU s, wall {wall:.2f} s")
    say(f"  sha256sum: {sha256sum:.2f} CPU s; ratio {seconds / sha256sum:.2f}")


def main() -> int:
    """Run both; exit 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--directory", default="/dev/shm")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="hozen-bench-", dir=options.directory))
    try:
        small_files(place / "small", options.files)
        one_large(place / "large", options.megabytes)
    finally:
        shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
