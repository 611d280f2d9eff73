"""What the kernel's own texts say, as one record: taint, modules by two ways, what guards it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent.proc.sweep import FILE
from hozen_agent.reading.mounts import parse_mountinfo
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hozen_agent.proc.sweep import Entry

# Documentation/admin-guide/tainted-kernels.rst: bit, letter, meaning.
TAINTS = (
    "P proprietary module", "F module was force loaded", "S kernel running on an out of specification system",
    "R module was force unloaded", "M processor reported a machine check", "B bad page referenced",
    "U taint requested by userspace", "D kernel died recently (OOPS or BUG)", "A ACPI table overridden by user",
    "W kernel issued warning", "C staging driver was loaded", "I workaround for bug in platform firmware",
    "O externally-built module was loaded", "E unsigned module was loaded", "L soft lockup occurred",
    "K kernel was live patched", "X auxiliary taint of the distribution", "T built with struct randomization",
    "N an in-kernel test has been run", "J userspace used a mutating debug operation in fwctl",
)  # fmt: skip


def taint_flags(value: int) -> list[str]:
    """Return letter and meaning of each bit that is set, unknown bits by number."""
    return [
        TAINTS[bit] if bit < len(TAINTS) else f"bit {bit}"
        for bit in range(value.bit_length())
        if value >> bit & 1
    ]


def parse_modules(data: bytes) -> list[dict[str, object]]:
    """Return the lines of /proc/modules: name, size, uses, users, state, taint letters."""
    found: list[dict[str, object]] = []
    for line in data.split(b"\n"):
        words = line.split()
        if len(words) < 5 or not words[1].isdigit():  # noqa: PLR2004 - name size uses users state
            continue
        users = [percent_encode(user) for user in words[3].split(b",") if user not in {b"", b"-"}]
        taint = words[6].strip(b"()").decode("ascii", "replace") if len(words) > 6 else ""  # noqa: PLR2004
        found.append(
            {
                "name": percent_encode(words[0]),
                "size": int(words[1]),
                "uses": int(words[2]) if words[2].isdigit() else None,
                "users": users,
                "state": words[4].decode("ascii", "replace"),
                "taint": taint,
            }
        )
    return found


def kernel_record(entries: Sequence[Entry]) -> dict[str, object]:
    """Return the record made of the raw texts; what could not be read is None."""
    texts = {name: data for name, kind, data, _ in entries if kind == FILE}
    taint = texts.get(b"proc/sys/kernel/tainted", b"").strip()
    modules = parse_modules(texts[b"proc/modules"]) if b"proc/modules" in texts else None
    return {
        "version": _line(texts, b"proc/version"),
        "release": _line(texts, b"proc/sys/kernel/osrelease"),
        "cmdline": _line(texts, b"proc/cmdline"),
        "boot_id": _line(texts, b"proc/sys/kernel/random/boot_id"),
        "tainted": int(taint) if taint.isdigit() else None,
        "taint_flags": taint_flags(int(taint)) if taint.isdigit() else None,
        "lockdown": _chosen(_line(texts, b"sys/kernel/security/lockdown")),
        "lsm": (_line(texts, b"sys/kernel/security/lsm") or "").split(",")
        if b"sys/kernel/security/lsm" in texts
        else None,
        "apparmor_profiles": _profiles(texts.get(b"sys/kernel/security/apparmor/profiles")),
        "selinux_enforcing": _line(texts, b"sys/fs/selinux/enforce"),
        "binary_formats": sorted(
            percent_encode(name.rpartition(b"/")[2])
            for name in texts
            if name.startswith(b"proc/sys/fs/binfmt_misc/") and not name.endswith(b"/status")
        ),
        "keyrings": _keyrings(texts.get(b"proc/keys")),
        "core_pattern": _line(texts, b"proc/sys/kernel/core_pattern"),
        "modules_disabled": _line(texts, b"proc/sys/kernel/modules_disabled"),
        "modules": modules,
        "module_views": _views(modules, texts),
        "over_proc": _covers(texts.get(b"proc/1/mountinfo")),
    }


def _views(modules: list[dict[str, object]] | None, texts: dict[bytes, bytes]) -> dict[str, object]:
    """Compare /proc/modules with /sys/module: a module in one only is worth a look (it may be loading or hiding)."""
    suffix = b"/initstate"
    live = {
        percent_encode(name[len(b"sys/module/") : -len(suffix)])
        for name in texts
        if name.startswith(b"sys/module/") and name.endswith(suffix)
    }
    if modules is None:
        return {"compared": False, "reason": "/proc/modules was not read", "in_sys": sorted(live)}
    listed = {str(module["name"]) for module in modules}
    return {
        "compared": True,
        "only_in_proc": sorted(listed - live),
        "only_in_sys": sorted(live - listed),
    }


def _covers(mountinfo: bytes | None) -> list[str] | None:
    """Return mounts on /proc/PID, with which a process is hidden from ps."""
    if mountinfo is None:
        return None
    points = [mount.point for mount in parse_mountinfo(mountinfo)]
    return [
        percent_encode(point)
        for point in points
        if point.startswith(b"/proc/") and point.split(b"/")[2].isdigit()
    ]


def _profiles(data: bytes | None) -> dict[str, int] | None:
    """Return how many AppArmor profiles are in each mode: `name (enforce)` a line."""
    if data is None:
        return None
    counts: dict[str, int] = {}
    for line in data.split(b"\n"):
        mode = line.rpartition(b"(")[2].rstrip(b")").decode("ascii", "replace")
        if line.endswith(b")"):
            counts[mode] = counts.get(mode, 0) + 1
    return counts


def _keyrings(data: bytes | None) -> list[str] | None:
    """Return the names of keyrings in /proc/keys (proc_keys(5)); no key is read."""
    if data is None:
        return None
    rows = [line.split(None, 8) for line in data.split(b"\n")]
    return [
        percent_encode(row[8].rpartition(b":")[0])
        for row in rows
        if len(row) == 9 and row[7] == b"keyring"  # noqa: PLR2004 - columns of the table
    ]


def _line(texts: dict[bytes, bytes], name: bytes) -> str | None:
    data = texts.get(name)
    return None if data is None else data.strip().decode("utf-8", "backslashreplace")


def _chosen(text: str | None) -> str | None:
    """Return the word in brackets: `none [integrity] confidentiality`."""
    if text is None or "[" not in text:
        return text
    return text.partition("[")[2].partition("]")[0]
