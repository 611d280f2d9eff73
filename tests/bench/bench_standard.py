"""The whole standard capture on a synthetic host: logs, processes, files; beside it a service that must not notice.

Run inside the namespaces that run.py makes; `/var/log`, `/usr/share` and `/home` there are tmpfs of ours.

usage: bench_standard.py WORK MEGABYTES PROCESSES FILES
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from bench_capture import BIN, CASE, log_text
from measure import Cost, Gate, cost, cpu_features

_NO_SHA = "" if "sha_ni" in cpu_features() else "no SHA extensions in this processor"
_TREES = ("/etc", "/var/log", "/home", "/root", "/usr/share")
# A service that works in small steps on one processor: what it got done, and how late it was woken.
_VICTIM = """
import json, os, sys, time
os.sched_setaffinity(0, {0})
end, work, late = time.monotonic() + float(sys.argv[1]), 0, []
while time.monotonic() < end:
    stop = time.perf_counter() + 0.004
    while time.perf_counter() < stop:
        sum(range(200)); work += 1
    asked = time.perf_counter()
    time.sleep(0.001)
    late.append(time.perf_counter() - asked - 0.001)
late.sort()
print(json.dumps([work, late[int(len(late) * 0.99)]]))
"""


def plant(megabytes: int, processes: int, files: int) -> list[int]:
    """Make logs, files and processes; return the pids."""
    for number in range(8):
        log_text(Path(f"/var/log/app{number}.log"), megabytes * (1 << 20) // 8)
    folder = Path("/usr/share/bench")
    for number in range(files):
        if number % 500 == 0:
            folder = Path(f"/usr/share/bench/{number // 500:04}")
            folder.mkdir(parents=True)
        (folder / f"{number % 500:03}.txt").write_bytes(b"file %d\n" % number)
    return [subprocess.Popen(["sleep", "3600"]).pid for _ in range(processes)]


def cached() -> int:
    """Return the KiB of the page cache."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("Cached:"):
            return int(line.split()[1])
    return 0


def atimes(into: Path) -> int:
    """Write the access time of every file, directory and link, read without changing one; return how many.

    Into a file: what this process holds would count as the memory of the programs that it starts.
    """
    command = "find " + " ".join(_TREES) + r" -printf '%p\t%A@\0' | LC_ALL=C sort -z > \"$1\""
    subprocess.run(["bash", "-c", command, "bash", str(into)], check=True)
    return into.read_bytes().count(b"\0")


def changed(before: Path, after: Path) -> int:
    """Return how many lines of `before` are not in `after`: other times, or files that are gone."""
    done = subprocess.run(["comm", "-z", "-23", str(before), str(after)],
                          stdout=subprocess.PIPE, check=True, env={"LC_ALL": "C"})  # fmt: skip
    return done.stdout.count(b"\0")


def capture(work: Path) -> tuple[Cost, dict[str, object], float]:
    """Capture with `standard`; return its cost, `bundle.json`, and the MiB of page cache that it left."""
    out = work / "out"
    out.mkdir()
    before = cached()
    spent = cost(
        [str(BIN / "hozen"), "-q", "capture", *CASE, "--out", str(out), "--allow-local"],
        runs=1,
    )
    left = (cached() - before) / 1024
    container = next(out.glob("*.zip"))
    text = subprocess.run(
        ["unzip", "-p", str(container), "*/hozen/bundle.json"], capture_output=True, check=True
    ).stdout
    container.unlink()
    out.rmdir()
    return spent, json.loads(text), left


def victim(seconds: float) -> tuple[float, float]:
    """Return (work a second, 99th percentile of lateness in ms) of the service."""
    done = subprocess.run(
        [sys.executable, "-c", _VICTIM, str(seconds)], capture_output=True, check=True
    )
    work, late = json.loads(done.stdout)
    return work / seconds, late * 1000


def beside(work: Path, seconds: float) -> tuple[float, float]:
    """Return the same from the start of a capture on the same processor."""
    out = work / "beside"
    out.mkdir()
    command = [
        "taskset",
        "-c",
        "0",
        str(BIN / "hozen"),
        "-q",
        "capture",
        *CASE,
        "--out",
        str(out),
        "--allow-local",
    ]
    running = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        return victim(seconds)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def gates(work: Path, megabytes: int, processes: int, files: int) -> list[Gate]:
    """Measure everything once."""
    pids = plant(megabytes, processes, files)
    before, after = Path("/run/before"), Path("/run/after")
    atimes(before)  # the first look changes those of directories itself
    looked_at = atimes(before)
    spent, about, left = capture(work)
    atimes(after)
    tar = cost(["tar", "czf", str(work / "t.tgz"), "/var/log", "/etc"], runs=1)
    alone = victim(6)
    busy = beside(work, 6)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    footprint = about["footprint"]
    assert isinstance(footprint, dict)
    return [
        Gate("standard capture, CPU", spent.cpu, 6, unit="s", why_not=_NO_SHA,
             detail=f"{spent.wall:.1f} s on the wall; the bundle says {footprint['cpu_ms']} ms"),
        Gate("standard capture / tar czf of the logs", spent.cpu / tar.cpu, 0.2, why_not=_NO_SHA,
             detail=f"{tar.cpu:.1f} s"),
        Gate("peak memory of a standard capture", spent.rss / 1024, 64, unit="MiB"),
        Gate("processes created by a standard capture", footprint["processes_created"], 10, unit="count"),
        Gate("throughput of a service beside it", busy[0] / alone[0], 0.97, least=True),
        Gate("its 99th percentile / alone", busy[1] / alone[1], 2, detail=f"{busy[1]:.3f} ms / {alone[1]:.3f} ms"),
        Gate("access times changed", changed(before, after), 0, unit="count", detail=f"of {looked_at}"),
        Gate("page cache left behind", left, 64, unit="MiB", detail="/var/log here is memory itself"),
    ]  # fmt: skip


def main() -> int:
    """Print one JSON line a gate."""
    work = Path(sys.argv[1])
    for gate in gates(work, *map(int, sys.argv[2:5])):
        row = [gate.name, gate.figure, gate.gate, gate.unit, gate.least, gate.why_not, gate.detail]
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
