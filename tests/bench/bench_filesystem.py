"""Prints as JSON what the bodyfile costs beside `find -printf` with the same fields, and the memory it takes.

usage: bench_filesystem.py DIRECTORY [FILES]   DIRECTORY plays `/`; FILES are made in its `etc` first
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from bench_reader import cpu, stock

from hozen_agent.artifacts import filesystem
from hozen_agent.context import Context
from hozen_agent.filetree.finder import Finder
from hozen_agent.reading.reader import FileReader
from hozen_agent.workers.pool import ReaderPool

FORMAT = "0|%p|%i|%M|%U|%G|%s|%A@|%T@|%C@|%B@\n"


def plant(root: Path, count: int) -> None:
    """Make `count` empty files, 100 a directory, as old as an installed system's."""
    for number in range(count):
        place = root / "etc" / f"{number // 100:05}"
        if number % 100 == 0:
            place.mkdir(parents=True)
        (place / f"file-{number}.conf").touch()


def measured(root: Path) -> tuple[float, int]:
    """Return the CPU seconds of the whole artifact and the lines of its bodyfile."""
    before = cpu()
    descriptors = [os.open(place, os.O_RDONLY | os.O_DIRECTORY) for place in (root, "/proc")]
    pool = ReaderPool.start(root=descriptors[0], proc=descriptors[1], note=lambda _text: None)
    unused: Any = None
    context = Context(
        proc=descriptors[1], root=descriptors[0], sweep=unused, redactor=unused, files=FileReader(pool),
        match=Finder(pool), note=lambda _text: None,
    )  # fmt: skip
    lines = 0
    try:
        for attempt in filesystem.collect(context):
            for piece in attempt.data or ():
                lines += bytes(piece).count(b"\n") if attempt.tag.endswith("bodyfile") else 0
    finally:
        pool.stop()
    return cpu() - before, lines


def main() -> int:
    """Measure; exit 0."""
    root, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    plant(root, count)
    find = min(stock(["find", str(root), "-printf", FORMAT]) for _ in range(3))
    runs = [measured(root) for _ in range(3)]
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    kilobytes = max(resource.getrusage(one).ru_maxrss for one in who)
    report = {
        "files": runs[0][1],
        "find_seconds": find,
        "seconds": min(spent for spent, _ in runs),
        "rss_mib": kilobytes >> 10,
    }
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
