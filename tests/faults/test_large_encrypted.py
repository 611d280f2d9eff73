"""Twenty gigabytes, encrypted for an age key and for a certificate, in constant memory; stock tools open the result.

The source is one file of an XFS whose 320 stretches share the same 64 MiB on disk: only the ciphertext takes 20 GB.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from synthetic_host import Host

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.timeout(3600),
    *(pytest.mark.needs(tool) for tool in ("age", "age-keygen", "openssl", "bsdtar", "mkfs.xfs")),
]
SIZE = int(os.environ.get("HOZEN_LARGE_MIB", "20480")) << 20
RSS_KIB = 64 << 10
_STRETCH = 64 << 20

_PROFILE = """name: logs
version: 1
description: {en: "logs only", ja: "ログのみ"}
artifacts: [linux_logs]
limits: {item: 64GiB, family: 64GiB, total: 64GiB, nice: 0, io_class: none, cpu_share: 100%, free_space_floor: 1GiB}
"""
# The peak of the largest process of a command, its workers among them, as the operating system counted it.
_MEASURE = """import json, resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.call(sys.argv[2:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(sys.argv[1], "w") as file:
    json.dump({"code": code, "seconds": round(time.monotonic() - began, 1), "rss_kib": peak}, file)
"""
# FICLONERANGE of linux/fs.h: the same blocks again and again.
_GROW = """import fcntl, os, struct, sys
seed, large = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
size = os.fstat(seed).st_size
for number in range(int(sys.argv[3])):
    fcntl.ioctl(large, 0x4020940D, struct.pack("<qQQQ", seed, 0, size, number * size))
"""
_SETUP = f"""
age-keygen -o key.txt 2>/dev/null; TO=$(sed -n 's/.*public key: //p' key.txt)
truncate -s {(SIZE >> 30) + 4}G xfs.img; mkfs.xfs -q -m reflink=1 xfs.img
mkdir /var/log/large; mount -o loop xfs.img /var/log/large
cp seed.bin /var/log/large/seed.dat; python grow.py /var/log/large/seed.dat /var/log/large/big.log {SIZE // _STRETCH}
rm /var/log/large/seed.dat; sync
"""


def _source_sha256(seed: bytes) -> str:
    digest = hashlib.sha256()
    for _ in range(SIZE // _STRETCH):
        digest.update(seed)
    return digest.hexdigest()


def _measured(host: Host, name: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((host.work / f"{name}.json").read_text(encoding="ascii"))
    peak = found["rss_kib"] / 1024
    sys.stdout.write(f"{name} of {SIZE >> 20} MiB: {found['seconds']} s, peak {peak:.1f} MiB\n")
    return found


def _stock(work: Path, opener: str) -> tuple[str, str]:
    """Return the SHA-256 of what stock tools decrypt, and that of the large file by the manifest inside."""
    script = f"""set -o pipefail
        {opener} | tee >(sha256sum >stock.sum) | bsdtar -xOf - --include='*/manifest-sha256.txt' >manifest || exit 9
        cat >/dev/null; while [ ! -s stock.sum ]; do sleep 0.1; done; cat stock.sum; rm stock.sum"""
    run = subprocess.run(["bash", "-c", script], cwd=work, capture_output=True, text=True, check=False,
                         stdin=subprocess.DEVNULL)  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout.split()[0], (work / "manifest").read_text(encoding="ascii")


def test_20_gigabytes_are_encrypted_in_constant_memory_and_opened_by_stock_tools(
    host: Host, case_options: str
) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-keyout", "rsa.key", "-out", "rsa.pem",
         "-days", "30", "-subj", "/CN=Vendor"], cwd=host.work, check=True, capture_output=True,
    )  # fmt: skip
    (host.work / "logs.yaml").write_text(_PROFILE, encoding="utf-8")
    (host.work / "measure.py").write_text(_MEASURE, encoding="utf-8")
    (host.work / "grow.py").write_text(_GROW, encoding="utf-8")
    seed = os.urandom(_STRETCH)
    (host.work / "seed.bin").write_bytes(seed)
    script = f"""
        python measure.py capture.json hozen -q capture {case_options} --profile ./logs.yaml --allow-local \\
          --out usb --recipient "$TO" --recipient rsa.pem
        python measure.py verify.json hozen -q verify --identity key.txt usb/*.zip.age"""
    run = host.run(script, setup=_SETUP, timeout=3000)
    bundle = next((host.work / "usb").glob("*.zip.age"), None)
    assert bundle is not None, run.stderr
    assert bundle.stat().st_size > SIZE
    spent, checked = _measured(host, "capture"), _measured(host, "verify")
    assert spent["code"] == 0
    assert spent["rss_kib"] <= RSS_KIB
    assert checked["code"] == 2, "consistent; nobody from outside vouches"
    assert checked["rss_kib"] <= RSS_KIB
    by_age = _stock(host.work, f"age -d -i key.txt {bundle}")
    p7m = next((host.work / "usb").glob("*.envelope/key-01.p7m"))
    opener = f"openssl cms -decrypt -inform DER -inkey rsa.key -in {p7m} | age -d -i - {bundle}"
    assert _stock(host.work, opener) == by_age
    assert _source_sha256(seed) in by_age[1]
    bundle.unlink()
