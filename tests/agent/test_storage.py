"""Disks and mounts as records, from planted sysfs trees and from a host in namespaces of its own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.artifacts import storage
from hozen_agent.kernel.storagerecords import storage_record
from hozen_agent.proc.sweep import ERROR, FILE, LINK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Evidence = Any

_SYS = {
    "sda/dev": "8:0", "sda/size": "2048", "sda/ro": "0", "sda/removable": "1", "sda/queue/rotational": "1",
    "sda/device/model": "Stick", "sda/device/serial": "X1", "sda/sda1/partition": "1", "sda/sda1/start": "2048",
    "sda/sda1/size": "100", "dm-0/dm/name": "vault", "dm-0/dm/uuid": "CRYPT-LUKS2-0123-vault", "dm-0/size": "50",
    "md0/md/level": "raid1", "md0/md/degraded": "1", "loop0/loop/backing_file": "/tmp/img\n", "loop0/size": "8",
}  # fmt: skip
_MOUNTS = b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:50 / /mnt/x rw - nfs4 server:/x rw\n"


def _planted(root: Path) -> None:
    for name, text in _SYS.items():
        place = root / "sys/block" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (root / "sys/block/sda/sda1/holders").mkdir()
    (root / "sys/block/sda/sda1/holders/dm-0").touch()
    (root / "dev/disk/by-uuid").mkdir(parents=True)
    (root / "dev/disk/by-uuid/AB-CD").symlink_to("../../sda1")
    (root / "proc/1").mkdir(parents=True)
    (root / "proc/1/mountinfo").write_bytes(_MOUNTS)
    (root / "proc/swaps").write_text("Filename Type Size Used Priority\n/swapfile file 1024 4 -2\n")
    (root / "proc/mdstat").write_text("Personalities : [raid1]\n")


def test_disks_partitions_layers_and_mounts_are_in_one_record(
    tmp_path: Path, context_of: Callable[..., Any]
) -> None:
    _planted(tmp_path)
    raw, derived = list(storage.collect(context_of(tmp_path / "proc", tmp_path)))[:2]
    record = json.loads(b"".join(bytes(c) for c in derived.data or ()))
    disks = {disk["name"]: disk for disk in record["disks"]}
    assert disks["sda"]["size"] == str(2048 * 512)
    assert disks["sda"]["removable"] is True
    assert disks["sda"]["serial"] == "X1"
    assert disks["sda"]["partitions"] == [
        {"name": "sda1", "number": "1", "start": str(2048 * 512), "size": str(100 * 512), "above": ["dm-0"]}
    ]  # fmt: skip
    assert disks["dm-0"]["mapper"]["kind"] == "crypt"
    assert disks["md0"]["raid"] == {"degraded": "1", "level": "raid1"}
    assert disks["loop0"]["loop"]["backing_file"] == "/tmp/img"
    assert record["names"] == {"by-uuid/AB-CD": "sda1"}
    assert [(m["point"], m["remote"]) for m in record["mounts"]] == [("/", False), ("/mnt/x", True)]
    assert record["swaps"][0] == {"path": "/swapfile", "type": "file", "size": "1048576", "used": "4096"}  # fmt: skip
    assert derived.derived_from == (raw.tag,)


def test_how_full_a_file_system_is_agrees_with_statvfs(evidence: Evidence) -> None:
    usage = storage._usage(evidence.pool)
    told = os.statvfs(evidence.root)
    assert usage[b"/"]["size"] == str(told.f_blocks * told.f_frsize)
    assert "error" not in usage[b"/"]


def test_volume_descriptions_are_captured_and_no_key_is(evidence: Evidence) -> None:
    evidence.write("/etc/fstab", b"UUID=x / ext4\n")
    evidence.write("/etc/lvm/backup/vg0", b"vg0 {}\n")
    evidence.write("/etc/luks/disk.key", b"secret")
    context = evidence.context()
    empty = evidence.root / "empty"
    empty.mkdir()
    context.proc = context.root = os.open(empty, os.O_RDONLY)
    found = {attempt.source for attempt in storage.collect(context)}
    os.close(context.root)
    assert {b"/etc/fstab", b"/etc/lvm/backup/vg0"} <= found
    assert b"/etc/luks/disk.key" not in found


_NAMES = st.sampled_from(
    [b"sys/block/a/size", b"sys/block/a/a1/partition", b"sys/block/a/dm/uuid", b"proc/1/mountinfo", b"proc/swaps",
     b"dev/disk/by-id/x", b"sys/block/a/md/level", b"sys/block/a/loop/backing_file", b"sys/block/a/slaves"]
)  # fmt: skip


@given(
    st.lists(
        st.tuples(_NAMES, st.sampled_from([FILE, LINK, ERROR]), st.binary(max_size=60), st.just(0))
    )
)
def test_any_texts_make_a_record(entries: list[tuple[bytes, str, bytes, int]]) -> None:
    assert set(storage_record(entries, {})) == {"disks", "names", "mounts", "swaps", "raid"}


def test_passwords_of_mounts_stay_on_the_host(evidence: Any) -> None:
    evidence.write(
        "/etc/fstab", b"//files/share /srv cifs username=sato,password=Hunter2hunter2 0 0\n"
    )
    ((attempt, data),) = evidence.collect("storage")[b"/etc/fstab"]
    assert b"Hunter2" not in data
    assert b"//files/share /srv cifs username=sato" in data
    assert attempt.redacted
