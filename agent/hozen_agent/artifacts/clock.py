"""The host's clocks: what they say, whether they are kept in step, and how far they are from a reference (law M09)."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.context import FileRequest
from hozen_agent.items import Attempt
from hozen_agent.kernel import timex
from hozen_agent.proc.entries import read_entries
from hozen_agent.proc.sweep import read_small
from hozen_agent.reading.ustar import tar_stream
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context

_NAME = "clock"
_CLOCKS = ("REALTIME", "MONOTONIC", "MONOTONIC_RAW", "BOOTTIME", "TAI")
_PROC = b"uptime stat sys/kernel/random/boot_id driver/rtc".split()
_SYS = (
    *(b"class/rtc/rtc0/" + name for name in b"name date time since_epoch hctosys".split()),
    b"devices/system/clocksource/clocksource0/current_clocksource",
    b"devices/system/clocksource/clocksource0/available_clocksource",
)
_FILES = (
    b"/etc/adjtime", b"/etc/timezone", b"/etc/localtime", b"/etc/chrony/chrony.conf", b"/etc/chrony.conf",
    b"/etc/ntp.conf", b"/etc/ntpsec/ntp.conf", b"/etc/systemd/timesyncd.conf", b"/var/lib/chrony/chrony.drift",
    b"/var/lib/chrony/drift", b"/var/lib/ntp/ntp.drift", b"/var/lib/ntp/drift", b"/var/lib/ntpsec/ntp.drift",
    b"/var/lib/systemd/timesync/clock", b"/run/systemd/timesync/synchronized",
)  # fmt: skip


@artifact(
    name=_NAME,
    rank=16,
    personal="none",
    en="Clocks, zone, synchronisation and offset to the collector: proves what the host's clock said and how far it "
    "was off at this moment; not that it was right earlier.",
    ja="時計、時間帯、同期状態、収集サーバーとの差。現時点の時計の値とずれを示す。以前に正しかったことは示さない。",
    reads=(
        "adjtimex",
        "clock_gettime",
        "/proc/uptime",
        "/sys/class/rtc",
        *(p.decode() for p in _FILES),
    ),
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the clock record, the kernel's own texts, and the files of the time services."""
    yield Attempt(
        artifact=_NAME,
        source=b"clock_gettime,adjtimex",
        method="syscall",
        ext="json",
        data=(dump_line(clock_record(ctx)),),
    )
    started = now()
    entries = [
        *read_entries(ctx.proc, b"", _PROC, name=b"proc/"),
        *read_entries(ctx.root, b"sys", _SYS, name=b""),
    ]
    yield Attempt(
        artifact=_NAME,
        source=b"/proc,/sys/class/rtc",
        method="procfs",
        kind="snapshot",
        ext="tar",
        data=tar_stream(entries, seconds=started[0] // 1_000_000_000),
        started=started,
        ended=now(),
    )
    yield from ctx.files(
        FileRequest(artifact=_NAME, path=path, personal="none", max_bytes=1 << 20)
        for path in _FILES
    )


def clock_record(ctx: Context) -> dict[str, object]:
    """Return the readings of all clocks, taken one right after the other, with what is known of their quality."""
    readings: dict[str, str | None] = {}
    for name in _CLOCKS:
        number = getattr(time, f"CLOCK_{name}", None)
        readings[name.lower()] = None if number is None else str(time.clock_gettime_ns(number))
    wall = time.time_ns()
    local = time.localtime(wall // 1_000_000_000)
    boot = read_small(b"sys/kernel/random/boot_id", at=ctx.proc).strip()
    return {
        "wall": rfc3339(wall),
        "local": time.strftime("%Y-%m-%dT%H:%M:%S%z", local),
        "zone": {
            "name": _ascii(local.tm_zone),
            "offset_seconds": local.tm_gmtoff,
            "file": _zone(ctx.root),
        },
        "clocks_ns": readings,
        "boot_id": boot.decode("ascii", "replace") or None,
        "discipline": _discipline(),
        "offset_to_collector": _offset(ctx),
    }


def _discipline() -> dict[str, object]:
    try:
        return timex.read_discipline()
    except OSError as error:
        return {"synchronised": None, "reason": error.strerror or "adjtimex is not there"}


def _offset(ctx: Context) -> dict[str, object]:
    measured = ctx.collector_offset()
    if measured is None:
        return {
            "measured": False,
            "word": "未測定",
            "reason": "the offset to the collector was not measured when this record was made",
        }
    return {"measured": True, "milliseconds": measured[0], "uncertainty_ms": measured[1]}


def _zone(root: int) -> str | None:
    """Return the target of /etc/localtime, which names the zone on most systems."""
    try:
        return percent_encode(os.readlink(b"etc/localtime", dir_fd=root))
    except OSError:
        return None


def _ascii(text: str) -> str:
    return percent_encode(text.encode("utf-8", "surrogateescape"))
