"""Keys that the kernel puts into its answers are overwritten with zeros before anything else sees them (law M16).

WireGuard's private and preshared keys (linux/wireguard.h) and the keys of IPsec states (linux/xfrm.h). Lengths stay as
they are, so that the rest of the answer is read as it was sent.
"""

from __future__ import annotations

import struct
from typing import Final

from hozen_agent.net.netlink import HEADER, spans

_WIREGUARD_PRIVATE, _WIREGUARD_PEERS, _WIREGUARD_PRESHARED = 3, 8, 2
# Attribute to the bytes before the key: xfrm_algo (name, length), xfrm_algo_auth and _aead (one length more).
_XFRM_KEYS: Final = {1: 68, 2: 68, 18: 72, 20: 72}
_XFRM_STATE_FIXED: Final = 224  # struct xfrm_usersa_info


def scrub(name: str, datagram: bytes) -> tuple[bytes, int]:
    """Return the answer to the question `name` without keys, and how many there were."""
    clean = _SCRUB.get(name)
    if clean is None:
        return datagram, 0
    raw = bytearray(datagram)
    count = 0
    at = 0
    while at + HEADER.size <= len(raw):
        length = struct.unpack_from("=I", raw, at)[0]
        if length < HEADER.size or at + length > len(raw):
            break
        count += clean(raw, at + HEADER.size, at + length)
        at += (length + 3) & ~3
    if raw[at:]:  # what cannot be cut into messages is not trusted to hold no key
        raw[at:] = bytes(len(raw) - at)
    return bytes(raw), count


def _wipe(raw: bytearray, start: int, end: int) -> int:
    """Overwrite; returns 1 when there was something to overwrite."""
    there = any(raw[start:end])
    raw[start:end] = bytes(end - start)
    return int(there)


def _wireguard(raw: bytearray, start: int, end: int) -> int:
    count = 0
    for kind, begin, stop in spans(raw, start + 4, end):
        if kind == _WIREGUARD_PRIVATE:
            count += _wipe(raw, begin, stop)
        elif kind == _WIREGUARD_PEERS:
            for _, peer, peer_end in spans(raw, begin, stop):
                for field, value, value_end in spans(raw, peer, peer_end):
                    if field == _WIREGUARD_PRESHARED:
                        count += _wipe(raw, value, value_end)
    return count


def _xfrm(raw: bytearray, start: int, end: int) -> int:
    count = 0
    for kind, begin, stop in spans(raw, start + _XFRM_STATE_FIXED, end):
        if kind in _XFRM_KEYS:
            count += _wipe(raw, min(begin + _XFRM_KEYS[kind], stop), stop)
    return count


_SCRUB: Final = {"wireguard": _wireguard, "xfrm_state": _xfrm}
