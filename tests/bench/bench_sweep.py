"""CPU milliseconds of the first sweep beside ps and ss, at N processes in a pid namespace of its own.

Run: python tests/bench/bench_sweep.py [N …]   (default 200 and 5000). Prints one JSON line for each N.
Gates of the issue: sweep with interpreter start ≤ 3 × (ps + ss), at 200 processes < 57 ms; the standard snapshot of
5,000 processes (the first sweep, redacted, packed and hashed) ≤ 2.5 × ps. "all of processes" adds the deep pass, the
hashes of programs, the records and what was recovered.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import hozen_agent
import hozen_hashes

ROUNDS = 5
PATHS = [str(Path(p.__file__ or "").parents[1]) for p in (hozen_agent, hozen_hashes)]
HEAD = f"import sys; sys.path[:0] = {PATHS!r}; import os; proc = os.open('/proc', 65536); "
SWEEP = HEAD + "from hozen_agent.proc.sweep import sweep; s = sweep(proc, utmp=b'/nonexistent'); "
RECORD = (
    SWEEP + "from hozen_agent.redaction.redact import Redactor; "
    "from hozen_agent.proc.snapshot import sweep_tar; import hashlib; "
    "h = hashlib.sha256(); [h.update(p) for p in sweep_tar(s, Redactor(), {})]"
)
DEEP = (
    SWEEP
    + "from hozen_agent.redaction.redact import Redactor; from hozen_agent.context import Context; import hashlib; "
    "from hozen_agent.workers.pool import ReaderPool; from hozen_agent.reading.reader import FileReader; "
    "from hozen_agent.artifacts import processes, recovered; root = os.open('/', os.O_PATH); "
    "pool = ReaderPool.start(root=root, proc=proc, note=print); "
    "ctx = Context(proc=proc, root=root, sweep=s, redactor=Redactor(), files=FileReader(pool), "
    "match=lambda p: iter(()), note=print); h = hashlib.sha256(); "
    "[h.update(p) for f in (processes, recovered) for a in f.collect(ctx) for p in a.data or ()]; pool.stop()"
)
PYTHON = os.path.realpath(sys.executable)
COMMANDS = {
    "ps": ["ps", "-eo", "pid,ppid,lstart,user,stat,args"],
    "ss": ["ss", "-tanp"],
    "python": [PYTHON, "-I", "-S", "-c", "pass"],
    "sweep": [PYTHON, "-I", "-S", "-c", SWEEP],
    "sweep+redact+tar+sha256": [PYTHON, "-I", "-S", "-c", RECORD],
    "all of processes": [PYTHON, "-I", "-S", "-c", DEEP],
}


def say(text: str) -> None:
    """Write one line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def cost(command: list[str]) -> tuple[float, int]:
    """Return the least CPU milliseconds of ROUNDS runs, and the peak RSS in MiB."""
    best, peak = 1e9, 0
    for _ in range(ROUNDS):
        pid = os.posix_spawn(
            command[0] if "/" in command[0] else f"/usr/bin/{command[0]}",
            command,
            {"PATH": "/usr/bin:/bin"},
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)],
        )
        _, status, usage = os.wait4(pid, 0)
        if status:
            raise SystemExit(f"{command[0]} failed")
        best = min(best, (usage.ru_utime + usage.ru_stime) * 1000)
        peak = max(peak, usage.ru_maxrss // 1024)
    return best, peak


def inside(count: int) -> None:
    """Make `count` processes with 16 descriptors and two sockets each, and measure."""
    import socket

    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    children = []
    ready, done = os.pipe()
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            held: list[object] = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
            tcp = socket.socket()
            tcp.bind(("127.0.0.1", 0))
            tcp.listen()
            held += [tcp, socket.socketpair()]
            os.write(done, b"x")
            signal.pause()
            os._exit(0)
        children.append(pid)
    left = count
    while left:
        left -= len(os.read(ready, 65536))
    found = {name: cost(command) for name, command in COMMANDS.items()}
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    stock = found["ps"][0] + found["ss"][0]
    say(json.dumps({
        "processes": count,
        **{f"{name}_ms": round(ms, 1) for name, (ms, _) in found.items()},
        "sweep_to_ps_and_ss": round(found["sweep"][0] / stock, 2),
        "record_to_ps_and_ss": round(found["sweep+redact+tar+sha256"][0] / stock, 2),
        "record_to_ps": round(found["sweep+redact+tar+sha256"][0] / found["ps"][0], 2),
        "all_of_processes_to_ps": round(found["all of processes"][0] / found["ps"][0], 2),
        "rss_mib": found["sweep+redact+tar+sha256"][1],
        "all_of_processes_rss_mib": found["all of processes"][1],
    }))  # fmt: skip


def main() -> None:
    """Measure for each N given, each in namespaces of its own."""
    if os.environ.get("HOZEN_BENCH_INSIDE"):
        inside(int(sys.argv[1]))
        return
    flags = ["-pfmn", "--mount-proc"] if os.geteuid() == 0 else ["-Urpfmn", "--mount-proc"]
    for count in sys.argv[1:] or ["200", "5000"]:
        begun = time.monotonic()
        subprocess.run(
            ["unshare", *flags, sys.executable, __file__, count],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/nonexistent",
                "HOZEN_BENCH_INSIDE": "1",
            },
            check=True,
        )
        sys.stderr.write(f"# {count} processes: {time.monotonic() - begun:.1f} s\n")


if __name__ == "__main__":
    main()
