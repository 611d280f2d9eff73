"""Run inside a synthetic host: a FUSE file system with one program, which works until it is told to hang for ever.

late_fuse.py DIRECTORY READY PROGRAM: the file `program` holds the bytes of PROGRAM; after SIGUSR1 nothing is answered.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from pathlib import Path

LOOKUP, GETATTR, UNLINK, OPEN, READ, INIT = 1, 3, 10, 14, 15, 26
NO_ANSWER = (2, 36, 42)  # forget, interrupt, batch forget
_HEAD = struct.Struct("<IIQQIIII")
_LONG = 1 << 30  # seconds that attributes and names stay valid


def attributes(inode: int, size: int) -> bytes:
    """Return struct fuse_attr of the directory (1) or the program (2)."""
    mode = 0o40755 if inode == 1 else 0o100755
    return struct.pack(
        "<6Q10I", inode, size, -(-size // 512), 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0
    )


def answer(kind: int, node: int, body: bytes, program: bytes) -> bytes | int:
    """Return the answer, or a negative error number."""
    size = len(program) if node == 2 else 0
    fixed = {
        INIT: struct.pack("<IIIIHHIIHHI28x", 7, 31, 1 << 17, 0, 12, 9, 1 << 17, 1, 32, 0, 0),
        GETATTR: struct.pack("<QII", _LONG, 0, 0) + attributes(node, size),
        OPEN: struct.pack("<QII", 7, 2, 0),  # what is in the page cache stays there
        **dict.fromkeys((UNLINK, 18, 25), b""),
    }
    if kind == READ:
        offset, most = struct.unpack_from("<QI", body, 8)
        return program[offset : offset + most]
    if kind == LOOKUP:
        found = struct.pack("<QQQQII", 2, 0, _LONG, _LONG, 0, 0) + attributes(2, len(program))
        return found if body.rstrip(b"\0") == b"program" else -2
    return fixed.get(kind, -38)


def main(directory: str, ready: str, source: str) -> None:
    """Mount, answer, hang."""
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"late", os.fsencode(directory), b"fuse", 0, options) != 0:
        Path(ready).write_text(os.strerror(ctypes.get_errno()), encoding="utf-8")
        return
    program = Path(source).read_bytes()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: signal.pause())
    Path(ready).write_text("mounted", encoding="utf-8")
    while True:
        message = os.read(device, 1 << 18)
        length, kind, unique, node, *_ = _HEAD.unpack_from(message)
        if kind in NO_ANSWER:
            continue
        said = answer(kind, node, message[_HEAD.size : length], program)
        error, data = (said, b"") if isinstance(said, int) else (0, said)
        os.write(device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


if __name__ == "__main__":
    main(*sys.argv[1:])
