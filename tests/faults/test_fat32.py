"""A FAT32 stick, with the kernel's own vfat: here if it has one, else in a user-mode Linux."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from provable import judge

if TYPE_CHECKING:
    from synthetic_host import Host

pytestmark = [pytest.mark.slow, pytest.mark.root]

_PROFILE = """name: logs
version: 1
description: {en: "logs only", ja: "ログのみ"}
artifacts: [linux_logs]
limits: {free_space_floor: 1, free_space_floor_share: 0%}
epoch: {seconds: 2s, bytes: 256KiB}
"""
_LOGS = r"""
head -c 2000000 /dev/urandom | split -b 40000 -a 3 --additional-suffix=.log - /var/log/a
head -c 3000000 /dev/urandom >/var/log/big.log
"""
_INIT = r"""#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys
python=$(readlink -f {python})
for module in fat/fat nls/nls_cp437 nls/nls_iso8859-1 nls/nls_ascii fat/vfat; do
  "$python" -c 'import ctypes, os, sys
at = os.open(sys.argv[1], os.O_RDONLY); ctypes.CDLL(None).syscall(313, at, b"", 0)' {modules}/$module.ko
done
cd {work}; mount -t vfat /dev/ubda usb && {{ {run}; }} >said.txt 2>error.txt </dev/null
umount usb; sync; echo o >/proc/sysrq-trigger; sleep 9
"""


def _run_on_stick(host: Host, script: str, image: Path) -> str:
    """Run the script on a synthetic host whose medium is the FAT32 image; return what it printed."""
    if "\tvfat\n" in Path("/proc/filesystems").read_text(encoding="ascii"):
        run = host.run(script, setup=f"mount -o loop -t vfat {image} usb\n{_LOGS}")
        return run.stdout + run.stderr
    found = sorted(Path("/usr/lib/uml/modules").glob("*/kernel/fs"))
    if shutil.which("linux.uml") is None or not found:
        pytest.skip("no vfat in this kernel, and no user-mode-linux")
    init = host.work / "init.sh"
    inside = shlex.join(host.command(script, setup=_LOGS))
    python = Path("/usr/bin/python3")
    init.write_text(
        _INIT.format(python=python, modules=found[-1], work=host.work, run=inside), encoding="utf-8"
    )
    init.chmod(0o700)
    words = [
        "mem=768M",
        f"ubd0={image}",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        f"init={init}",
        "quiet",
    ]
    words += ["con=null", "con0=null,fd:2"]
    environment = {"PATH": os.environ["PATH"], "TMPDIR": "/dev/shm", "HOME": str(host.work)}
    done = subprocess.run(
        ["linux.uml", *words], env=environment, capture_output=True, timeout=200, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    said = host.work / "said.txt"
    if not said.exists():
        pytest.skip(f"user-mode Linux does not run here: {done.stderr[-300:]!r}")
    return said.read_text(encoding="utf-8") + (host.work / "error.txt").read_text(encoding="utf-8")


@pytest.mark.timeout(300)
def test_a_fat32_stick_takes_volumes_and_a_torn_capture_stays_provable(
    host: Host, case_options: str
) -> None:
    if shutil.which("mkfs.vfat") is None:
        pytest.skip("dosfstools is not installed")
    (host.work / "logs.yaml").write_text(_PROFILE, encoding="utf-8")
    image = host.work / "stick.img"
    image.touch()
    os.truncate(image, 100 << 20)
    subprocess.run(["mkfs.vfat", "-F", "32", image], check=True, capture_output=True)
    words = f"hozen -q capture {case_options} --profile ./logs.yaml --out usb"
    script = f"""
        stat -f -c 'type %t' usb
        {words} --json >said.json; echo "code $?"
        {words} --volume-size 1MiB --json >cut.json; echo "code $?"
        mkdir clear seen; cp usb/* clear/
        {words} --volume-size 1MiB & pid=$!
        until compgen -G "usb/*.journal/000004.sig" >/dev/null; do sleep 0.01; done
        kill -9 $pid; wait $pid; cp -r usb/*.partial* usb/*.journal seen/; ls -a usb >names.txt"""
    said = _run_on_stick(host, script, image)
    assert "type 4d44" in said, said
    assert said.count("code 0") == 2, said
    for name, volumes in (("said.json", 1), ("cut.json", 5)):
        result = json.loads((host.work / name).read_text(encoding="utf-8"))
        files = [host.work / "clear" / Path(file).name for file in result["files"]]
        assert len(files) >= volumes
        assert files[0].name.endswith(".zip.001")
        joined = b"".join(file.read_bytes() for file in files)
        assert hashlib.sha256(joined).hexdigest() == result["container_sha256"]
        check = host.run(f"hozen verify --json clear/{files[0].name}")
        assert '"integrity": "match"' in check.stdout, check.stderr
    assert judge(host.work / "seen").epochs >= 4
    assert ".hozen-probe" not in (host.work / "names.txt").read_text(encoding="utf-8")
