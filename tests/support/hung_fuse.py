"""Run inside a synthetic host: mounts a FUSE file system that never answers, then waits.

hung_fuse.py DIRECTORY READY
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path


def main(directory: str, ready: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"hung", os.fsencode(directory), b"fuse", 0, options) != 0:
        Path(ready).write_text(os.strerror(ctypes.get_errno()), encoding="utf-8")
        return
    Path(ready).write_text("mounted", encoding="utf-8")
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
