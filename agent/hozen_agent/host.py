"""What the examined host and this program say of themselves (bundle-v1 §12, law M23)."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hozen_agent
import hozen_config
import hozen_hashes
from hozen_agent import traces

if TYPE_CHECKING:
    from collections.abc import Iterator

_SMALL = 64 << 10


def read_small(path: str) -> str:
    """Return the text of a small system file, or an empty string where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_SMALL).decode("utf-8", "backslashreplace").strip()
    except OSError:
        return ""


def legible(text: str) -> str:
    r"""Return text that a record can hold: bytes that were no UTF-8 (PEP 383) become `\xnn`.

    Names that Python got from the system may hold such bytes, and whoever owns the host can put them there.
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def host_facts() -> dict[str, object]:
    """Return the host's names, system and zone; the machine id only as a hash, addresses where they can be asked."""
    machine = read_small("/etc/machine-id")
    addresses = _addresses()
    return {
        "hostname": legible(os.uname().nodename),
        "machine_id_sha256": hashlib.sha256(machine.encode()).hexdigest() if machine else None,
        "boot_id": read_small("/proc/sys/kernel/random/boot_id") or None,
        "os": _os_name(),
        "kernel": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "timezone": legible(f"{time.strftime('%z')} {'/'.join(time.tzname)}"),
        "uptime_seconds": read_small("/proc/uptime").split(" ", 1)[0] or None,
        **({} if addresses is None else {"addresses": addresses}),
    }


def agent_facts(argv: list[str]) -> dict[str, object]:
    """Return which program this is: version, hash of its own files, interpreter, rights."""
    return {
        "version": hozen_hashes.__version__,
        "commit": None,  # a release writes it; the environment of an examined host is nobody's word
        "self_sha256": self_sha256(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": legible(sys.executable),
        "argv": [legible(word) for word in argv],
        "uid": os.geteuid() if hasattr(os, "geteuid") else None,
        "capabilities": capabilities(),
    }


def self_sha256() -> str | None:
    """Return the SHA-256 over name and hash of each file of the running packages, in order of names.

    None when one of them cannot be read: that must not cost the capture.
    """
    total = hashlib.sha256()
    try:
        for name, path in sorted(_own_files()):
            total.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n".encode())
    except OSError:
        return None
    return total.hexdigest()


def capabilities() -> str | None:
    """Return the effective capability mask, hexadecimal, as the kernel prints it."""
    for line in read_small("/proc/self/status").splitlines():
        if line.startswith("CapEff:"):
            return line.split(":", 1)[1].strip()
    return None


def footprint() -> dict[str, object]:
    """Return what this process and its ended children used so far (law M04)."""
    opens, sockets, children_made = traces.totals()
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return {
        "cpu_ms": round(cpu * 1000),
        "peak_rss_kib": max(own.ru_maxrss, children.ru_maxrss),
        "block_writes": own.ru_oublock + children.ru_oublock,
        "files_opened": opens,
        "sockets_opened": sockets,
        "processes_created": children_made,
        "kernel_io": _io(),
        "covers": "from the first line of the agent to this record; sealing and reading back come after it. "
        "files_opened: calls that open a file or directory, refused ones included, without the interpreter's own start "
        "and shared libraries; sockets_opened: without those that psutil and netifaces open inside themselves",
    }


def _io() -> dict[str, str] | None:
    """Return what the kernel counted for this process and its ended children (proc_pid_io(5)); None if it does not."""
    pairs = (line.partition(": ") for line in read_small("/proc/self/io").splitlines())
    return {name: value for name, _, value in pairs if value.isdecimal()} or None


def _own_files() -> Iterator[tuple[str, Path]]:
    for package in (hozen_agent, hozen_config, hozen_hashes):
        base = Path(str(package.__file__)).parent
        for path in base.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{package.__name__}/{path.relative_to(base).as_posix()}", path


def _os_name() -> str:
    for line in read_small("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return platform.system()


def _addresses() -> list[str] | None:
    """Return the addresses of this host's interfaces, None where they cannot be asked."""
    try:
        import psutil

        traces.socket_made()  # getifaddrs(3) asks by netlink
        found = {a.address for entries in psutil.net_if_addrs().values() for a in entries}
    except (ImportError, OSError):
        return None
    return sorted(found)
