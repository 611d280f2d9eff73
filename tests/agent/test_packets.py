"""A window on packets: what is kept of each, what is written, what is counted, and where it is refused."""

from __future__ import annotations

import io
import json
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.net import packetfile, pcapng
from hozen_agent.net.packetring import Seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_WATCH = """
import socket, threading
from hozen_agent.net.packetwindow import Limits, PacketWindow

def up():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

def watch(limits, act, *, hold=0.0):
    window = PacketWindow.start(limits, proc=proc())
    window.open(["case C-1", "日本語"])
    time.sleep(0.2)
    act()
    time.sleep(hold)
    data = b"".join(window.read())
    window.stop()
    return window.ending, data

def say(ending, data):
    print(json.dumps(dict(ending={name: getattr(ending, name) for name in ending.__slots__},
        data=base64.b64encode(data).decode())))

def udp(count=1, size=100, port=9):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(count):
        out.sendto(b"S" * size, ("127.0.0.1", port))
"""


@pytest.fixture
def watched(isolated: Callable[..., str]) -> Callable[[str], tuple[dict[str, Any], bytes]]:
    """Run a program that says how a window ended; return that and the file."""

    def run(program: str) -> tuple[dict[str, Any], bytes]:
        import base64

        said = json.loads(isolated(_WATCH + program).splitlines()[-1])
        return said["ending"], base64.b64decode(said["data"])

    return run


def blocks(data: bytes) -> list[tuple[int, bytes, dict[int, list[bytes]]]]:
    """Read a pcapng file by its description alone: (type, fixed part, options)."""
    fixed = {0x0A0D0D0A: 16, 1: 8, 5: 12, 6: 20}
    found = []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0
        assert data[length - 4 : length] == data[4:8]
        body = data[8 : length - 4]
        size = fixed[kind]
        if kind == 6:
            kept = struct.unpack_from("<I", body, 12)[0]
            size += kept + -kept % 4
        options: dict[int, list[bytes]] = {}
        rest = body[size:]
        while True:
            code, count = struct.unpack_from("<HH", rest)
            if code == 0:
                assert rest[4:] == b""
                break
            options.setdefault(code, []).append(rest[4 : 4 + count])
            rest = rest[4 + count + -count % 4 :]
        found.append((kind, body[:size], options))
        data = data[length:]
    return found


def packets(data: bytes) -> list[tuple[bytes, int]]:
    """Return kept bytes and length on the wire of each packet."""
    found = []
    for kind, body, _ in blocks(data):
        if kind == 6:
            kept, original = struct.unpack_from("<II", body, 12)
            found.append((body[20 : 20 + kept], original))
    return found


def test_headers_are_kept_and_payload_never_leaves_the_kernel(
    watched: Callable[[str], tuple[dict[str, Any], bytes]],
) -> None:
    ending, data = watched("""
up()
def act():
    udp(5)
    server = socket.create_server(("127.0.0.1", 0)); client = socket.create_connection(server.getsockname())
    other, _ = server.accept(); client.sendall(b"S" * 500); other.recv(500)
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); six.sendto(b"S" * 64, ("::1", 9))
say(*watch(Limits(seconds=1), act))
""")
    assert (ending["outcome"], ending["lost"]) == ("captured", 0)
    assert b"SSSS" not in data
    kept = packets(data)
    assert ending["written"] == ending["received"] == len(kept)
    assert [size for size in kept if size[1] == 14 + 20 + 8 + 100 and len(size[0]) == 42] != []
    assert any(original > 500 and len(head) == 14 + 20 + 32 for head, original in kept)
    assert any(len(head) == 14 + 40 + 8 and original == 62 + 64 for head, original in kept)


def test_a_datagram_over_loopback_is_there_once_and_whole_when_asked(
    watched: Callable[[str], tuple[dict[str, Any], bytes]],
) -> None:
    ending, data = watched(
        "up(); say(*watch(Limits(seconds=1, payload=True), lambda: udp(3, 100, 4242)))"
    )
    datagrams = [head for head, _ in packets(data) if head[36:38] == struct.pack("!H", 4242)]
    assert [head[42:] for head in datagrams] == [b"S" * 100] * 3
    assert ending["interfaces"][0]["name"] == "lo"


def test_the_file_says_what_it_is(watched: Callable[[str], tuple[dict[str, Any], bytes]]) -> None:
    ending, data = watched("up(); say(*watch(Limits(seconds=1), udp))")
    section, interface, *_, statistics = blocks(data)
    assert section[0] == 0x0A0D0D0A
    assert section[2][1] == [b"case C-1", "日本語".encode()]
    assert (interface[0], interface[2][2], interface[2][9]) == (1, [b"lo"], [b"\x09"])
    assert b"promiscuous mode was not set" in interface[2][11][0]
    assert b"payload is cut off" in interface[2][11][0]
    assert statistics[0] == 5
    assert struct.unpack("<Q", statistics[2][4][0]) == (ending["received"],)
    assert struct.unpack("<Q", statistics[2][7][0]) == (0,)


def test_promiscuous_mode_is_never_set(isolated: Callable[..., str]) -> None:
    shown = isolated(
        _WATCH
        + """
up()
flags = lambda: open("/sys/class/net/lo/flags").read()
subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
before = flags(); seen = []
watch(Limits(seconds=0.5), lambda: seen.append(flags()))
print(before == seen[0] == flags(), int(before, 16) & 0x100)
"""
    )
    assert shown.split() == ["True", "0"]


def test_packets_without_room_are_counted_and_the_window_is_truncated(
    watched: Callable[[str], tuple[dict[str, Any], bytes]],
) -> None:
    ending, data = watched("""
up()
from hozen_agent.net import packetwindow
packetwindow.HELD = 256 << 10
say(*watch(Limits(seconds=3, payload=True), lambda: udp(16_000, 1400), hold=1.0))
""")
    assert ending["outcome"] == "truncated"
    assert ending["lost"] > 0
    assert f"{ending['lost']} of {ending['received']} packets were lost" in ending["reason"]
    assert len(packets(data)) == ending["written"] == ending["received"] - ending["lost"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [("packets=7", "limit of 7 packets"), ("octets=70_000", "limit of 70000 bytes")],
)
def test_a_limit_closes_the_window_with_a_whole_file(
    watched: Callable[[str], tuple[dict[str, Any], bytes]], limits: str, reason: str
) -> None:
    ending, data = watched(
        f"up(); say(*watch(Limits(seconds=20, {limits}), lambda: udp(2000, 100)))"
    )
    assert ending["outcome"] == "truncated"
    assert reason in ending["reason"]
    assert len(packets(data)) == ending["written"] > 0
    assert blocks(data)[-1][0] == 5
    assert ending["ended"] - ending["started"] < 10e9


def test_without_cap_net_raw_it_is_denied_with_the_reason(
    watched: Callable[[str], tuple[dict[str, Any], bytes]],
) -> None:
    ending, data = watched("""
import ctypes
ctypes.CDLL(None).prctl(24, 13, 0, 0, 0)  # CAP_NET_RAW leaves the bounding set
if len(sys.argv) < 2:
    os.execv(sys.executable, [sys.executable, "-I", __file__, "again"])
say(*watch(Limits(seconds=1), lambda: None))
""")
    assert ending["outcome"] == "denied"
    assert "CAP_NET_RAW" in ending["reason"]
    assert data == b""


def test_a_kernel_without_packet_sockets_is_not_asked_for_one(
    watched: Callable[[str], tuple[dict[str, Any], bytes]],
) -> None:
    ending, _ = watched("""
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/proc/1/net"], check=False)
def proc():
    os.makedirs("/tmp/hozen-empty", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp/hozen-empty"], check=True)
    return os.open("/tmp/hozen-empty", os.O_RDONLY)
say(*watch(Limits(seconds=1), lambda: None))
""")
    assert ending["outcome"] == "missing"
    assert "would load a module" in ending["reason"]


def test_the_artifact_gives_the_file_and_a_record_of_it(collected: Callable[..., Any]) -> None:
    raw, record = collected(
        _WATCH
        + """
import dataclasses
from hozen_agent.artifacts.packets import collect
up()
ctx = context()
ctx.packets = PacketWindow.start(Limits(seconds=0.5), proc=ctx.proc)
ctx.packets.open(["case C-1"])
time.sleep(0.2)
udp(4)
show(collect(ctx))
ctx.packets.stop()
"""
    )
    assert (raw.ext, raw.tag, record.derived_from) == ("pcapng", "packets-raw", ["packets-raw"])
    about = record.records()[0]
    assert about["promiscuous"] is False
    assert about["written"] == str(len(packets(raw.data or b"")))


def test_a_capture_that_ends_closes_the_window(collected: Callable[..., Any]) -> None:
    def attempt() -> Any:
        return collected(
            _WATCH
            + """
from hozen_agent.artifacts.packets import collect
from hozen_agent.items import AttemptFailed
ctx = context()
ctx.stopped = lambda: True
ctx.packets = PacketWindow.start(Limits(seconds=60), proc=ctx.proc)
ctx.packets.open([])
time.sleep(0.2)
began = time.monotonic()
try:
    for attempt in collect(ctx):
        for piece in attempt.data: pass
except AttemptFailed as failed:
    ended = failed
assert time.monotonic() - began < 5 and ended.outcome == "truncated" and "the capture ended it" in str(ended), ended
ctx.packets.stop()
"""
        )

    assert attempt() == []


@given(
    st.lists(
        st.tuples(st.binary(max_size=90), st.integers(0, 70000), st.integers(0, (1 << 64) - 1))
    ),
    st.text(),
)
def test_any_packets_and_comments_make_a_file_that_reads_back(
    given_packets: list[tuple[bytes, int, int]], comment: str
) -> None:
    data = pcapng.section(comments=[comment], hardware="h", system="s", application="a")
    data += pcapng.interface(pcapng.Interface(name=b"eth\xff", link=1, mac=bytes(6), rule="r"))
    for kept, original, when in given_packets:
        data += pcapng.packet(0, when=when, data=kept, original=original)
    data += pcapng.statistics(0, pcapng.Statistics(started=1, ended=2, received=3, lost=0))
    assert packets(data) == [(kept, original) for kept, original, _ in given_packets]
    scapy = pytest.importorskip("scapy.utils")
    read = list(scapy.RawPcapNgReader(io.BytesIO(data)))
    assert [bytes(kept) for kept, _ in read] == [kept for kept, _, _ in given_packets]


def _seen(data: bytes, *, hardware: int = 1, tag: bytes = b"", link: int = 14) -> Seen:
    return Seen(5, 1, hardware, 0, 0x0800, memoryview(data), link, len(data), tag)


def test_a_tag_that_the_device_took_off_is_put_back() -> None:
    file = packetfile.PacketFile(payload=True)
    data = file.packet(_seen(b"A" * 12 + b"\x08\x00" + b"x" * 20, tag=b"\x81\x00\x00\x07"))
    ((kept, original),) = packets(data)
    assert kept == b"A" * 12 + b"\x81\x00\x00\x07\x08\x00" + b"x" * 20
    assert original == 38


def test_an_unknown_kind_of_link_is_cooked() -> None:
    file = packetfile.PacketFile(payload=True)
    data = file.packet(_seen(b"HEADER" + b"x" * 20, hardware=32, link=6))
    assert struct.unpack_from("<H", blocks(data)[0][1])[0] == pcapng.LINK_SLL
    ((kept, original),) = packets(data)
    assert kept[16:] == b"x" * 20
    assert (kept[2:4], kept[14:16], original) == (b"\0\x20", b"\x08\0", 36)


@pytest.mark.slow
def test_fifty_thousand_packets_a_second_are_all_there(
    watched: Callable[[str], tuple[dict[str, Any], bytes]],
) -> None:
    ending, data = watched("""
up()
def act():
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sink.bind(("127.0.0.1", 0))
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); out.connect(sink.getsockname())
    began, sent = time.monotonic(), 0
    while sent < 100_000:
        while sent < min(100_000, (time.monotonic() - began) * 50_000):
            out.send(b"S" * 400); sent += 1
        time.sleep(0.0005)
    assert time.monotonic() - began < 3, "the sender was too slow"
say(*watch(Limits(seconds=4), act))
""")
    assert (ending["outcome"], ending["lost"]) == ("captured", 0)
    assert ending["written"] >= 100_000
    assert len(packets(data)) == ending["written"]


@pytest.mark.slow
@pytest.mark.needs("tshark")
def test_a_stock_tool_reads_the_file(
    watched: Callable[[str], tuple[dict[str, Any], bytes]], tmp_path: Path
) -> None:
    ending, data = watched("up(); say(*watch(Limits(seconds=1), lambda: udp(5, 100, 4242)))")
    file = tmp_path / "packets.pcapng"
    file.write_bytes(data)
    fields = ["-T", "fields", "-e", "frame.interface_name", "-e", "frame.len"]
    command = ["tshark", "-r", str(file), *fields, "udp.dstport == 4242"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert shown.splitlines() == ["lo\t142"] * 5
    assert ending["lost"] == 0
