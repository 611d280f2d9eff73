"""No question loads a module; no answer brings a key; a namespace is entered only when it is the one meant."""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import POOLED

from hozen_agent.net import netasks, netscrub
from hozen_agent.net.netguard import Guard
from hozen_agent.net.netlink import HEADER, messages
from hozen_agent.net.netspaces import pinned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KERNEL_SOCKETS = b"sk Eth Pid Groups\n" + b"".join(
    b"0000 %d %d 0 0 0 0 2 0 1\n" % pair for pair in ((0, 0), (12, 0), (6, 77))
)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Callable[..., Guard]]:
    """A kernel of our making: its procfs and sysfs."""
    opened = []

    def make(
        *,
        modules: bytes | None,
        helper: bytes = b"/sbin/modprobe\n",
        disabled: bytes = b"0\n",
        builtin: bytes = b"",
    ) -> Guard:
        files = {
            "proc/self/net/netlink": KERNEL_SOCKETS,
            "root/sys/module/ip_set/parameters/max_sets": b"256\n",
            "root/sys/module/half/initstate": b"coming\n",
            "root/lib/modules/6.1/modules.builtin": builtin,
        }
        if modules is not None:
            files |= {
                "proc/modules": modules,
                "proc/sys/kernel/modprobe": helper,
                "proc/sys/kernel/modules_disabled": disabled,
                "proc/sys/kernel/osrelease": b"6.1\n",
            }
        for name, data in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)
        pair = [os.open(tmp_path / name, os.O_PATH | os.O_DIRECTORY) for name in ("proc", "root")]
        opened.extend(pair)
        return Guard(*pair)

    yield make
    for fd in opened:
        os.close(fd)


LIVE = b"nf_tables 1 0 - Live 0x0\nhalf 1 0 - Loading 0x0\nwg 1 0 - Unloading 0x0\n"


def test_a_part_that_is_not_there_is_not_asked(kernel: Callable[..., Guard]) -> None:
    guard = kernel(modules=LIVE)
    assert guard.loads
    assert guard.refuses(12, ("nf_tables",)) == ""
    assert guard.refuses(12, ("ip_set",)) == ""  # built in: a directory without `initstate`
    assert "not seen" in guard.refuses(12, ("nf_conntrack_netlink",))
    assert "not seen" in guard.refuses(12, ("half",))
    assert "not seen" in guard.refuses(12, ("wg",))
    assert "not present" in guard.refuses(6, ())  # its only socket is of a program
    assert "not present" in guard.refuses(16, ())
    assert guard.refuses(0, ()) == ""


def test_what_is_built_in_may_be_asked(kernel: Callable[..., Guard]) -> None:
    guard = kernel(
        modules=LIVE,
        builtin=b"kernel/net/netfilter/nf-conntrack-netlink.ko\nkernel/a/nfnetlink.ko\n",
    )
    assert guard.refuses(12, ("nf_conntrack_netlink",)) == ""


@pytest.mark.parametrize(
    "how",
    [{"modules": None}, {"modules": LIVE, "disabled": b"1\n"}, {"modules": LIVE, "helper": b"\n"}],
    ids=["no modules", "switched off", "no helper"],
)
def test_a_kernel_that_can_load_nothing_may_be_asked_everything(
    kernel: Callable[..., Guard], how: dict[str, bytes | None]
) -> None:
    guard = kernel(**how)
    assert not guard.loads
    assert guard.refuses(6, ()) == ""


def test_an_unreadable_switch_counts_as_one_that_loads(kernel: Callable[..., Guard]) -> None:
    assert kernel(modules=b"", helper=b"").loads


def test_every_netfilter_question_names_its_module() -> None:
    assert [one.name for one in netasks.FIREWALL if one.protocol == 12 and not one.modules] == []


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(payload: bytes) -> bytes:
    return HEADER.pack(16 + len(payload), 0x10, 2, 1, 0) + payload


KEY = b"K" * 32


def test_wireguard_and_ipsec_keys_are_overwritten_and_the_rest_stays() -> None:
    peer = attribute(1, b"P" * 32) + attribute(2, KEY)
    device = bytes(4) + attribute(1, b"\1\0\0\0") + attribute(3, KEY) + attribute(4, b"Q" * 32)
    device += attribute(8 | 0x8000, attribute(0x8000, peer) + attribute(0x8000, peer))
    clean, count = netscrub.scrub("wireguard", message(device) * 2)
    assert (count, b"KK" in clean, clean.count(b"P" * 32), clean.count(b"Q" * 32)) == (
        6,
        False,
        4,
        2,
    )
    assert len(clean) == len(message(device)) * 2
    name = b"hmac(sha1)".ljust(64, b"\0")
    state = bytes(224) + b"".join(
        attribute(kind, name + bytes(head - 64) + KEY)
        for kind, head in ((1, 68), (2, 68), (18, 72), (20, 72))
    )
    clean, count = netscrub.scrub("xfrm_state", message(state))
    assert (count, b"KK" in clean, clean.count(b"hmac(sha1)")) == (4, False, 4)


@given(st.binary(max_size=300), st.integers(0, 80))
def test_what_cannot_be_cut_into_messages_is_wiped_where_keys_may_be(tail: bytes, cut: int) -> None:
    raw = message(bytes(4) + attribute(3, KEY)) + tail
    clean, _ = netscrub.scrub("wireguard", raw[: len(raw) - cut] if cut < len(tail) else raw)
    assert KEY not in clean
    for _, _, payload in messages(clean):
        assert KEY not in payload


@given(st.binary(max_size=400))
def test_any_mountinfo_is_read_to_its_end(text: bytes) -> None:
    list(pinned(text + b"\n" + text.replace(b"a", b" net:[5] ")))


def test_pinned_namespaces_are_told_from_other_mounts() -> None:
    text = (
        b"36 25 0:4 net:[4026532289] /run/netns/a\\040b rw shared:3 - nsfs nsfs rw\n"
        b"37 25 0:4 mnt:[4026532290] /run/mnt rw - nsfs nsfs rw\n"
        b"38 25 0:9 net:[1] /run/forged rw - tmpfs tmpfs rw\n"
    )
    assert list(pinned(text)) == [(4026532289, b"/run/netns/a b")]


def test_dark_namespaces_are_found_entered_and_left(isolated: Callable[..., str]) -> None:
    out = isolated(
        POOLED
        + """
sh("mount -t tmpfs t /run; ip netns add dark")
home = net_of_ours()
fd = os.open("/run/netns/dark", os.O_RDONLY); setns(fd); os.close(fd)
held = socket.socket(); held.bind(("0.0.0.0", 6666)); held.listen()
import ctypes
ctypes.CDLL(None).unshare(0x40000000)
kept = net_of_ours()                       # a namespace that nothing but this descriptor keeps
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("0.0.0.0", 5555))
setns(home); os.close(home)
vsock = socket.socket(40, socket.SOCK_STREAM) if os.path.exists("/dev/vsock") else None
ctx, pool = context_and_pool()
before = os.readlink("/proc/self/ns/net")
from hozen_agent.artifacts.sockets import collect
rows, gone = [], []
for attempt in collect(ctx):
    data = b"".join(attempt.data or ())
    rows += [json.loads(line) for line in data.splitlines()] if attempt.ext == "jsonl" else []
# The same place, when something else lies there by now.
from hozen_agent.net.netask import Answers, ask
from hozen_agent.net.netenter import Place
for place in (Place(1, "descriptor", os.getpid(), b"%d" % kept), Place(1, "path", 1, b"/run/netns/dark"),
              Place(1, "process", 1), Place(5, "path", 1, b"/etc/passwd"), Place(5, "path", 1, b"/run/none")):
    answers = Answers(("net/tcp",))
    assert list(ask(pool, place, answers)) == []
    gone.append([str(answers.entered.outcome), answers.entered.reason])
print(json.dumps([rows, gone, before == os.readlink("/proc/self/ns/net"), os.getpid()]))
pool.stop()
"""
    )
    rows, gone, home, pid = json.loads(out)
    assert home
    ports = {r["local"]["port"]: r for r in rows if r.get("proto") in {"tcp", "udp"}}
    assert set(ports) == {6666, 5555}
    assert ports[6666]["netns"] != ports[5555]["netns"]
    assert all(r["holders"][0]["pid"] == pid for r in ports.values())
    assert [outcome for outcome, _ in gone] == ["missing"] * 5
    assert "something else" in gone[0][1]
    vsock = [r for r in rows if r.get("proto") == "unlisted" and r["name"] == "AF_VSOCK"]
    assert len(vsock) == int(os.path.exists("/dev/vsock"))


def test_refused_questions_open_no_socket_of_their_protocol(
    isolated: Callable[..., str], tmp_path: Path
) -> None:
    """As on a host with loadable modules and no netfilter: seen from outside, by strace."""
    out = isolated(
        POOLED
        + f"""
from hozen_agent.net import netguard
netguard.Guard._can_load = lambda self: True
netguard.Guard._registered = lambda self, protocol: protocol == 0
netguard.Guard.present = lambda self, module: False
ctx, pool = context_and_pool()
pid = pool._helper
tracer = subprocess.Popen("strace -f -qq -e trace=socket -o".split() + [{str(tmp_path / "trace")!r}, "-p", str(pid)])
for _ in range(500):
    if b"TracerPid:\\t0" not in open(f"/proc/{{pid}}/status", "rb").read():
        break
    time.sleep(0.01)
from hozen_agent.artifacts.firewall import collect
outcomes = [[a.source.decode(), b"".join(a.data or ()) and "", a.outcome, a.reason] for a in collect(ctx)]
pool.stop()
tracer.wait(10)
print(json.dumps([o for o in outcomes if o[2] == "missing"], default=str))
"""
    )
    missing = json.loads(out)
    assert {row[0].partition("@")[0] for row in missing} >= {
        "netlink:nft_table",
        "netlink:conntrack",
        "netlink:xfrm_state",
    }
    assert all("could load a module" in row[3] for row in missing)
    trace = (tmp_path / "trace").read_text()
    assert "NETLINK_ROUTE" in trace
    assert "NETLINK_NETFILTER" not in trace
    assert "NETLINK_XFRM" not in trace
