"""Flows of a packet file: ends, directions, times, flags; foreign bytes end in an error of ours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_agent.net import pcapng
from hozen_hashes.errors import FormatError

layers = pytest.importorskip("scapy.layers.all")

from hozen_collector.flows import Flows, read_flows  # noqa: E402 - only where scapy is

START = 1_790_000_000_123_456_789


def file_of(*frames: tuple[object, int], link: int = pcapng.LINK_ETHERNET) -> bytes:
    data = pcapng.section(hardware="h", system="s", application="a")
    data += pcapng.interface(pcapng.Interface(name=b"eth0", link=link))
    for frame, after in frames:
        raw = bytes(frame)  # type: ignore[call-overload]
        data += pcapng.packet(0, when=START + after, data=raw, original=len(raw))
    return data


def flows_of(data: bytes, *, step: int = 1000) -> Flows:
    return read_flows(iter([data[at : at + step] for at in range(0, len(data), step)]))


def tcp(source: str, destination: str, ports: tuple[int, int], flags: str) -> object:
    return (
        layers.Ether()
        / layers.IP(src=source, dst=destination)
        / layers.TCP(sport=ports[0], dport=ports[1], flags=flags)
    )


def test_both_directions_are_one_flow_with_times_counts_and_flags() -> None:
    found = flows_of(
        file_of(
            (tcp("192.0.2.1", "198.51.100.7", (50000, 443), "S"), 0),
            (tcp("198.51.100.7", "192.0.2.1", (443, 50000), "SA"), 1_000),
            (tcp("192.0.2.1", "198.51.100.7", (50000, 443), "A"), 2_000),
        )
    )
    (flow,) = found.flows
    assert flow.as_json() == {
        "interface": "eth0",
        "protocol": "tcp",
        "source": "192.0.2.1",
        "source_port": 50000,
        "destination": "198.51.100.7",
        "destination_port": 443,
        "first": "2026-09-21T14:13:20.123456789Z",
        "last": "2026-09-21T14:13:20.123458789Z",
        "packets_sent": "2",
        "bytes_sent": "108",
        "packets_received": "1",
        "bytes_received": "54",
        "tcp_flags_sent": "SA",
        "tcp_flags_received": "SA",
    }
    assert (found.packets, found.others, found.problem) == (3, {}, "")


def test_packets_without_ip_are_counted_by_name() -> None:
    found = flows_of(
        file_of((layers.Ether() / layers.ARP(), 0), (layers.Ether() / layers.ARP(), 1))
    )
    assert found.flows == []
    assert sum(found.others.values()) == 2


def test_a_device_without_link_header_gives_flows_too() -> None:
    packet = layers.IPv6(src="2001:db8::1", dst="2001:db8::2") / layers.UDP(sport=53, dport=4000)
    (flow,) = flows_of(file_of((packet, 0), link=pcapng.LINK_RAW)).flows
    assert (flow.protocol, flow.source, flow.source_port) == ("udp", "2001:db8::1", 53)


def test_a_file_cut_in_a_packet_gives_what_came_before() -> None:
    data = file_of(*((tcp("192.0.2.1", "192.0.2.2", (1, n), "S"), n) for n in range(1, 6)))
    found = flows_of(data[:-30])
    assert 3 <= len(found.flows) <= 5


def test_something_else_is_no_packet_file() -> None:
    with pytest.raises(FormatError, match="no pcapng file"):
        flows_of(b"PK\x03\x04" + bytes(100))


@settings(max_examples=25)  # scapy takes its time
@given(st.binary(max_size=300), st.integers(0, 400))
def test_foreign_bytes_never_raise_anything_else(junk: bytes, at: int) -> None:
    data = file_of((tcp("192.0.2.1", "192.0.2.2", (1, 2), "S"), 0))
    try:
        flows_of(data[:at] + junk + data[at + len(junk) :])
    except FormatError:
        return
