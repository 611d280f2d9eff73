"""SipHash-2-4 (Aumasson and Bernstein, 2012), with which journald finds equal data."""

from __future__ import annotations

import struct
from typing import Final

_ONES: Final = 0xFFFF_FFFF_FFFF_FFFF


def siphash24(data: bytes, key: bytes) -> int:
    """Return the 64-bit hash of `data` under a key of 16 bytes."""
    k0, k1 = struct.unpack("<QQ", key)
    state = (
        k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573,
    )  # fmt: skip
    tail = len(data) & ~7
    last = int.from_bytes(data[tail:], "little") | (len(data) & 0xFF) << 56
    for word in (*struct.unpack(f"<{tail // 8}Q", data[:tail]), last):
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3 ^ word))
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = state
    v0, v1, v2, v3 = _round(*_round(*_round(*_round(v0, v1, v2 ^ 0xFF, v3))))
    return v0 ^ v1 ^ v2 ^ v3


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _ONES
    v1 = ((v1 << 13 | v1 >> 51) & _ONES) ^ v0
    v0 = (v0 << 32 | v0 >> 32) & _ONES
    v2 = (v2 + v3) & _ONES
    v3 = ((v3 << 16 | v3 >> 48) & _ONES) ^ v2
    v0 = (v0 + v3) & _ONES
    v3 = ((v3 << 21 | v3 >> 43) & _ONES) ^ v0
    v2 = (v2 + v1) & _ONES
    v1 = ((v1 << 17 | v1 >> 47) & _ONES) ^ v2
    v2 = (v2 << 32 | v2 >> 32) & _ONES
    return v0, v1, v2, v3
