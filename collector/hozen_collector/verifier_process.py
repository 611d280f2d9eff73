"""The verifier's own process: `python -I -m hozen_collector.verifier_process FILE KIND ROOT_PEM MAX_MEMORY`.

It reads hostile bytes, so it gives up what it does not need first: memory beyond a bound, core dumps, new files. It
writes one JSON verdict to standard output and says nothing else.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from hozen_collector.examine import examine


def main(words: list[str]) -> int:
    """Write the verdict on the container that `words` name; give the exit code."""
    file, kind, roots, memory = words
    _limit(int(memory))
    verdict = examine(Path(file), kind, Path(roots).read_bytes())
    sys.stdout.buffer.write(verdict.encode())
    sys.stdout.buffer.flush()
    return 0


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
