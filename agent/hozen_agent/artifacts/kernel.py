"""The running kernel: version, command line, taint, modules seen in two ways, mounts, settings, guards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.context import FileRequest
from hozen_agent.items import Attempt
from hozen_agent.kernel.kernelrecords import kernel_record
from hozen_agent.kernel.sysctls import settings
from hozen_agent.proc.entries import listing, read_entries
from hozen_agent.proc.snapshot import MOUNT_TEXTS
from hozen_agent.proc.sweep import ERROR, FILE
from hozen_agent.reading.ustar import tar_stream
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.sweep import Entry

_NAME = "kernel"
_PROC = (
    b"version cmdline modules filesystems devices misc partitions swaps cpuinfo meminfo crypto locks consoles "
    b"cgroups vmstat diskstats execdomains fb mdstat keys key-users iomem ioports "
    b"interrupts bus/input/devices"
).split()
# Of the first process, not ours: we look through a private view whose mounts are all read-only.
_MOUNTS = b"mountinfo mounts mountstats".split()
_SYS = (
    b"kernel/security/lockdown", b"kernel/security/lsm", b"kernel/security/apparmor/profiles", b"fs/selinux/policyvers",
    b"kernel/security/integrity/ima/policy", b"kernel/security/integrity/ima/violations", b"fs/smackfs/ambient",
    b"kernel/kexec_loaded", b"kernel/kexec_crash_loaded",
    b"kernel/uevent_helper", b"kernel/notes", b"kernel/profiling", b"kernel/vmcoreinfo", b"fs/selinux/enforce",
    b"module/apparmor/parameters/enabled", b"power/state", b"firmware/efi/fw_platform_size", b"hypervisor/type",
)  # fmt: skip
_MODULE_FILES = b"version srcversion taint initstate coresize initsize refcnt".split()
_FILES = (
    b"/etc/ld.so.preload", b"/etc/ld.so.conf", b"/etc/ld.so.cache", b"/etc/os-release", b"/etc/machine-id",
    b"/etc/sysctl.conf", b"/etc/modules",
)  # fmt: skip
_DIRECTORIES = (
    b"/etc/ld.so.conf.d/*", b"/etc/sysctl.d/*", b"/usr/lib/sysctl.d/*", b"/etc/modprobe.d/*", b"/usr/lib/modprobe.d/*",
    b"/etc/modules-load.d/*", b"/usr/lib/modules-load.d/*",
)  # fmt: skip


@artifact(
    name=_NAME,
    rank=24,
    personal="none",
    en="Kernel version, boot parameters, taint, modules seen in two ways, mounts, settings: proves how the kernel "
    "described itself; a rootkit in the kernel can lie here.",
    ja="カーネルの版、起動引数、汚染フラグ、2通りで見たモジュール、マウント、設定。カーネル自身の申告を示す。"
    "カーネル内のルートキットは偽り得る。",
    reads=(
        "/proc/*",
        "/proc/sys/*",
        "/sys/module/*",
        *(p.decode() for p in (*_FILES, *_DIRECTORIES)),
    ),
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the raw texts, one record made of them, and the files that change how programs are loaded."""
    started = now()
    entries = [
        *read_entries(ctx.proc, b"", _PROC, name=b"proc/"),
        *settings(ctx.proc),
        *read_entries(ctx.proc, b"1", _MOUNTS, name=b"proc/"),
        *read_entries(ctx.root, b"sys", _SYS, name=b""),
        *_sys_modules(ctx.root),
        *_binary_formats(ctx),
    ]
    counts: dict[str, int] = {}
    clean = [
        (
            name,
            kind,
            ctx.redactor.text(data, counts) if _may_hold_secrets(name, kind) else data,
            number,
        )
        for name, kind, data, number in entries
    ]
    seconds = started[0] // 1_000_000_000
    yield Attempt(
        artifact=_NAME,
        source=b"/proc,/sys",
        method="procfs",
        kind="snapshot",
        ext="tar",
        data=tar_stream(clean, seconds=seconds),
        redacted=counts,
        unredacted=(lambda: tar_stream(entries, seconds=seconds)) if counts else None,
        started=started,
        ended=now(),
        tag="kernel-raw",
    )
    yield Attempt(
        artifact=_NAME,
        source=b"/proc,/sys",
        method="derived",
        ext="json",
        data=(dump_line(kernel_record(clean)),),
        redacted=counts,
        unredacted=(lambda: (dump_line(kernel_record(entries)),)) if counts else None,
        derived_from=("kernel-raw",),
    )
    paths = (*_FILES, *ctx.match(_DIRECTORIES))
    yield from ctx.files(
        FileRequest(artifact=_NAME, path=path, personal="none", max_bytes=64 << 20)
        for path in paths
    )


def _may_hold_secrets(name: bytes, kind: str) -> bool:
    """The kernel's command line (rd.luks.key, ip= with credentials), and mounts from a URL or with a password."""
    return kind == FILE and (name == b"proc/cmdline" or name.removeprefix(b"proc/") in MOUNT_TEXTS)


def _sys_modules(root: int) -> Iterator[Entry]:
    """Each directory of /sys/module; those of loadable modules have `initstate`, built-in ones have not."""
    try:
        names = listing(root, b"sys/module")
    except OSError as error:
        yield (b"sys/module", ERROR, b"", error.errno or 0)
        return
    for name in names:
        found = read_entries(root, b"sys/module/" + name, _MODULE_FILES, name=b"")
        # Built-in modules lack most of these; that is their form, not a failure.
        yield from (entry for entry in found if entry[1] == FILE)


def _binary_formats(ctx: Context) -> list[Entry]:
    """Programs that the kernel starts for other formats, where that file system is mounted (never through autofs)."""
    mounted = read_entries(ctx.proc, b"1", (b"mounts",), name=b"")
    if not any(
        b" binfmt_misc rw" in data or b" binfmt_misc ro" in data for _, _, data, _ in mounted
    ):
        return []
    directory = b"proc/sys/fs/binfmt_misc"
    try:
        names = [name for name in listing(ctx.root, directory) if name != b"register"]
    except OSError as error:
        return [(directory, ERROR, b"", error.errno or 0)]
    return read_entries(ctx.root, directory, names, name=b"")
