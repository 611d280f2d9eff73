"""The file-system families in a whole capture: outcomes, access times, and a bodyfile that agrees with find."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Host = Any

_PROFILE = """
name: files-only
version: 1
description: {en: "Files.", ja: "ファイル。"}
artifacts: [storage, temporary_files, packages, filesystem, executables]
limits:
  item: 64MiB
  family: 1GiB
  total: 4GiB
  deadline: 10m
  free_space_floor: 1MiB
  free_space_floor_share: 0%
  nice: 0
  io_class: idle
epoch: {seconds: 2s, bytes: 64MiB}
redaction: true
"""
_PATHS = "/etc /etc/x /etc/x/link /etc/cron.d/evil /usr/local/bin /usr/local/bin/evil /home/sato /tmp /tmp/left"
_LOOK = f"stat -c '%n %x' {_PATHS}"
_SETUP = f"""
mount --bind . /mnt; mount -t tmpfs tmpfs /dev/shm; cd /mnt
mount -t tmpfs -o strictatime tmpfs /usr/local; mount -o remount,strictatime /etc
mkdir -p /usr/local/bin /etc/x; ln -s target /etc/x/link; printf 'loot' >/tmp/left
printf 'evil' >/usr/local/bin/evil; chmod 4755 /usr/local/bin/evil
{_LOOK} >before.txt; sleep 0.02
"""


def _items(bundle: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    records, data = [], {}
    with zipfile.ZipFile(bundle) as archive:
        for name in archive.namelist():
            path = name.partition("/")[2]
            if path.startswith("hozen/files/"):
                records += [json.loads(line) for line in archive.read(name).splitlines()]
            elif path.startswith(("data/filesystem/", "data/executables/", "data/storage/")):
                data[path] = archive.read(name)
    return records, data


def test_the_families_of_the_file_system_are_captured_whole(
    host: Host, case_options: str, tmp_path: Path
) -> None:
    (tmp_path / "files.yaml").write_text(_PROFILE, encoding="utf-8")
    done = host.run(
        f"hozen capture {case_options} --profile ./files.yaml --out usb --allow-local -q; echo code $?\n"
        f"{_LOOK} >after.txt",
        setup=_SETUP,
        timeout=200,
    )
    assert "code 0" in done.stdout, done.stdout + done.stderr
    (bundle,) = (tmp_path / "usb").glob("*.zip")
    records, data = _items(bundle)
    own = {r["source"]: r for r in records if r["artifact"] in {"filesystem", "executables"}}
    body = own["filesystem:bodyfile"]
    assert body["outcome"] in {"captured", "truncated"}, body
    lines = data[body["path"]].splitlines()
    assert any(line.startswith(b"0|/etc/x/link -> target|") for line in lines)
    assert all(line.count(b"|") == 10 for line in lines)
    special = data[own["filesystem:special"]["path"]]
    assert b'"/usr/local/bin/evil","why":["suid"' in special
    programs = data[own["executables:files"]["path"]]
    assert b'"path":"/usr/local/bin/evil","result":"no_package"' in programs
    before, after = ((tmp_path / f"{when}.txt").read_text() for when in ("before", "after"))
    assert before == after
    assert len(before.splitlines()) == len(_PATHS.split())
    assert {r["artifact"] for r in records} >= {"storage", "packages", "temporary_files"}
