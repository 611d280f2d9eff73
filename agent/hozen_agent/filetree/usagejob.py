"""The worker's side of the file systems' usage: statfs(2) of one local mount, which can hang like any other call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hozen_agent.reading.safeopen import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.jobwork import JobOut


def run(opener: Opener, _out: JobOut, path: bytes, _asked: Mapping[str, object]) -> dict[str, object]:  # fmt: skip
    """Return sizes in bytes and inodes of the file system at `path`, or why there are none."""
    try:
        opener.refuse_skipped(path)
        found = os.fstatvfs(opener.enter(path.rstrip(b"/")))
    except OSError as error:
        return {"error": os.strerror(error.errno or 0)}
    except RefusedError as refusal:
        return {"error": str(refusal)}
    return {
        "size": str(found.f_blocks * found.f_frsize),
        "free": str(found.f_bfree * found.f_frsize),
        "available": str(found.f_bavail * found.f_frsize),
        "inodes": str(found.f_files),
        "inodes_free": str(found.f_ffree),
    }
