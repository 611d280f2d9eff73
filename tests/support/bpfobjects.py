"""Real eBPF objects for tests: loaded, linked and pinned in the kernel, gone when the process ends."""

from __future__ import annotations

import ctypes
import os
import struct

_MAP_CREATE, _PROG_LOAD, _OBJ_PIN, _RAW_TRACEPOINT_OPEN, _PROG_ATTACH = 0, 5, 6, 17, 8
_RETURN_ONE = bytes.fromhex("b700000001000000 9500000000000000".replace(" ", ""))
_NUMBER = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}


def _bpf(command: int, attr: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    space = ctypes.create_string_buffer(attr, 128)
    fd: int = libc.syscall(_NUMBER[os.uname().machine], command, space, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def load(name: bytes, kind: int = 1) -> int:
    """Return a program that returns one; kind 1 is a socket filter, 8 cgroup_skb, 17 a raw tracepoint."""
    code, licence = (
        ctypes.create_string_buffer(_RETURN_ONE, 16),
        ctypes.create_string_buffer(b"GPL"),
    )
    attr = struct.pack(
        "=IIQQIIQII16s",
        kind, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0, name,
    )  # fmt: skip
    return _bpf(_PROG_LOAD, attr)


def make_map(name: bytes) -> int:
    """Return an array of one value of eight bytes."""
    return _bpf(_MAP_CREATE, struct.pack("=IIIIIII16s", 2, 4, 8, 1, 0, 0, 0, name))


def attach_tracepoint(program: int, name: bytes) -> int:
    """Return the link of a raw tracepoint program."""
    text = ctypes.create_string_buffer(name)
    return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QI", ctypes.addressof(text), program))


def attach_cgroup(program: int, group: int, event: int) -> None:
    """The program runs on an event of the control group, without a link."""
    _bpf(_PROG_ATTACH, struct.pack("=IIII", group, program, event, 0))


def pin(fd: int, path: bytes) -> None:
    """The object has a name in a bpf file system."""
    text = ctypes.create_string_buffer(path)
    _bpf(_OBJ_PIN, struct.pack("=QI", ctypes.addressof(text), fd))
