"""`make bench`: every floor in one run, as ratios to stock tools on the same files; exit 1 when a gate is missed.

Everything runs in namespaces of its own with an empty environment: no process and no log of this machine is read.

usage: run.py [--quick] [--json] [--only NAME]   NAME: first, sweep, read, capture, standard, ingest
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Gate, cost, cpu_features

HERE = Path(__file__).resolve().parent
ENV = {
    "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
}
ISOLATE = [
    "unshare",
    *([] if os.geteuid() == 0 else ["-Ur"]),
    "-pfm",
    "--mount-proc",
    "--kill-child",
]
NO_SHA = "" if "sha_ni" in cpu_features() else "no SHA extensions in this processor"
_FIRST = (
    "import sys; sys.argv = ['hozen', 'capture']; from hozen_hashes import front; front._stage_0()"
)
_READ = (
    "import sys, json; sys.path.insert(0, {here!r}); from pathlib import Path; import bench_reader as b; "
    "p = Path({place!r}); print(json.dumps([b.stock(['sha256sum', str(p / 'large.log')]), b.measured(p, hashed=True)]))"
)


def isolated(command: list[str], *, setup: str = "") -> str:
    """Return what `command` prints in namespaces of its own; its failure is ours."""
    words = ["bash", "-c", f'{setup or ":"} && exec "$@"', "bash", *command]
    done = subprocess.run(
        [*ISOLATE, *words], env=ENV, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def first(*, quick: bool) -> list[Gate]:
    """How soon after exec the first sweep is in memory, from source."""
    spent = cost(
        [
            "env",
            "-i",
            *(f"{k}={v}" for k, v in ENV.items()),
            *ISOLATE,
            sys.executable,
            "-c",
            _FIRST,
        ],
        runs=3 if quick else 9,
    )
    nothing = cost([*ISOLATE, "true"], runs=3)
    return [
        Gate(
            "first volatile record after exec", (spent.cpu - nothing.cpu) * 1000, 60, unit="ms CPU"
        )
    ]


def sweep(*, quick: bool) -> list[Gate]:
    """Processes, sockets and sessions with pids beside ps and ss."""
    done = subprocess.run(
        [sys.executable, str(HERE / "bench_sweep.py"), "200", *([] if quick else ["5000"])],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
    )  # fmt: skip
    gates = []
    for line in done.stdout.splitlines():
        found = json.loads(line)
        detail = f"{found['sweep_ms']} ms / {found['ps_ms'] + found['ss_ms']:.1f} ms, {found['rss_mib']} MiB"
        name = f"processes + sockets + sessions, {found['processes']} processes / ps + ss"
        gates.append(Gate(name, found["sweep_to_ps_and_ss"], 3, detail=detail))
    return gates


def read(*, quick: bool) -> list[Gate]:
    """Read and hash of a large file beside sha256sum."""
    place = Path(tempfile.mkdtemp(prefix="hozen-bench-", dir="/dev/shm"))
    try:
        with (place / "large.log").open("wb") as file:
            for _ in range(128 if quick else 512):
                file.write(os.urandom(1 << 16) * 16)
        script = _READ.format(here=str(HERE), place=str(place))
        stock, (spent, *_) = json.loads(isolated([sys.executable, "-c", script]).splitlines()[-1])
    finally:
        shutil.rmtree(place)
    return [
        Gate(
            "read + hash / sha256sum",
            spent / stock,
            0.35,
            why_not=NO_SHA,
            detail=f"{spent:.2f} s / {stock:.2f} s",
        )
    ]


def _gate(line: str) -> Gate:
    """Return the gate that a part printed as one JSON line."""
    name, figure, gate, unit, least, why_not, detail = json.loads(line)
    return Gate(name, figure, gate, unit, least, why_not, detail)


def capture(*, quick: bool) -> list[Gate]:
    """A whole capture, a million small files, memory, processes, verification."""
    work = Path(tempfile.mkdtemp(prefix="hozen-bench-"))
    try:
        sizes = ["64", "20000"] if quick else ["512", "1000000"]
        out = isolated(
            [sys.executable, str(HERE / "bench_capture.py"), str(work), *sizes],
            setup="mount -t tmpfs tmpfs /var/log",
        )
    finally:
        shutil.rmtree(work)
    return list(map(_gate, out.splitlines()))


def standard(*, quick: bool) -> list[Gate]:
    """The whole standard capture of a synthetic host, and a service beside it."""
    work = Path(tempfile.mkdtemp(prefix="hozen-bench-"))
    kept = {
        "p": sys.base_prefix,
        "w": str(work),
    }  # the interpreter may live in one of the places that are hidden
    hidden = ("/var/log", "/home", "/root", "/usr/share", "/tmp", "/var/tmp")
    steps = ["mount -t tmpfs tmpfs /run"]
    steps += [f"mkdir /run/{k} && mount --rbind {place} /run/{k}" for k, place in kept.items()]
    steps += [f"mount -t tmpfs tmpfs {place}" for place in hidden]
    steps += [f"mkdir -p {place} && mount --rbind /run/{k} {place}" for k, place in kept.items()]
    steps += [f"umount -R -l /run/{k}" for k in kept]
    try:
        sizes = ["40", "40", "5000"] if quick else ["400", "150", "56000"]
        out = isolated(
            [sys.executable, str(HERE / "bench_standard.py"), str(work), *sizes],
            setup=" && ".join(steps),
        )
    finally:
        shutil.rmtree(work)
    return list(map(_gate, out.splitlines()))


def ingest(*, quick: bool) -> list[Gate]:
    """Taking a bundle in beside dd to the same disk."""
    work = Path(tempfile.mkdtemp(prefix="hozen-bench-"))
    try:
        out = isolated(
            [sys.executable, str(HERE / "bench_ingest.py"), str(work), "128" if quick else "512"]
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return list(map(_gate, out.splitlines()))


def filesystem(*, quick: bool) -> list[Gate]:
    """The bodyfile beside find -printf with the same fields, and its memory."""
    place = Path(tempfile.mkdtemp(prefix="hozen-bench-", dir="/dev/shm"))
    count = "20000" if quick else "1000000"
    try:
        command = [sys.executable, str(HERE / "bench_filesystem.py"), str(place), count]
        found = json.loads(isolated(command).splitlines()[-1])
    finally:
        shutil.rmtree(place)
    detail = f"{found['seconds']:.2f} s / {found['find_seconds']:.2f} s"
    name = f"bodyfile of {found['files']} files"
    ratio = found["seconds"] / found["find_seconds"]
    return [
        Gate(f"{name} / find -printf", ratio, 2, detail=detail),
        Gate(f"{name}, memory", found["rss_mib"], 64, unit="MiB"),
    ]


PARTS = {
    "first": first,
    "sweep": sweep,
    "read": read,
    "filesystem": filesystem,
    "capture": capture,
    "standard": standard,
    "ingest": ingest,
}


def main() -> int:
    """Run the parts, print the table, and return 1 when a gate is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small sizes: shows that it runs, the ratios mean little",
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=PARTS, action="append")
    options = parser.parse_args()
    features = cpu_features()
    say = sys.stderr.write if options.json else sys.stdout.write
    say(
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {os.cpu_count()} processors, "
    )
    say(f"features: {' '.join(features) or 'none of those that matter'}\n")
    gates: list[Gate] = []
    for name in options.only or PARTS:
        for gate in PARTS[name](quick=options.quick):
            gates.append(gate)
            say(gate.line() + "\n")
            sys.stdout.flush()
    if options.json:
        rows = [
            {"name": g.name, "figure": g.figure, "gate": g.gate, "unit": g.unit, "held": g.held}
            for g in gates
        ]
        sys.stdout.write(json.dumps({"features": features, "gates": rows}, indent=2) + "\n")
    return 0 if all(gate.held for gate in gates) else 1


if __name__ == "__main__":
    sys.exit(main())
