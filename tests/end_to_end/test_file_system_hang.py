"""Mounts that never answer, on a host of our own: the families of the file system end, and say what they left out."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

Host = Any

_PROFILE = """
name: files-only
version: 1
description: {en: "Files.", ja: "ファイル。"}
artifacts: [storage, temporary_files, filesystem, executables]
limits:
  item: 64MiB
  family: 1GiB
  total: 4GiB
  deadline: 10m
  free_space_floor: 1MiB
  free_space_floor_share: 0%
  nice: 0
  io_class: idle
"""
_HUNG = Path(__file__).parents[1] / "support" / "hung_fuse.py"
_SETUP = f"""
mount --bind . /mnt; mount -t tmpfs tmpfs /dev/shm; cd /mnt
mount -t tmpfs tmpfs /usr/share; mount -t tmpfs tmpfs /usr/lib/python3; mkdir -p /opt/dead /tmp/dead /opt/alive
printf 'x' >/opt/alive/prog; chmod 755 /opt/alive/prog
for place in /opt/dead /tmp/dead; do
  python3 {_HUNG} $place ready.txt & until [ -s ready.txt ]; do sleep 0.05; done; cat ready.txt; rm ready.txt
done
"""


@pytest.mark.root
def test_dead_mounts_are_left_out_by_name_and_nothing_waits_for_them(
    host: Host, case_options: str, tmp_path: Path
) -> None:
    (tmp_path / "files.yaml").write_text(_PROFILE, encoding="utf-8")
    began = time.monotonic()
    done = host.run(
        f"hozen capture {case_options} --profile ./files.yaml --out usb --allow-local -q; echo code $?; kill %1 %2",
        setup=_SETUP,
        timeout=200,
    )
    if "mountedmounted" not in done.stdout:
        pytest.skip(f"no FUSE here: {done.stdout}")
    assert "code 0" in done.stdout, done.stdout + done.stderr
    assert time.monotonic() - began < 100
    (bundle,) = (tmp_path / "usb").glob("*.zip")
    with zipfile.ZipFile(bundle) as archive:
        ours = [
            name for name in archive.namelist() if "/data/" in name and "/temporary" not in name
        ]
        texts = {name: archive.read(name) for name in ours}
        said = b"".join(archive.read(n) for n in archive.namelist() if "/hozen/journal" in n)
    whole = b"".join(texts.values())
    trees = json.loads(next(text for text in texts.values() if b'"not_entered":' in text))
    left = dict(trees["not_entered"])
    assert "fuse mount" in left["/opt/dead"]
    assert "fuse mount" in left["/tmp/dead"]
    assert all(tree["state"] in {"walked", "missing", "link"} for tree in trees["trees"])
    assert b"abandoned" not in said
    assert b"0|/opt/alive/prog|" in whole
    assert b'"/opt/alive/prog","result":"no_package"' in whole
    assert b"not asked: a fuse mount" in whole
