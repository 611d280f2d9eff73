"""CPU milliseconds of the `sockets` artifact beside `ss -tanp`, with processes and namespaces of its own.

Run: python tests/bench/bench_sockets.py [N …]   (default 200 and 5000 processes, each with a listener and a pair of
unix sockets; every hundredth in a network namespace of its own, and four namespaces without a process). Prints one JSON
line for each N. Gate of the issue, at 5,000 processes: sockets of all namespaces, after the first sweep, ≤ 1.1 ×
`ss -tanp`, which sees one namespace. Reading /proc/net/tcp and tcp6 walks the kernel's table, in each namespace again.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import hozen_agent
import hozen_hashes

ROUNDS = 5
NEW_NET = 0x4000_0000
PATHS = [str(Path(p.__file__ or "").parents[1]) for p in (hozen_agent, hozen_hashes)]


def cpu() -> float:
    """Return CPU seconds of this process and of its children that have ended."""
    found = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in found)


def stock(command: list[str]) -> float:
    """Return the least CPU milliseconds of a stock tool."""
    best = 1e9
    for _ in range(ROUNDS):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as tool:
            _, status, usage = os.wait4(tool.pid, 0)
            tool.returncode = status
        best = min(best, (usage.ru_utime + usage.ru_stime) * 1000)
    return best


def everywhere(pids: list[int]) -> float:
    """Return the least CPU milliseconds of `ss -tanp` in each network namespace, one after the other."""
    places = {os.readlink(f"/proc/{pid}/ns/net"): f"/proc/{pid}/ns/net" for pid in pids}
    paths = [*places.values(), *(f"/run/netns/n{n}" for n in range(1, 5))]
    return sum(stock(["nsenter", f"--net={path}", "ss", "-tanp"]) for path in paths)


def ours() -> tuple[float, int]:
    """Return the least CPU milliseconds of the artifact, helpers included, and how many sockets were recorded."""
    from hozen_agent.artifacts import sockets
    from hozen_agent.context import Context
    from hozen_agent.proc.sweep import sweep
    from hozen_agent.reading.reader import FileReader
    from hozen_agent.redaction.redact import Redactor
    from hozen_agent.workers.pool import ReaderPool

    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    redactor = Redactor()
    best, lines = 1e9, 0
    for _ in range(ROUNDS):
        swept = sweep(proc, utmp=b"/nonexistent")
        begun = cpu()
        pool = ReaderPool.start(root=root, proc=proc, note=lambda _: None)
        ctx = Context(
            proc=proc, root=root, sweep=swept, redactor=redactor, files=FileReader(pool), match=lambda _: iter(()),
            note=lambda _: None,
        )  # fmt: skip
        for attempt in sockets.collect(ctx):
            pieces = list(attempt.data or ())
            lines = len(pieces)
        pool.stop()
        best = min(best, (cpu() - begun) * 1000)
    return best, lines


def child(number: int, done: int) -> None:
    """Hold sockets for ever; never returns."""
    import socket

    if number % 100 == 0:
        ctypes.CDLL(None).unshare(NEW_NET)
    held: list[object] = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
    listener = socket.socket()
    listener.bind(("0.0.0.0", 0))
    listener.listen()
    held += [listener, socket.socketpair()]
    os.write(done, b"x")
    signal.pause()
    os._exit(0)


def inside(count: int) -> None:
    """Make the processes and namespaces, and measure."""
    plant = "mount -t tmpfs t /run; for n in 1 2 3 4; do ip netns add n$n; done"
    subprocess.run(plant, shell=True, check=True)
    ready, done = os.pipe()
    children = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            child(number, done)
        children.append(pid)
    left = count
    while left:
        left -= len(os.read(ready, 65536))
    tool, (mine, lines) = stock(["ss", "-tanp"]), ours()
    tools = everywhere(children[:1000])
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    found = {
        "processes": count,
        "records": lines,
        "ss_ms": round(tool, 1),
        "sockets_ms": round(mine, 1),
        "sockets_to_ss": round(mine / tool, 2),
        "ss_of_the_same_namespaces_ms": round(tools, 1),
        "sockets_to_ss_of_the_same": round(mine / tools, 2),
    }
    sys.stdout.write(json.dumps(found) + "\n")


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
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "HOZEN_BENCH_INSIDE": "1"},
            check=True,
        )  # fmt: skip
        sys.stderr.write(f"# {count} processes: {time.monotonic() - begun:.1f} s\n")


if __name__ == "__main__":
    main()
