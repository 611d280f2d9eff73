"""The kernel's old rule tables as records, one a chain and one a rule (linux/netfilter_ipv4/ip_tables.h, ip6_tables.h).

Every number in a blob is foreign: each offset is checked, and what does not fit ends the table and is said.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.net.netvalues import hexed, ip
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.net.netvalues import Fields

MOST_RULES: Final = 131_072
_HOOKS: Final = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_PROTOCOLS: Final = {
    0: "all",
    1: "icmp",
    6: "tcp",
    17: "udp",
    47: "gre",
    50: "esp",
    58: "icmpv6",
    132: "sctp",
}
_VERDICTS: Final = {-1: "DROP", -2: "ACCEPT", -4: "QUEUE", -5: "RETURN"}
_MATCH: Final = struct.Struct("=H29sB")  # struct xt_entry_match: size, name, revision
_INVERTED: Final = (
    "in_interface",
    "out_interface",
    "tos",
    "source",
    "destination",
    "fragment",
    "protocol",
)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields of an entry lie."""

    address: int
    interfaces: int
    protocol: int
    inverted: int
    offsets: int
    counters: int
    size: int


_LAYOUTS: Final = {
    "iptables": _Layout(4, 16, 80, 83, 88, 96, 112),
    "ip6tables": _Layout(16, 64, 128, 132, 140, 152, 168),
}


def table_records(pieces: list[bytes]) -> Iterator[Fields]:
    """Yield the records of the tables that `xtables.ask` gave, in its order."""
    tables: dict[bytes, list[bytes]] = {}
    for piece in pieces:
        head, _, part = piece.partition(b"\0")
        tables.setdefault(head, []).append(part)
    for head, parts in tables.items():
        family, _, name = head.decode("ascii", "replace").partition(" ")
        common: Fields = {"family": family, "table": percent_encode(name.encode())}
        for fields in _table(family, parts[0], b"".join(parts[1:])[40:]):
            yield {"kind": f"xtables_{fields.pop('record')}", **common, **fields}


def _table(family: str, info: bytes, blob: bytes) -> Iterator[Fields]:
    layout = _LAYOUTS.get(family)
    if layout is None or len(info) < 84:  # noqa: PLR2004 - struct ipt_getinfo
        yield {"record": "unparsed", "size": len(blob), "reason": "no form of this family is known"}
        return
    valid, *numbers = struct.unpack_from("=32x11I", info)
    starts = {numbers[n]: name for n, name in enumerate(_HOOKS) if valid >> n & 1}
    ends = {numbers[5 + n] for n in range(5) if valid >> n & 1}
    entries, whole = _entries(layout, blob)
    names = _chain_names(entries, starts)
    yield from _chains(layout, blob, entries, (names, ends))
    if not whole:
        yield {"record": "unparsed", "size": len(blob), "reason": "an entry does not fit the table"}


def _entries(layout: _Layout, blob: bytes) -> tuple[dict[int, tuple[int, bytes, int]], bool]:
    """Return (end, target name, offset of the target) by offset, and whether all of the blob made sense."""
    entries: dict[int, tuple[int, bytes, int]] = {}
    at = 0
    while at + layout.size <= len(blob) and len(entries) < MOST_RULES:
        target, after = struct.unpack_from("=HH", blob, at + layout.offsets)
        if not layout.size <= target <= after - _MATCH.size or at + after > len(blob):
            break
        name = _MATCH.unpack_from(blob, at + target)[1].split(b"\0")[0]
        if name == b"ERROR":  # its data is the name of the chain that begins behind it
            name += b" " + blob[at + target + 32 : at + after].split(b"\0")[0][:30]
        entries[at] = (at + after, name, at + target)
        at += after
    return entries, at == len(blob)


def _chain_names(
    entries: dict[int, tuple[int, bytes, int]], starts: dict[int, str]
) -> dict[int, str]:
    """Return chain names by the offset of their first rule."""
    names = dict(starts)
    for end, target, _ in entries.values():
        if target.startswith(b"ERROR ") and end in entries:
            names.setdefault(end, percent_encode(target[6:]))
    return names


def _chains(
    layout: _Layout, blob: bytes, entries: dict[int, tuple[int, bytes, int]], of: tuple[dict[int, str], set[int]]
) -> Iterator[Fields]:  # fmt: skip
    names, ends = of
    chain: str | None = None
    number = 0
    for at, (end, target, place) in entries.items():
        if at in names:
            chain, number = names[at], 0
            builtin = chain in _HOOKS
            if not builtin:
                yield {"record": "chain", "chain": chain, "policy": None}
        if target.startswith(b"ERROR "):
            continue
        verdict = _verdict(blob, end, target, place, names)
        if (
            verdict == "RETURN"
            and chain not in _HOOKS
            and entries.get(end, (0, b"ERROR "))[1][:6] == b"ERROR "
        ):
            continue  # the end of a chain of its own, which the kernel holds as a rule
        packets, size = struct.unpack_from("=QQ", blob, at + layout.counters)
        if at in ends and chain in _HOOKS:
            policy = {"policy": verdict, "packets": str(packets), "bytes": str(size)}
            yield {"record": "chain", "chain": chain, **policy}
            continue
        number += 1
        yield {
            "record": "rule",
            "chain": chain,
            "number": number,
            **_rule(layout, blob, at, place),
            "target": verdict,
            "target_data": hexed(blob[place + 32 : end]) if target else None,
            "packets": str(packets),
            "bytes": str(size),
        }


def _verdict(blob: bytes, end: int, target: bytes, place: int, names: dict[int, str]) -> str | None:
    if target:
        return percent_encode(target)
    if place + 36 > len(blob):
        return None
    code = struct.unpack_from("=i", blob, place + 32)[0]
    if code >= 0:
        return names.get(code) if code != end else None  # a rule without a target falls through
    return _VERDICTS.get(code, str(code))


def _rule(layout: _Layout, blob: bytes, at: int, place: int) -> Fields:
    wide = layout.address
    one, two, mask_one, mask_two = (blob[at + n * wide : at + (n + 1) * wide] for n in range(4))
    interfaces = at + layout.interfaces
    protocol = struct.unpack_from("=H", blob, at + layout.protocol)[0]
    inverted = blob[at + layout.inverted]
    return {
        "source": f"{ip(one)}/{_prefix(mask_one)}",
        "destination": f"{ip(two)}/{_prefix(mask_two)}",
        "in_interface": _interface(
            blob[interfaces : interfaces + 16], blob[interfaces + 32 : interfaces + 48]
        ),
        "out_interface": _interface(
            blob[interfaces + 16 : interfaces + 32], blob[interfaces + 48 : interfaces + 64]
        ),
        "protocol": _PROTOCOLS.get(protocol, str(protocol)),
        "inverted": [name for bit, name in enumerate(_INVERTED) if inverted >> bit & 1],
        "matches": list(_matches(blob, at + layout.size, place)),
    }


def _prefix(mask: bytes) -> str:
    bits = f"{int.from_bytes(mask, 'big'):0{len(mask) * 8}b}"
    ones = bits.rstrip("0")
    return str(len(ones)) if "0" not in ones else str(ip(mask))


def _interface(name: bytes, mask: bytes) -> str | None:
    """A mask that ends before the name's NUL stands for `+`, any ending."""
    plain = name.split(b"\0")[0]
    if not plain and not any(mask):
        return None
    if len(mask.rstrip(b"\0")) <= len(plain):
        return percent_encode(plain.removesuffix(b"+")) + "+"
    return percent_encode(plain)


def _matches(blob: bytes, at: int, end: int) -> Iterator[Fields]:
    while at + _MATCH.size <= end:
        size, name, revision = _MATCH.unpack_from(blob, at)
        if size < _MATCH.size or at + size > end:
            return
        data = blob[at + _MATCH.size : at + size]
        plain = name.split(b"\0")[0]
        yield {
            "name": percent_encode(plain),
            "revision": revision,
            **_ports(plain, data),
            "data": hexed(data),
        }
        at += size


def _ports(name: bytes, data: bytes) -> Fields:
    """What is often asked: ports of tcp and udp (struct xt_tcp, xt_udp), and a comment."""
    if name in {b"tcp", b"udp"} and len(data) >= 9:  # noqa: PLR2004
        low, high, to_low, to_high = struct.unpack_from("=4H", data)
        inverted = data[11] if name == b"tcp" and len(data) > 11 else data[8]  # noqa: PLR2004
        return {
            "source_ports": [low, high],
            "destination_ports": [to_low, to_high],
            "inverted": inverted,
        }
    if name == b"comment":
        return {"comment": percent_encode(data.split(b"\0")[0])}
    return {}
