"""Network interfaces, addresses, routes of every table, rules, neighbours, and how names are resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.context import FileRequest
from hozen_agent.items import Attempt, Outcome
from hozen_agent.proc.entries import read_entries
from hozen_agent.proc.sweep import FILE, LINK
from hozen_agent.reading.ustar import tar_stream
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.sweep import Entry

_NAME = "interfaces"
_TABLES = (
    b"dev route ipv6_route arp if_inet6 fib_trie fib_triestat igmp igmp6 dev_mcast anycast6 ptype protocols "
    b"snmp snmp6 netstat sockstat sockstat6 wireless nf_conntrack ip_tables_names ip6_tables_names rt_cache"
).split()
_FILES = (
    b"/etc/resolv.conf", b"/etc/hosts", b"/etc/nsswitch.conf", b"/etc/host.conf", b"/etc/hostname", b"/etc/networks",
    b"/etc/hosts.allow", b"/etc/hosts.deny",
)  # fmt: skip


@artifact(
    name=_NAME,
    rank=20,
    personal="personal",
    en="Interfaces, addresses, routing tables, rules, neighbours and name resolution at this moment: proves how "
    "the host was attached to its networks; not what was sent, and not earlier settings.",
    ja="現時点のインターフェース、アドレス、経路表、規則、近隣表、名前解決設定。ネットワークへの接続状態を示す。"
    "通信内容や以前の設定は示さない。",
    reads=(
        "netlink:route",
        "netlink:generic",
        "/proc/PID/net/*",
        *(path.decode() for path in _FILES),
        "network settings",
    ),
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the netlink dialogue of each namespace and its records, the tables as text, then the files."""
    from hozen_agent.net.netasks import INTERFACES
    from hozen_agent.net.netattempts import namespace
    from hozen_agent.net.netconfig import settings
    from hozen_agent.net.netrecords import records
    from hozen_agent.net.netspaces import Spaces

    spaces = Spaces(ctx.sweep, ctx.proc)
    refused: set[str] = set()
    for space in spaces.by_inode.values() or (None,):
        yield from namespace(ctx, _NAME, space, INTERFACES, parse=records, refused=refused)
    yield _namespaces(ctx)
    yield from _second_source(ctx)
    requests = (
        FileRequest(artifact=_NAME, path=path, ext="txt", max_bytes=16 << 20) for path in _FILES
    )
    yield from ctx.files(requests)
    yield from settings(ctx, _NAME)


def _namespaces(ctx: Context) -> Attempt:
    """The text tables of each network namespace, read through a process of it that the sweep saw."""
    started = now()
    met: set[bytes] = set()
    entries: list[Entry] = []
    for name, kind, data, _ in ctx.sweep.entries:
        if kind == LINK and name.endswith(b"/ns/net") and data not in met:
            found = read_entries(
                ctx.proc, name[5:-6], [b"net/" + table for table in _TABLES], name=b"proc/"
            )
            if any(entry[1] == FILE for entry in found):
                met.add(data)
                entries += [(name, LINK, data, 0), *found]
    if not met:
        return Attempt(
            artifact=_NAME, source=b"/proc/PID/net", method="procfs", kind="snapshot", personal="personal",
            outcome=Outcome.DENIED, reason="the tables of no network namespace could be read", started=started,
        )  # fmt: skip
    return Attempt(
        artifact=_NAME,
        source=b"/proc/PID/net",
        method="procfs",
        kind="snapshot",
        personal="personal",
        ext="tar",
        data=tar_stream(entries, seconds=started[0] // 1_000_000_000),
        started=started,
        ended=now(),
    )


def _second_source(ctx: Context) -> Iterator[Attempt]:
    """What psutil and netifaces say of the same, where they are installed: a difference is worth a look."""
    for module, look in (("psutil", _psutil), ("netifaces", _netifaces)):
        try:
            lines = list(look())
        except ImportError:
            ctx.note(f"interfaces: no second source by {module}, it is not installed")
        except (OSError, ValueError) as error:  # netifaces: an interface that went away meanwhile
            ctx.note(f"interfaces: no second source by {module}: {error}")
        else:
            yield Attempt(
                artifact=_NAME,
                source=module.encode(),
                method="syscall",
                personal="personal",
                ext="jsonl",
                data=lines,
            )


def _psutil() -> Iterator[bytes]:
    import psutil

    state = psutil.net_if_stats()
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        stats = state.get(name)
        yield dump_line(
            {
                "name": percent_encode(name.encode("utf-8", "surrogateescape")),
                "up": stats.isup if stats else None,
                "mtu": stats.mtu if stats else None,
                "addresses": [
                    {
                        "family": a.family.name,
                        "address": a.address,
                        "netmask": a.netmask,
                        "peer": a.ptp,
                    }
                    for a in addresses
                ],
            }
        )


def _netifaces() -> Iterator[bytes]:
    import netifaces

    for name in sorted(netifaces.interfaces()):
        found = netifaces.ifaddresses(name)
        yield dump_line(
            {
                "name": percent_encode(name.encode("utf-8", "surrogateescape")),
                "addresses": {str(netifaces.address_families[f]): a for f, a in found.items()},
            }
        )
    gateways = {str(k): v for k, v in netifaces.gateways().items() if k != "default"}
    yield dump_line({"gateways": gateways})
