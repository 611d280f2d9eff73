"""Socket tables: recorded texts, any bytes, and real sockets in a namespace of their own."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.net.socketrecords import socket_records
from hozen_agent.net.sockettables import parse_table
from hozen_agent.proc.sweep import NET_TABLES, Sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any as Shown  # conftest.Shown: tests are no package

LITTLE = pytest.mark.skipif(
    sys.byteorder != "little", reason="the texts are of a little-endian host"
)
TCP = (
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    b"   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100\n"
    b"   1: 0100007F:8AE2 0302A8C0:01BB 01 00000010:00000020 00:00000000 00000000  1000        0 4243 1 0 20\n"
)
TCP6 = (
    b"  sl  local_address                         remote_address                        st tx_queue rx_queue\n"
    b"   0: B80D0120000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 "
    b"00:00000000 00000000   100        0 77 1 0 100 0 0 10 0\n"
)
UNIX = (
    b"Num       RefCount Protocol Flags    Type St Inode Path\n"
    b"0000000000000000: 00000002 00000000 00010000 0001 01 31771 @abs@tra ct\xff\n"
    b"ffff888003e5c400: 00000003 00000000 00000000 0002 03 31772 /run/x y\n"
    b"0000000000000000: 00000003 00000000 00000000 0005 02 31773\n"
    b"forged\n"
)
PACKET = b"sk RefCnt Type Proto Iface R Rmem User Inode\n0000 3 3 0003 2 1 0 0 555\n"
NETLINK = (
    b"sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n0000 15 812 00000002 0 0 0 2 0 556\n"
)
EPS = (
    b" ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS\n 0 0 2 10 35 36412 0 557 10.0.0.1 10.0.1.1\n"
)
ASSOCS = (
    b" ASSOC SOCK STY SST ST HBKT ASSOC-ID TX_QUEUE RX_QUEUE UID INODE LPORT RPORT LADDRS <-> RADDRS HBINT INS OUTS\n"
    b" 0 0 2 1 3 9 12 0 0 33 558 2905 2906 *10.0.0.1 <-> *10.0.0.2 10.0.0.3 7500 10 10 10 0 0 0\n"
)


def rows(table: str, data: bytes) -> list[dict[str, Any]]:
    return list(parse_table(table, data))


@LITTLE
def test_tcp_lines_become_addresses_ports_and_state_names() -> None:
    listening, open_ = rows("tcp", TCP)
    assert listening["local"] == {"address": "127.0.0.1", "port": 22}
    assert listening["state"] == "LISTEN"
    assert open_["remote"] == {"address": "192.168.2.3", "port": 443}
    assert (open_["state"], open_["tx_queue"], open_["rx_queue"]) == ("ESTABLISHED", 16, 32)
    assert (open_["uid"], open_["inode"]) == (1000, "4243")


@LITTLE
def test_ipv6_words_are_put_in_order() -> None:
    (row,) = rows("tcp6", TCP6)
    assert row["local"] == {"address": "2001:db8::1", "port": 8080}
    assert row["remote"]["address"] == "::"


@LITTLE
def test_a_datagram_socket_is_not_called_closed() -> None:
    line = TCP.split(b"\n")[1].replace(b" 0A ", b" 07 ")
    (row,) = rows("udp", b"head\n" + line)
    assert row["state"] == "UNCONNECTED"


def test_unix_names_are_bytes_and_a_line_of_another_form_is_kept() -> None:
    abstract, path, connecting, forged = rows("unix", UNIX)
    assert (abstract["name"], abstract["abstract"]) == ("@abs@tra%20ct%FF", True)
    assert (abstract["state"], abstract["type"]) == ("LISTEN", "stream")
    assert (path["name"], path["abstract"], path["state"]) == ("/run/x%20y", False, "CONNECTED")
    assert (connecting["name"], connecting["state"]) == (None, "CONNECTING")
    assert forged["unparsed"] == "forged"


def test_packet_netlink_and_sctp_lines() -> None:
    assert rows("packet", PACKET) == [
        {"proto": "packet", "type": "raw", "protocol": "0x0003", "interface": 2, "uid": 0, "inode": "555"}
    ]  # fmt: skip
    (row,) = rows("netlink", NETLINK)
    assert (row["protocol"], row["port_id"], row["groups"], row["inode"]) == (15, 812, "0x2", "556")
    (row,) = rows("sctp/eps", EPS)
    assert row["local"] == {"addresses": ["10.0.0.1", "10.0.1.1"], "port": 36412}
    assert (row["state"], row["inode"]) == ("LISTEN", "557")
    (row,) = rows("sctp/assocs", ASSOCS)
    assert row["local"] == {"addresses": ["10.0.0.1"], "port": 2905}
    assert row["remote"]["addresses"][:2] == ["10.0.0.2", "10.0.0.3"]
    assert row["uid"] == 33


def test_every_table_of_the_sweep_has_a_parser() -> None:
    for table in NET_TABLES:
        assert rows(table.removeprefix(b"net/").decode(), b"head\nnonsense\n")[0]["unparsed"]


@given(st.sampled_from(NET_TABLES), st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_give_records_that_can_be_written(table: bytes, lines: list[bytes]) -> None:
    data = b"head\n" + b"\n".join(lines)
    name = table.removeprefix(b"net/")
    entries = [(b"proc/5/net/" + name, "file", data, 0), (b"proc/5/ns/net", "link", b"net:[9]", 0)]
    swept = Sweep(entries, started=(1, 1), ended=(2, 2), processes=1, complete=True)
    wanted = [line for line in data.split(b"\n")[1:] if line.strip()]
    found = [json.loads(line) for line in socket_records(swept)]
    assert len(found) == len(wanted)
    assert all(row["netns"] == "9" for row in found)


def test_real_sockets_of_two_namespaces_have_their_processes(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        """
import ctypes
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
s = socket.socket(); s.bind(("127.0.0.1", 4444)); s.listen()
c = socket.create_connection(("127.0.0.1", 4444))
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.bind(("::1", 5353))
x = socket.socket(socket.AF_UNIX); x.bind(b"\\0abs\\0tract"); x.listen()
p = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300)
ready_r, ready_w = os.pipe()
def elsewhere():
    ctypes.CDLL(None).unshare(0x40000000)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    t = socket.socket(); t.bind(("127.0.0.1", 7777)); t.listen()
    os.write(ready_w, b"x")
    signal.pause()
far = child(elsewhere)
os.read(ready_r, 1)
ctx = context()
from hozen_agent.artifacts.sockets import collect
show(collect(ctx))
"""
    )
    raw, spaces, parsed = attempts
    assert sum(row["processes"] for row in spaces.records()) == 2  # ours and the child
    assert parsed.derived_from == ["sweep", "sockets-raw"]
    found = parsed.records()
    listeners = {
        r["local"]["port"]: r for r in found if r["proto"] == "tcp" and r["state"] == "LISTEN"
    }
    assert set(listeners) == {4444, 7777}
    assert listeners[4444]["netns"] != listeners[7777]["netns"]
    assert listeners[4444]["holders"] != listeners[7777]["holders"] != []
    (udp,) = [r for r in found if r["proto"] == "udp6"]
    assert udp["local"] == {"address": "::1", "port": 5353}
    (unix,) = [r for r in found if r["proto"] == "unix" and r["name"]]
    assert (unix["name"], unix["abstract"], len(unix["holders"])) == (
        "@abs@tract",
        True,
        2,
    )  # and the child
    (packet,) = [r for r in found if r["proto"] == "packet"]
    assert packet["holders"]
    assert all(h["start_ticks"].isdigit() for r in found for h in r["holders"])
    with tarfile.open(fileobj=io.BytesIO(raw.data or b"")) as tar:
        names = tar.getnames()
    assert sum(name.endswith("/net/tcp") for name in names) == 2


def test_without_any_table_the_attempt_is_denied_with_a_reason() -> None:
    from hozen_agent.artifacts.sockets import collect

    class Ctx:
        sweep = Sweep([], started=(1, 1), ended=(2, 2), processes=0, complete=True)

    (attempt,) = collect(Ctx())  # type: ignore[arg-type]
    assert attempt.outcome == "denied"
    assert attempt.reason
