"""nf_tables records as text to read, in the manner of `nft list ruleset`; evidence are the dialogue and the records.

What is not known is shown as `[ name field=value … ]`, so that no part of a rule is dropped in silence.
"""

from __future__ import annotations

import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Record = Mapping[str, Any]

_META: Final = (
    "length", "protocol", "priority", "mark", "iif", "oif", "iifname", "oifname", "iiftype", "oiftype", "skuid",
    "skgid", "nftrace", "rtclassid", "secmark", "nfproto", "l4proto", "ibrname", "obrname", "pkttype", "cpu",
    "iifgroup", "oifgroup", "cgroup", "random",
)  # fmt: skip
_PLAIN_META: Final = frozenset({"iif", "oif", "iifname", "oifname", "skuid", "skgid"})
_CT: Final = (
    "state", "direction", "status", "mark", "secmark", "expiration", "helper", "l3proto", "saddr", "daddr", "protocol",
    "proto-src", "proto-dst", "label", "packets", "bytes", "avgpkt", "zone", "eventmask",
)  # fmt: skip
_CT_STATES: Final = {1: "invalid", 2: "established", 4: "related", 8: "new", 64: "untracked"}
_OPERATORS: Final = ("", "!= ", "< ", "<= ", "> ", ">= ")
_L4: Final = {
    1: "icmp",
    6: "tcp",
    17: "udp",
    33: "dccp",
    50: "esp",
    51: "ah",
    58: "ipv6-icmp",
    132: "sctp",
}
_NETWORK: Final = {
    ("ip", 12, 4): "ip saddr", ("ip", 16, 4): "ip daddr", ("ip", 9, 1): "ip protocol", ("ip", 8, 1): "ip ttl",
    ("ip6", 8, 16): "ip6 saddr", ("ip6", 24, 16): "ip6 daddr", ("ip6", 6, 1): "ip6 nexthdr",
}  # fmt: skip
_WORDS: Final = {
    "meta l4proto": _L4, "ip protocol": _L4, "ip6 nexthdr": _L4, "meta nfproto": {2: "ipv4", 10: "ipv6"},
}  # fmt: skip
_UNITS: Final = {1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}


def rule_set(found: Mapping[str, Sequence[Record]]) -> Iterator[bytes]:
    """Yield the text of all tables, from records by the name of their question; readable ASCII, LF."""
    for table in found["nft_table"]:
        key = table.get("family"), table.get("name")
        yield f"table {key[0]} {key[1]} {{ # handle {table.get('handle')}\n".encode()
        for one in _of(found, "nft_set", key):
            yield _set(one, found["nft_element"])
        for chain in _of(found, "nft_chain", key):
            yield _chain(
                chain,
                [r for r in _of(found, "nft_rule", key) if r.get("chain") == chain.get("name")],
            )
        yield b"}\n"


def _of(
    found: Mapping[str, Sequence[Record]], kind: str, key: tuple[object, object]
) -> list[Record]:
    return [one for one in found[kind] if (one.get("family"), one.get("table")) == key]


def _set(one: Record, elements: Sequence[Record]) -> bytes:
    same = [e for e in elements if all(e.get(k) == one.get(k) for k in ("family", "table"))]
    mine = [x for e in same if e.get("set") == one.get("name") for x in e["elements"]]
    shown = [_element(x, one.get("key_type")) for x in mine]
    head = f"\tset {one.get('name')} {{ # handle {one.get('handle')}\n"
    return (
        head + (f"\t\telements = {{ {', '.join(shown)} }}\n" if shown else "") + "\t}\n"
    ).encode()


def _element(one: Record, kind: object) -> str:
    key = _typed(one.get("key"), kind) if "key" in one else "*"
    end = f"-{_typed(one['key_end'], kind)}" if "key_end" in one else ""
    last = " (interval end)" if (one.get("flags") or 0) & 1 else ""
    return key + end + last + (f" : {_data(one['data'])}" if "data" in one else "")


def _typed(value: object, kind: object) -> str:
    """The types are nft's own numbers: 7 and 8 addresses, 12 protocol, 13 service (libnftables datatype.h)."""
    if isinstance(value, str) and kind in {7, 8}:
        return _address(value)
    if isinstance(value, str) and kind in {12, 13} and value:
        number = int(value, 16)
        return _L4.get(number, str(number)) if kind == 12 else str(int(value[:4], 16))  # noqa: PLR2004
    return _data(value)


def _data(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(str(part) for part in (value.get("verdict"), value.get("chain")) if part)
    return f"0x{value}" if isinstance(value, str) else str(value)


def _address(value: str) -> str:
    raw = bytes.fromhex(value)
    return str(ip_address(raw)) if len(raw) in {4, 16} else f"0x{value}"


def _chain(chain: Record, rules: Sequence[Record]) -> bytes:
    lines = [f"\tchain {chain.get('name')} {{ # handle {chain.get('handle')}"]
    hook = chain.get("hook")
    if hook:
        devices = "".join(f" device {name}" for name in hook["devices"])
        lines.append(
            f"\t\ttype {chain.get('type')} hook {hook['hook']}{devices} priority {hook['priority']}; "
            f"policy {chain.get('policy')};"
        )
    for rule in rules:
        comment = f' comment "{rule["comment"]}"' if rule.get("comment") else ""
        text = rule_text(str(rule.get("family")), rule["expressions"])
        lines.append(f"\t\t{text}{comment} # handle {rule.get('handle')}")
    return ("\n".join(lines) + "\n\t}\n").encode()


def rule_text(family: str, expressions: Sequence[Record]) -> str:
    """Return one rule in words; the registers between its expressions are followed."""
    reading = _Reading(family)
    for one in expressions:
        reading.take(one)
    return " ".join(reading.words)


class _Reading:
    """What the registers hold while the expressions are read in order."""

    def __init__(self, family: str) -> None:
        self.words: list[str] = []
        self._registers: dict[object, str] = {}
        self._values: dict[object, str] = {}
        self._transport = "th"
        self._network = family if family in {"ip", "ip6"} else ""

    def take(self, one: Record) -> None:
        handler = getattr(self, f"_{one['name']}", None) if one["name"] in _HANDLED else None
        try:
            word = handler(one) if handler is not None else _unknown(one)
        except (KeyError, ValueError, TypeError, IndexError):
            word = _unknown(one)  # a field is missing, or of another form
        if word:
            self.words.append(word)

    def _payload(self, one: Record) -> str:
        if "dreg" not in one:
            return _unknown(one)
        base, offset, length = one["base"], one["offset"], one["len"]
        name = f"@{('ll', 'nh', 'th')[base]},{offset * 8},{length * 8}"
        if base == 1:
            family = self._network or ("ip" if length == 4 else "ip6")  # noqa: PLR2004
            name = _NETWORK.get((family, offset, length), name)
            whole = 16 if self._network == "ip6" else 4
            start = _NETWORK.get((self._network, offset, whole), "")
            if length < whole and start.endswith(
                "addr"
            ):  # a prefix of whole bytes is loaded as those bytes
                name = f"{start} & 0x{'ff' * length:0<{whole * 2}}"
        elif base == 2 and length == 2 and offset in {0, 2}:  # noqa: PLR2004
            name = f"{self._transport} {'dport' if offset else 'sport'}"
        self._registers[one["dreg"]] = name
        return ""

    def _meta(self, one: Record) -> str:
        key = _META[one["key"]] if one["key"] < len(_META) else str(one["key"])
        name = key if key in _PLAIN_META else f"meta {key}"
        if "dreg" in one:
            self._registers[one["dreg"]] = name
            return ""
        return f"{name} set {self._values.get(one['sreg'], '?')}"

    def _ct(self, one: Record) -> str:
        name = f"ct {_CT[one['key']] if one['key'] < len(_CT) else one['key']}"
        if "dreg" in one:
            self._registers[one["dreg"]] = name
            return ""
        return f"{name} set {self._values.get(one['sreg'], '?')}"

    def _bitwise(self, one: Record) -> str:
        source = self._registers.get(one["sreg"], "?")
        self._registers[one["dreg"]] = f"{source} & 0x{one['mask']}"
        return ""

    def _cmp(self, one: Record) -> str:
        left, value = self._registers.get(one["sreg"], "?"), one["data"]
        operator = _OPERATORS[one["op"]]
        name, masked, mask = left.partition(" & 0x")
        if masked and name.endswith("addr") and isinstance(value, str):
            value = value.ljust(len(mask), "0")
        if masked and name == "ct state" and one["op"] == 1 and not int(value, 16):
            bits = int.from_bytes(bytes.fromhex(mask), sys.byteorder)
            return "ct state " + ",".join(word for bit, word in _CT_STATES.items() if bits & bit)
        if masked and name.endswith("addr"):
            ones = f"{int(mask, 16):b}".rstrip("0")
            if "0" not in ones:
                return f"{name} {operator}{_address(value)}/{len(ones)}"
        if left == "meta l4proto" and not operator:
            self._transport = _L4.get(int(value, 16), "th")
        if left == "meta nfproto" and not operator:
            self._network = {2: "ip", 10: "ip6"}.get(int(value, 16), "")
        return f"{left} {operator}{_compared(left, value)}"

    def _lookup(self, one: Record) -> str:
        inverted = "!= " if (one.get("flags") or 0) & 1 else ""
        word = f"{self._registers.get(one['sreg'], '?')} {inverted}@{one['set']}"
        return f"{word} vmap" if one.get("dreg") == 0 else word

    def _immediate(self, one: Record) -> str:
        if one["dreg"] == 0:
            return _data(one["data"])
        self._values[one["dreg"]] = str(one["data"])
        return ""

    def _nat(self, one: Record) -> str:
        address, port = (
            self._values.get(one.get("address_min")),
            self._values.get(one.get("port_min")),
        )
        where = (_address(address) if address else "") + (f":{int(port, 16)}" if port else "")
        return f"{'dnat' if one['type'] else 'snat'} to {where or '?'}"

    def _counter(self, one: Record) -> str:
        return f"counter packets {one['packets']} bytes {one['bytes']}"

    def _limit(self, one: Record) -> str:
        over = "over " if (one.get("flags") or 0) & 1 else ""
        unit = _UNITS.get(int(one["unit"]), f"{one['unit']} s")
        return f"limit rate {over}{one['rate']}/{unit} burst {one['burst']}"

    def _log(self, one: Record) -> str:
        parts = [f'prefix "{one["prefix"]}"'] if "prefix" in one else []
        parts += [f"{key} {one[key]}" for key in ("group", "level") if key in one]
        return " ".join(["log", *parts])

    def _masq(self, _one: Record) -> str:
        return "masquerade"

    def _reject(self, one: Record) -> str:
        return (
            "reject with tcp reset"
            if one["type"] == 1
            else f"reject type {one['type']} code {one.get('code')}"
        )

    def _notrack(self, _one: Record) -> str:
        return "notrack"

    def _redir(self, one: Record) -> str:
        port = self._values.get(one.get("port_min"))
        return f"redirect to :{int(port, 16)}" if port else "redirect"


_HANDLED: Final = frozenset(
    [
        "payload",
        "meta",
        "ct",
        "bitwise",
        "cmp",
        "lookup",
        "immediate",
        "nat",
        "counter",
        "limit",
        "log",
        "masq",
        "reject",
        "notrack",
        "redir",
    ]
)


def _compared(left: str, value: object) -> str:
    if not isinstance(value, str):
        return _data(value)
    raw = bytes.fromhex(value)
    if left.endswith("ifname"):
        return '"' + "".join(map(_letter, raw.rstrip(b"\0"))) + '"'
    if left.endswith("addr"):
        return _address(value)
    words = _WORDS.get(left)
    if words is not None:
        return words.get(int(value, 16), str(int(value, 16)))
    if left.startswith(("meta ", "iif", "oif", "sk", "ct ")):
        return str(int.from_bytes(raw, sys.byteorder))
    return str(int(value, 16)) if len(raw) <= 4 else f"0x{value}"  # noqa: PLR2004


def _letter(byte: int) -> str:
    return chr(byte) if 0x21 <= byte < 0x7F and byte not in b'%"' else f"%{byte:02X}"  # noqa: PLR2004


def _unknown(one: Record) -> str:
    fields = " ".join(f"{key}={_data(value)}" for key, value in one.items() if key != "name")
    return f"[ {one['name']} {fields} ]"
