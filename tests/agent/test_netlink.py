"""rtnetlink: replies made by hand, any bytes, and the kernel's own against `ip -json`."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.net import netasks, netrecords
from hozen_agent.net.netlink import attributes, messages
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable

BY_NAME = {one.name: one for one in netasks.INTERFACES}


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, payload: bytes, flags: int = 2) -> bytes:
    return (
        struct.pack("=IHHII", 16 + len(payload), kind, flags, 1, 0)
        + payload
        + bytes(-len(payload) % 4)
    )


@st.composite
def trees(draw: st.DrawFn) -> bytes:
    """Bytes, sometimes made of attributes within attributes, with any number in their head."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=120))
    fixed = draw(st.sampled_from([4, 8, 12, 16, 20, 168, 224]))
    leaf = st.builds(attribute, st.integers(1, 60), st.binary(max_size=40))
    nested = st.recursive(
        leaf,
        lambda inner: st.builds(
            lambda kind, parts: attribute(kind, b"".join(parts)),
            st.integers(1, 60),
            st.lists(inner, max_size=4),
        ),
        max_leaves=8,
    )
    return draw(st.binary(min_size=fixed, max_size=fixed)) + b"".join(
        draw(st.lists(nested, max_size=6))
    )


def test_a_multipath_route_keeps_every_hop() -> None:
    hops = b"".join(
        struct.pack("=HBBi", 16, 0, weight, 2) + attribute(5, bytes((192, 0, 2, last)))
        for weight, last in ((1, 3), (0, 4))
    )
    payload = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 252, 4, 0, 1, 0)
    payload += (
        attribute(1, bytes((203, 0, 113, 0)))
        + attribute(15, struct.pack("=I", 1077))
        + attribute(9, hops)
    )
    (row,) = netrecords.records(BY_NAME["route"], [message(24, payload) + message(3, bytes(4))])
    assert row["destination"] == "203.0.113.0/24"
    assert row["table"] == "1077"
    hops_back: Any = row["multipath"]
    assert [(h["gateway"], h["weight"]) for h in hops_back] == [("192.0.2.3", 2), ("192.0.2.4", 1)]


def test_an_ipv4_route_through_an_ipv6_gateway_has_its_gateway() -> None:
    payload = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 4, 0, 1, 0)
    payload += attribute(18, struct.pack("=H", 10) + bytes.fromhex("20010db8" + "0" * 22 + "01"))
    (row,) = netrecords.records(BY_NAME["route"], [message(24, payload)])
    assert row["gateway"] == "2001:db8::1"
    assert row["destination"] == "0.0.0.0/0"


def test_a_message_too_short_for_its_fixed_part_is_kept_as_it_is() -> None:
    (row,) = netrecords.records(BY_NAME["link"], [message(16, b"abc")])
    assert row["unparsed"] == "616263"


def test_an_attribute_that_does_not_fit_ends_the_list() -> None:
    raw = attribute(3, b"lo\0") + struct.pack("=HH", 500, 4) + b"xx"
    assert attributes(raw) == {3: b"lo\0"}
    assert attributes(struct.pack("=HH", 0, 1) * 4) == {}


@given(
    st.sampled_from(netasks.INTERFACES),
    st.lists(trees(), max_size=4),
    st.binary(max_size=40),
)
def test_any_bytes_of_the_kernel_give_records_that_can_be_written(
    one: netasks.Ask, payloads: list[bytes], rest: bytes
) -> None:
    raw = b"".join(message(max(one.reply, 16), payload) for payload in payloads) + rest
    learnt = netasks.Learnt()
    learnt.learn(one, raw)
    for question in netasks.INTERFACES:
        for kind, body in learnt.questions(question):
            assert kind >= 16
            assert len(body) < 4096
    for row in netrecords.records(one, [raw]):
        dump_line(row)


@given(st.binary(max_size=200))
def test_any_bytes_are_cut_into_messages_without_end_or_failure(raw: bytes) -> None:
    assert sum(16 + len(payload) for _, _, payload in messages(raw)) <= len(raw) + 3
    attributes(raw)


@pytest.fixture
def seen(isolated: Callable[..., str]) -> dict[str, list[dict[str, object]]]:
    """What we and `ip` say in one network namespace with addresses, tables, rules and neighbours."""
    out = isolated(
        """
for command in (
    "ip link set lo up", "ip tuntap add t0 mode tap", "ip link set t0 up", "ip addr add 192.0.2.1/24 dev t0",
    "ip addr add 2001:db8::1/64 dev t0 nodad", "ip route add 198.51.100.0/24 via 192.0.2.9 table 77",
    "ip route add blackhole 203.0.113.0/24", "ip rule add from 192.0.2.0/24 table 77 priority 500",
    "ip neigh add 192.0.2.5 lladdr 02:00:00:00:00:05 dev t0",
):
    done = subprocess.run(command.split(), capture_output=True, text=True)
    if done.returncode and "tuntap" in command:
        print("null")
        raise SystemExit
    assert not done.returncode, (command, done.stderr)
from hozen_agent.net import netasks, netlink, netrecords
def dump(one):
    return list(netlink.exchange(0, netlink.request(one.request, one.body, 1)))
plain = [one for one in netasks.INTERFACES if one.protocol == 0]
ours = {one.name: list(netrecords.records(one, dump(one))) for one in plain}
def ip(*words):
    return json.loads(subprocess.run(["ip", "-json", *words], capture_output=True, text=True, check=True).stdout)
theirs = {"ip link": ip("link"), "ip route": ip("route", "show", "table", "all"), "ip rule": ip("rule")}
print(json.dumps(ours | theirs))
"""
    )
    found = json.loads(out)
    if found is None:
        pytest.skip("this kernel has no tap device")
    return found  # type: ignore[no-any-return]


def test_the_kernel_says_what_ip_says(seen: dict[str, list[dict[str, object]]]) -> None:
    links = {row["name"]: row for row in seen["link"]}
    for theirs in seen["ip link"]:
        ours = links[theirs["ifname"]]
        assert (ours["index"], ours["mtu"]) == (theirs["ifindex"], theirs["mtu"])
        assert ours["address"] == theirs["address"]
    assert links["t0"]["driver_kind"] == "tun"
    addresses = {row["address"]: row for row in seen["address"]}
    assert (addresses["192.0.2.1"]["prefix"], addresses["192.0.2.1"]["label"]) == (24, "t0")
    assert addresses["2001:db8::1"]["scope"] == "global"
    routes = [(r["destination"], r["gateway"], r["table"], r["type"]) for r in seen["route"]]
    assert ("198.51.100.0/24", "192.0.2.9", "77", "unicast") in routes
    assert ("203.0.113.0/24", None, "main", "blackhole") in routes
    assert len([r for r in seen["route"] if r["family"] == "inet"]) >= len(
        [r for r in seen["ip route"] if ":" not in str(r["dst"])]
    )
    rules = [
        (r["priority"], r["source"], r["table"]) for r in seen["rule"] if r["family"] == "inet"
    ]
    assert (500, "192.0.2.0/24", "77") in rules
    assert len(rules) == len(seen["ip rule"])
    (neighbour,) = [r for r in seen["neighbour"] if r["address"] == "192.0.2.5"]
    assert neighbour["link_address"] == "02:00:00:00:00:05"
    assert neighbour["state"] == ["permanent"]
