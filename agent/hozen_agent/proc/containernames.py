"""Which container a process belongs to, by the names that runtimes give to control groups."""

from __future__ import annotations

import re
from typing import Final

from hozen_hashes.names import percent_encode

ID: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_RUNTIMES: Final = (
    (b"docker", "docker"), (b"libpod", "podman"), (b"cri-containerd", "containerd"), (b"crio", "cri-o"),
    (b"nerdctl", "containerd"), (b"containerd", "containerd"), (b"kubepods", "kubernetes"), (b"garden", "garden"),
)  # fmt: skip
# systemd escapes `-` in the names of machines as \x2d.
_NAMED: Final = (
    ("lxc", re.compile(rb"/lxc(?:\.payload)?[./]([^/\n:]{1,64})")),
    ("systemd-nspawn", re.compile(rb"/systemd-nspawn@([^/\n]{1,128})\.service")),
    ("libvirt", re.compile(rb"/machine-qemu\\x2d([^/\n]{1,128})\.scope")),
    ("lxc", re.compile(rb"/machine-lxc\\x2d([^/\n]{1,128})\.scope")),
    ("machine", re.compile(rb"/machine\.slice/machine-([^/\n]{1,128})\.scope")),
)


def container_of(cgroup: bytes) -> tuple[str, str] | None:
    """Return (runtime, identifier or name) for the text of /proc/PID/cgroup; None outside of containers."""
    found = ID.findall(cgroup)
    if found:
        low = cgroup.lower()
        runtime = next((name for mark, name in _RUNTIMES if mark in low), "unknown")
        return runtime, found[-1].decode()
    for runtime, pattern in _NAMED:
        match = pattern.search(cgroup)
        if match and not match[1].startswith(b"monitor"):
            return runtime, percent_encode(match[1].replace(b"\\x2d", b"-"))
    return None
