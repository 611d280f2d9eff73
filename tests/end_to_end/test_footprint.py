"""What the bundle says of its own traces, against what the kernel says: every system call, traced from outside.

The tracer sees more than the agent counts: the interpreter's own start, shared libraries, and what comes after the
record was written (sealing, reading back, names). The test takes those off by what they are, not by a number.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from bundles import Bundle, only_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from synthetic_host import Host

_OPEN = re.compile(r"^(\d+) +(?:\S+ +)?(?:open|openat|openat2)\((.*)")
_LIBRARY = re.compile(r"\"[^\"]*(?:\.so(?:\.[0-9.]+)?|/ld\.so\.cache|gconv-modules\.cache)\"")
_TOLERANCE = 0.02
_AFTER = 40  # opens that may follow the record: journal, names, reading back


def traced(host: Host, case: str) -> tuple[Bundle, list[str]]:
    """Return the bundle and the traced calls of a capture, each with the pid before it.

    Without `interfaces`: psutil and netifaces, its second opinions, open sockets inside themselves, which are not seen.
    """
    script = f"""
        strace -f -q -o trace.txt -e trace=open,openat,openat2,socket,clone,clone3,fork,vfork -e signal=none \\
             hozen -q capture {case} --without filesystem --without interfaces --allow-local \\
             --out usb; echo "code $?" """
    run = host.run(script)
    assert "code 0" in run.stdout, run.stderr
    lines = (host.work / "trace.txt").read_text(errors="backslashreplace").splitlines()
    return Bundle(only_bundle(host.work / "usb")), [_joined(line) for line in lines if _began(line)]


def _began(line: str) -> bool:
    return " resumed>" not in line


def _joined(line: str) -> str:
    return line.replace("<unfinished ...>", "= 0")


@pytest.mark.needs("strace")
@pytest.mark.timeout(180)
def test_the_footprint_agrees_with_the_calls_that_the_kernel_saw(
    host: Host, case_options: str
) -> None:
    bundle, calls = traced(host, case_options)
    said = bundle.about["footprint"]
    opens = [call for call in calls if _OPEN.match(call)]
    # The first line of the agent is stage 0, whose first act is to open /proc.
    first = next(n for n, call in enumerate(opens) if '"/proc", O_RDONLY|O_CLOEXEC|O_DIRECTORY' in call
                 or '"/proc", O_RDONLY|O_DIRECTORY|O_CLOEXEC' in call)  # fmt: skip
    counted = [call for call in opens[first:] if not _LIBRARY.search(call)]
    outside = len(counted)
    assert outside * (1 - _TOLERANCE) - _AFTER <= said["files_opened"] <= outside * (1 + _TOLERANCE)
    assert said["files_opened"] > 500

    children = [call for call in calls if re.search(r"\b(?:clone|clone3|fork|vfork)\(", call)]
    processes = [call for call in children if "CLONE_THREAD" not in call]
    assert said["processes_created"] == len(processes)

    sockets = [call for call in calls if re.search(r"\bsocket\(", call)]
    assert said["sockets_opened"] == len(sockets)


def test_written_bytes_processor_time_and_memory_agree_with_the_kernel(
    host: Host, case_options: str
) -> None:
    """/usr/bin/time's figures come from wait4(2), as the kernel counted the whole tree."""
    script = f"""
        python measure.py hozen -q capture {case_options} --without filesystem --allow-local --out usb"""
    (host.work / "measure.py").write_text(
        "import os, sys\n"
        "pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])\n"
        "_, status, used = os.wait4(pid, 0)\n"
        "print('kernel', round((used.ru_utime + used.ru_stime) * 1000), used.ru_maxrss, status)\n",
        encoding="utf-8",
    )
    run = host.run(script)
    assert run.returncode == 0, run.stderr
    kernel = next(line for line in run.stdout.splitlines() if line.startswith("kernel"))
    cpu, rss, status = map(int, kernel.split()[1:])
    path: Path = only_bundle(host.work / "usb")
    said = Bundle(path).about["footprint"]
    assert status == 0
    assert abs(said["cpu_ms"] - cpu) <= 0.1 * cpu + 150, (
        "sealing and reading back come after the record"
    )
    assert rss * 0.95 - 2048 <= said["peak_rss_kib"] <= rss
    size = path.stat().st_size
    assert size * 0.5 <= int(said["bytes_written"])
    wchar = int(said["kernel_io"]["wchar"])
    assert int(said["bytes_written"]) <= wchar * 1.02 + 65536
