"""The text files of a UAC collection that other readers look for, made of the bundle's own records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_collector.export import facts, inert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_collector.export.source import Source

_PROCESS: Final = b"live_response/process/"
_NETWORK: Final = b"live_response/network/"
_TCP_NAMES: Final = {
    "ESTABLISHED": "ESTAB", "SYN_SENT": "SYN-SENT", "SYN_RECV": "SYN-RECV", "FIN_WAIT1": "FIN-WAIT-1",
    "FIN_WAIT2": "FIN-WAIT-2", "TIME_WAIT": "TIME-WAIT", "CLOSE": "UNCONN", "CLOSE_WAIT": "CLOSE-WAIT",
    "LAST_ACK": "LAST-ACK",
}  # fmt: skip
_SS: Final = "State      Recv-Q Send-Q Local Address:Port Peer Address:Port Process"
_READ: Final = {
    ("processes", "/proc"),
    ("sockets", "/proc/PID/net"),
    ("executables", "executables:files"),
    ("executables_all", "executables:files"),
}


@dataclass(slots=True)
class Texts:
    """Lines by member name."""

    found: dict[bytes, list[str]] = field(default_factory=dict)

    def take(self, source: Source) -> None:
        """Read the records once."""
        names: dict[int, str] = {}
        for row, record in source.records(lambda row: (row.artifact, row.source) in _READ):
            if row.artifact == "processes":
                names[_number(record.get("pid"))] = _name(record)
                self._process(record)
            elif row.artifact == "sockets":
                self._socket(record, names)
            else:
                self._executable(record)

    def members(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield each file."""
        for name, lines in self.found.items():
            yield name, "".join(line + "\n" for line in lines).encode()

    def _add(self, name: bytes, line: str, *, head: str = "") -> None:
        self.found.setdefault(name, [head] if head else []).append(line)

    def _process(self, record: dict[str, object]) -> None:
        pid, user = _number(record.get("pid")), inert.line(record.get("user"))
        args = facts.command_line(record) or f"[{_name(record)}]"
        started = inert.line(record.get("started")) or "-"
        self._add(
            _PROCESS + b"ps_-axo_pid_user_lstart_args.txt",
            f"{pid:>7} {user or record.get('uid')} {started} {args}",
            head="    PID USER STARTED COMMAND",
        )
        path = record.get("exe")
        if isinstance(path, str):
            self._add(_PROCESS + b"running_processes_full_paths.txt", inert.name(path))
            if isinstance(record.get("exe_sha256"), str):
                line = f"{record['exe_sha256']}  {inert.name(path)}"
                self._add(_PROCESS + b"hash_running_processes.sha256", line)

    def _socket(self, record: dict[str, object], names: dict[int, str]) -> None:
        proto, local, remote = str(record.get("proto")), record.get("local"), record.get("remote")
        if not isinstance(local, dict) or not isinstance(remote, dict):
            return
        kind = next((one for one in ("tcp", "udp") if proto.startswith(one)), None)
        if kind is None:
            return
        state = str(record.get("state"))
        shown = (
            _TCP_NAMES.get(state, state) if kind == "tcp" or state == "ESTABLISHED" else "UNCONN"
        )
        holders = record.get("holders")
        users = ",".join(
            f'("{names.get(_number(one.get("pid")), "?")}",pid={one.get("pid")},fd={one.get("fd")})'
            for one in (holders if isinstance(holders, list) else [])
            if isinstance(one, dict)
        )
        queues = f"{_number(record.get('rx_queue')):<6} {_number(record.get('tx_queue')):<6}"
        line = f"{shown:<10} {queues} {_end(local)} {_end(remote)}"
        name = _NETWORK + (b"ss_-tanp.txt" if kind == "tcp" else b"ss_-uanp.txt")
        self._add(name, f"{line} users:({users})" if users else line, head=_SS)

    def _executable(self, record: dict[str, object]) -> None:
        path = inert.name(str(record.get("path")))
        if isinstance(record.get("sha256"), str):
            self._add(b"hash_executables/hash_executables.sha256", f"{record['sha256']}  {path}")
        if record.get("algorithm") == "md5" and isinstance(record.get("found"), str):
            self._add(b"hash_executables/hash_executables.md5", f"{record['found']}  {path}")


def _name(record: dict[str, object]) -> str:
    return inert.name(str(record.get("name") or ""))


def _end(value: dict[str, object]) -> str:
    address, port = inert.line(value.get("address")), _number(value.get("port"))
    return f"[{address}]:{port or '*'}" if ":" in address else f"{address}:{port or '*'}"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
