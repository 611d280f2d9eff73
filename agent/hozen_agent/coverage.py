"""The field's kinds of evidence on Linux, each with the families that capture it or with the reason why none does.

The rows are those under which live-response tools are compared; `docs/reference/artifacts.md` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of evidence.

    Attributes:
        families: names in the catalogue; none when `note` is the reason.
        note: what is particular, or why there is none.
    """

    kind: str
    families: tuple[str, ...]
    note: str = ""


def _row(kind: str, families: str, note: str = "") -> Row:
    return Row(kind, tuple(families.split()), note)


ROWS: Final = (
    _row("process list", "processes"),
    _row("cmdline", "processes", "redacted"),
    _row("environ", "processes", "redacted"),
    _row("cwd, exe link", "processes"),
    _row("open files per process", "processes"),
    _row("memory maps", "processes"),
    _row("stack, children, per-process mounts", "processes"),
    _row("namespaces, cgroups per process", "processes containers"),
    _row("capabilities, seccomp (status)", "processes"),
    _row("SHA of running executables", "processes", "SHA-256 of the file that runs, also when it was deleted"),
    _row("deleted/memfd executable recovered", "recovered"),
    _row("deleted-but-open files recovered", "recovered"),
    _row("strings of executables", "", "derived from captured files whenever it is wanted; nothing is lost by waiting"),
    _row("process memory", "process_memory", "of chosen processes, on request"),
    _row("full RAM", "memory", "where the kernel lets it be read; on request"),
    _row("hidden-process cross-view", "cross_view"),
    _row("sockets with pid", "sockets", "of all network namespaces"),
    _row("unix/packet sockets, BPF filters", "sockets ebpf"),
    _row("interfaces, routes", "interfaces"),
    _row("ARP/neighbours", "interfaces"),
    _row("firewall", "firewall"),
    _row("other network namespaces", "sockets interfaces"),
    _row("packet capture", "packets", "a bounded window; payload only where the profile says so"),
    _row("DNS config, hosts", "interfaces"),
    _row("logged-in users, sessions", "sessions"),
    _row("wtmp/btmp/lastlog raw", "sessions"),
    _row("the same, parsed", "sessions"),
    _row("journald raw", "systemd_journal"),
    _row("journald export / verify", "systemd_journal", "state and counts of each file; export on the receiving side"),
    _row("/var/log", "linux_logs"),
    _row("auditd rules + status", "audit"),
    _row("web server logs", "linux_logs"),
    _row("dmesg", "kernel_messages"),
    _row("shell histories", "shell_histories"),
    _row("authorized_keys, known_hosts", "ssh_access", "private keys and agents' sockets are named, not read"),
    _row("/etc (whole)", "persistence accounts ssh_access kernel interfaces packages",
         "by definition, not whole: password hashes and keys stay where they are"),
    _row("sudoers, PAM, passwd check", "accounts persistence"),
    _row("cron, at, anacron", "persistence"),
    _row("systemd units, timers, transient", "persistence"),
    _row("udev, xdg autostart, dbus, polkit, dracut, upstart", "persistence accounts"),
    _row("ld.so.preload (also raw, under a rootkit)", "persistence kernel cross_view"),
    _row("binfmt_misc, core_pattern, taint", "kernel kernel_tracing", "also ftrace, kprobes and live patches"),
    _row("kernel modules", "kernel kernel_modules"),
    _row("eBPF programs, pinned objects", "ebpf"),
    _row("SUID/SGID, file capabilities, immutable, nouser, world-writable", "filesystem"),
    _row("file-system timeline (bodyfile)", "filesystem", "with birth times"),
    _row("hashes of all executables", "executables executables_all"),
    _row("package list / verify", "packages executables", "databases read by Hozen itself"),
    _row("containers (docker, podman, containerd, lxc)", "containers linux_logs", "no client is run"),
    _row("VMs on the host", "containers"),
    _row("/tmp, /dev/shm files", "temporary_files"),  # noqa: S108 - a name of the field
    _row("web shell search", "", "a search is not a capture: it is done on the captured copy"),
    _row("browser history", "browser_histories", "only where the profile says so"),
    _row("cloud agent logs / instance metadata", "linux_logs machine", "from local files; no metadata server is asked"),
    _row("mounts, disks, LVM, RAID", "storage kernel"),
    _row("hardware, DMI, USB", "machine"),
    _row("time: clock, RTC, NTP state", "clock"),
    _row("measured clock offset to a trusted source", "clock", "to the collector, where there is one"),
    _row("screenshot", "", "left out: content of a screen is out of proportion, and no display is asked"),
    _row("continuous events (exec, DNS, login)", "", "left out: nothing of Hozen stays on the host; logs are captured"),
    _row("network quarantine", "", "left out: Hozen never isolates; who did and when is a custody event"),
)  # fmt: skip
