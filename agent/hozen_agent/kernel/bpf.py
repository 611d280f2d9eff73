"""The eBPF objects of the running kernel, asked for one by one (bpf(2), linux/bpf.h): programs, maps, links.

Each object is held by a descriptor of ours for the moment in which it is described, and let go. No map is read or
changed, no program loaded or run.
"""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass
from errno import EFBIG, ENOENT
from typing import TYPE_CHECKING, Final

from hozen_agent import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_OBJECTS: Final = 20_000
MAX_PROGRAM: Final = 8 << 20  # a million instructions of 8 bytes, the verifier's own bound
MAX_MAPS: Final = 4096
TEXT: Final = 256

_OBJ_GET, _OBJ_GET_INFO, _PROG_QUERY = 7, 15, 16
_INFO: Final = 512  # longer than any structure the kernel has; it says how much it filled
_ATTR: Final = 128
_RDONLY: Final = 1 << 3


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of object: the commands that list it and open it (enum bpf_cmd)."""

    name: str
    next_id: int
    fd_by_id: int


PROGRAM: Final = Kind("program", 11, 13)
MAP: Final = Kind("map", 12, 14)
LINK: Final = Kind("link", 31, 30)


def _call(command: int, attr: bytes) -> tuple[int, bytes]:
    """Return the result and the attributes as the kernel left them."""
    space = ctypes.create_string_buffer(attr, _ATTR)
    result = syscalls.bpf(command, ctypes.addressof(space), _ATTR)
    return result, space.raw


def identifiers(kind: Kind) -> Iterator[int]:
    """Yield the identifier of every object of the kind, in rising order, at most MAX_OBJECTS.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN, ENOSYS or EINVAL where the kernel has none of the kind; EFBIG beyond
            MAX_OBJECTS.
    """
    number = 0
    for _ in range(MAX_OBJECTS):
        try:
            _, attr = _call(kind.next_id, struct.pack("=I", number))
        except OSError as error:
            if error.errno == ENOENT:
                return
            raise
        (number,) = struct.unpack_from("=I", attr, 4)
        yield number
    raise OSError(EFBIG, f"more than {MAX_OBJECTS} objects", kind.name)


def opened(kind: Kind, number: int) -> int:
    """Return a descriptor of an object; the caller closes it.

    Raises:
        OSError: ENOENT when it is gone meanwhile, EPERM.
    """
    return _owned(_call(kind.fd_by_id, struct.pack("=I", number))[0])


def pinned(path: bytes, *, read_only: bool) -> int:
    """Return a descriptor of the object pinned at an absolute path of a bpf file system; the caller closes it.

    Raises:
        OSError: as open(2); EINVAL for a link asked for with `read_only`.
    """
    name = ctypes.create_string_buffer(path)
    attr = struct.pack("=QII", ctypes.addressof(name), 0, _RDONLY if read_only else 0)
    return _owned(_call(_OBJ_GET, attr)[0])


def _owned(fd: int) -> int:
    os.set_inheritable(fd, False)
    return fd


def info(fd: int, start: bytes = b"") -> bytes:
    """Return the info structure of an object, as long as this kernel fills it; `start` are fields set beforehand.

    Raises:
        OSError: EPERM; EFAULT for a pointer that cannot be written.
    """
    space = ctypes.create_string_buffer(start, _INFO)
    _, attr = _call(_OBJ_GET_INFO, struct.pack("=IIQ", fd, _INFO, ctypes.addressof(space)))
    (filled,) = struct.unpack_from("=I", attr, 4)
    return space.raw[: min(filled, _INFO)]


def program(fd: int) -> tuple[bytes, bytes, bytes]:
    """Return the info structure of a program, its instructions as the verifier left them, and its map identifiers.

    The instructions are empty where the kernel does not show them (kernel.kptr_restrict, network.bpf_jit_harden).

    Raises:
        OSError: as `info`.
    """
    first = info(fd).ljust(64, b"\0")
    length, count = (
        min(struct.unpack_from("=I", first, at)[0], most)
        for at, most in ((20, MAX_PROGRAM), (52, MAX_MAPS))
    )
    code = ctypes.create_string_buffer(max(length, 1))
    maps = (ctypes.c_uint32 * max(count, 1))()
    ask = bytearray(64)
    struct.pack_into("=IQQ", ask, 20, length, 0, ctypes.addressof(code) if length else 0)
    struct.pack_into("=IQ", ask, 52, count, ctypes.addressof(maps) if count else 0)
    found = info(fd, bytes(ask)).ljust(64, b"\0")
    (shown,) = struct.unpack_from("=Q", found, 32)
    (told,) = struct.unpack_from("=I", found, 52)
    instructions = code.raw[:length] if shown and length else b""
    return found, instructions, struct.pack(f"={min(told, count)}I", *maps[: min(told, count)])


def link(fd: int, *, name_at: tuple[int, int] | None = None) -> tuple[bytes, bytes]:
    """Return the info structure of a link, and the name of what it is attached to where it has one.

    Args:
        fd: the link.
        name_at: where the structure keeps the pointer and the length of a name.

    Raises:
        OSError: as `info`.
    """
    if name_at is None:
        return info(fd), b""
    text = ctypes.create_string_buffer(TEXT)
    ask = bytearray(max(name_at) + 8)
    struct.pack_into("=Q", ask, name_at[0], ctypes.addressof(text))
    struct.pack_into("=I", ask, name_at[1], TEXT)
    return info(fd, bytes(ask)), text.value


def attached(cgroup: int, attach_type: int) -> list[int]:
    """Return the identifiers of programs that a control group runs on one kind of event, at most 64.

    Raises:
        OSError: EINVAL where the kernel does not know the event, EPERM without CAP_NET_ADMIN.
    """
    numbers = (ctypes.c_uint32 * 64)()
    attr = struct.pack("=IIIIQI", cgroup, attach_type, 0, 0, ctypes.addressof(numbers), 64)
    _, after = _call(_PROG_QUERY, attr)
    (count,) = struct.unpack_from("=I", after, 24)
    return list(numbers[: min(count, 64)])
