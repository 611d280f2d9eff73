"""A whole capture against stock tools on the same files: copy + hash + deflate, a million small files, verify.

Run inside the namespaces that run.py makes; `/var/log` there is a tmpfs of ours.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from measure import Cost, Gate, cost, cpu_features

BIN = Path(sys.executable).parent
CASE = [
    *["--case", "BENCH", "--operator", "bench", "--organisation", "bench", "--contact", "bench"],
    *["--authority", "bench", "--purpose", "bench", "--owner", "bench"],
]
PROFILE = """name: bench
version: 1
description: {en: "logs only", ja: "ログのみ"}
artifacts: [linux_logs]
limits: {item: 64GiB, family: 512GiB, total: 2TiB, free_space_floor: 1MiB, free_space_floor_share: 0%}
"""


def log_text(path: Path, size: int) -> None:
    """Write synthetic log lines of the usual kind, the same at every run."""
    chance = random.Random(path.name)
    with path.open("w", encoding="ascii") as file:
        while file.tell() < size:
            lines = [
                f"Nov {chance.randrange(1, 29):2} {chance.randrange(24):02}:{chance.randrange(60):02}:"
                f"{chance.randrange(60):02} web01 sshd[{chance.randrange(30000)}]: Accepted publickey for user"
                f"{chance.randrange(50)} from 192.0.2.{chance.randrange(255)} port {chance.randrange(65535)} ssh2\n"
                for _ in range(2000)
            ]
            file.write("".join(lines))


def capture(out: Path, profile: Path) -> tuple[Cost, Path, dict[str, object]]:
    """Capture with the profile; return its cost, the container and what the command said."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    said = out.parent / "said.json"
    spent = cost(
        [
            str(BIN / "hozen"),
            "-q",
            "capture",
            *CASE,
            "--profile",
            str(profile),
            "--out",
            str(out),
            "--allow-local",
            "--json",
        ],
        runs=1,
        stdout=said,
    )
    facts: dict[str, object] = json.loads(said.read_text(encoding="utf-8"))
    return spent, next(out.glob("*.zip")), facts


def bulk(work: Path, megabytes: int) -> list[Gate]:
    """Measure copy + hash + deflate, read-back and verification of `megabytes` of logs."""
    logs = Path("/var/log")
    for number in range(4):
        log_text(logs / f"app{number}.log", megabytes * (1 << 20) // 4)
    profile = work / "bench.yaml"
    profile.write_text(PROFILE, encoding="utf-8")
    files = sorted(map(str, logs.glob("app*")))
    spent, container, facts = capture(work / "out", profile)
    tar = cost(["tar", "czf", str(work / "t.tgz"), *files], runs=1)
    gzip = cost(["sh", "-c", 'cat "$@" | gzip -1', "sh", *files], runs=1, stdout=work / "g.gz")
    sums = cost(["sha256sum", *files], runs=1)
    seal = str(facts["seal"])
    verify = cost([str(BIN / "hozen"), "-q", "verify", "--seal", seal, str(container)], runs=1)
    no_sha = "" if "sha_ni" in cpu_features() else "no SHA extensions in this processor"
    total = sum(os.path.getsize(f) for f in files)
    for file in files:
        os.unlink(file)
    return [
        Gate("capture (read + hash + deflate + seal + read back) / tar czf", spent.cpu / tar.cpu, 0.2, why_not=no_sha,
             detail=f"{spent.cpu:.2f} s / {tar.cpu:.2f} s for {total >> 20} MiB"),
        Gate("bundle size / gzip -1", container.stat().st_size / (work / "g.gz").stat().st_size, 1.1,
             detail=f"{gzip.cpu:.2f} s gzip -1"),
        Gate("verify / sha256sum", verify.cpu / sums.cpu, 0.5, why_not=no_sha,
             detail=f"{verify.cpu:.2f} s / {sums.cpu:.2f} s"),
        Gate("peak memory of a capture", spent.rss / 1024, 64, unit="MiB"),
    ]  # fmt: skip


def many(work: Path, count: int) -> list[Gate]:
    """Measure a capture of `count` small files."""
    logs = Path("/var/log/many")
    folder = logs
    for number in range(count):
        if number % 1000 == 0:
            folder = logs / f"{number // 1000:04}"
            folder.mkdir(parents=True)
        (folder / f"{number % 1000:03}.log").write_bytes(b"small file %d\n" % number)
    profile = work / "bench.yaml"
    profile.write_text(PROFILE, encoding="utf-8")
    spent, container, facts = capture(work / "out", profile)
    tar = cost(["tar", "cf", str(work / "t.tar"), str(logs)], runs=1)
    items = int(str(facts["items"]))
    if items < count:
        raise RuntimeError(f"only {items} of {count} files were captured")
    info = subprocess.run(
        ["unzip", "-p", str(container), "*/hozen/bundle.json"], capture_output=True, check=True
    ).stdout
    made = json.loads(info)["footprint"]["processes_created"]
    return [
        Gate(
            f"{count} small files / tar cf",
            spent.cpu / tar.cpu,
            1.5,
            detail=f"{spent.cpu:.1f} s / {tar.cpu:.1f} s",
        ),
        Gate(f"peak memory, {count} items", spent.rss / 1024, 64, unit="MiB"),
        Gate("processes created by a capture", made, 10, unit="count"),
    ]


def main() -> int:
    """Print one JSON line a gate."""
    work, megabytes, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for gate in [*bulk(work, megabytes), *many(work, count)]:
        sys.stdout.write(
            json.dumps(
                [
                    gate.name,
                    gate.figure,
                    gate.gate,
                    gate.unit,
                    gate.least,
                    gate.why_not,
                    gate.detail,
                ]
            )
            + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
