"""Disks, partitions, volumes, arrays, encrypted layers without their keys, mounts and how full they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.context import FileRequest
from hozen_agent.items import Attempt
from hozen_agent.kernel.storagerecords import storage_record
from hozen_agent.net.netconfig import MAX_FILE, cleaned
from hozen_agent.proc.entries import listing, read_entries
from hozen_agent.proc.snapshot import redacted
from hozen_agent.proc.sweep import ERROR, FILE, LINK
from hozen_agent.reading.mounts import PSEUDO
from hozen_agent.reading.ustar import tar_stream
from hozen_agent.workers import jobs, jobwork
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.sweep import Entry
    from hozen_agent.workers.pool import ReaderPool

_NAME: Final = "storage"
_MOST_DISKS: Final = 4096
_MOST_PARTS: Final = 256
_MOST_ASKED: Final = 512
_MOST_LOST: Final = 2
_PROC: Final = b"mdstat partitions swaps diskstats scsi/scsi".split()
_DISK: Final = (
    b"dev size ro removable hidden uevent queue/rotational queue/logical_block_size queue/physical_block_size "
    b"device/vendor device/model device/serial device/wwid device/rev device/type device/state "
    b"dm/name dm/uuid dm/suspended "
    b"md/level md/array_state md/raid_disks md/degraded md/metadata_version md/sync_action "
    b"md/uuid loop/backing_file loop/offset loop/sizelimit loop/autoclear"
).split()
_PART: Final = b"partition start size ro uevent".split()
_LISTS: Final = (b"slaves", b"holders")
_FILES: Final = (
    b"/etc/fstab", b"/etc/crypttab", b"/etc/mdadm/mdadm.conf", b"/etc/mdadm.conf", b"/etc/lvm/lvm.conf",
    b"/etc/multipath.conf", b"/etc/multipath/wwids", b"/etc/multipath/bindings", b"/etc/zfs/zpool.cache",
    b"/run/mount/utab",
)  # fmt: skip
_PATTERNS: Final = (
    b"/etc/fstab.d/*", b"/etc/lvm/backup/*", b"/etc/lvm/archive/*", b"/etc/lvm/devices/*", b"/run/mdadm/*",
)  # fmt: skip


@artifact(
    name=_NAME,
    rank=52,
    personal="none",
    en="Disks, partitions, volumes, arrays, encrypted layers, mounts and how full they are: proves what the kernel had "
    "attached at this moment; not what was attached before, and never the keys of encrypted layers.",
    ja="ディスク、パーティション、ボリューム、RAID、暗号化層、マウント及び使用量。現時点でカーネルが接続していたものを"
    "示します。以前の接続は示しません。暗号鍵は一切取得しません。",
    reads=(
        "/sys/block/*", "/proc/1/mountinfo", "/dev/disk/*", "statfs",
        *(f"/proc/{name.decode()}" for name in _PROC), *(path.decode() for path in (*_FILES, *_PATTERNS)),
    ),
)  # fmt: skip
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the raw texts, one record made of them, and the files that describe storage."""
    started, pool = now(), jobs.pool_of(ctx)
    entries = [
        *read_entries(ctx.proc, b"", _PROC, name=b"proc/"),
        *read_entries(ctx.proc, b"1", (b"mountinfo",), name=b"proc/"),
        *_block_devices(ctx.root),
        *_device_names(ctx, pool),
    ]
    usage = _usage(pool) if pool is not None else {}
    seconds = started[0] // 1_000_000_000
    counts: dict[str, int] = {}
    clean = list(redacted(entries, ctx.redactor, counts))
    yield Attempt(
        artifact=_NAME,
        source=b"/sys/block,/proc,/dev/disk",
        method="procfs",
        kind="snapshot",
        ext="tar",
        data=tar_stream(clean, seconds=seconds),
        redacted=counts,
        unredacted=(lambda: tar_stream(entries, seconds=seconds)) if counts else None,
        started=started,
        ended=now(),
        tag="storage-raw",
    )
    yield Attempt(
        artifact=_NAME,
        source=b"/sys/block,/proc,/dev/disk",
        method="derived",
        ext="json",
        data=(dump_line(storage_record(clean, usage)),),
        redacted=counts,
        unredacted=(lambda: (dump_line(storage_record(entries, usage)),)) if counts else None,
        derived_from=("storage-raw",),
    )
    requests = (
        FileRequest(artifact=_NAME, path=path, personal="none", max_bytes=MAX_FILE)
        for path in (*_FILES, *ctx.match(_PATTERNS))
    )
    yield from cleaned(ctx, ctx.files(requests))


def _block_devices(root: int) -> Iterator[Entry]:
    """Yield what sysfs says of each block device; an attribute that a device does not have is no failure."""
    try:
        names = listing(root, b"sys/block", most=_MOST_DISKS)
    except OSError as error:
        yield (b"sys/block", ERROR, b"", error.errno or 0)
        return
    for name in names:
        place = b"sys/block/" + name
        yield from _attributes(root, place, _DISK)
        for part in _partitions(root, place, name):
            yield from _attributes(root, place + b"/" + part, _PART)


def _attributes(root: int, place: bytes, names: list[bytes]) -> Iterator[Entry]:
    yield from (entry for entry in read_entries(root, place, names, name=b"") if entry[1] == FILE)
    for name in _LISTS:
        try:
            found = listing(root, place + b"/" + name)
        except OSError:
            continue
        if found:
            yield (place + b"/" + name, FILE, b"\n".join(found) + b"\n", 0)


def _partitions(root: int, place: bytes, name: bytes) -> list[bytes]:
    """Return the directories of partitions: their names begin with that of the disk."""
    try:
        return [part for part in listing(root, place) if part.startswith(name)][:_MOST_PARTS]
    except OSError:
        return []


def _device_names(ctx: Context, pool: ReaderPool | None) -> Iterator[Entry]:
    """Yield the links below /dev/disk: by id, uuid, label, path."""
    if pool is not None and pool.table.skips(b"/dev/disk") is not None:
        return  # nothing that can hang is read by this process
    try:
        kinds = listing(ctx.root, b"dev/disk")
    except OSError:
        return  # no udev here
    for kind in kinds:
        directory = b"dev/disk/" + kind
        try:
            names = listing(ctx.root, directory)
        except OSError as error:
            yield (directory, ERROR, b"", error.errno or 0)
            continue
        for name in names:
            path = directory + b"/" + name
            try:
                yield (path, LINK, os.readlink(path, dir_fd=ctx.root), 0)
            except OSError as error:
                yield (path, ERROR, b"", error.errno or 0)


def _usage(pool: ReaderPool) -> dict[bytes, dict[str, object]]:
    """Return how full each local file system is; one that does not answer costs only itself."""
    usage: dict[bytes, dict[str, object]] = {}
    asked: set[tuple[int, int]] = set()
    lost = 0
    for point, mount in sorted(pool.table.points.items()):
        skipped = pool.table.skips(point)
        if skipped is not None:
            kind = skipped[1].decode(errors="replace")
            usage[point] = {"error": f"not asked: a {kind} mount that was not named"}
        elif mount.kind not in PSEUDO and mount.device not in asked:
            if len(asked) >= _MOST_ASKED:
                usage[point] = {"error": f"not asked: more than {_MOST_ASKED} file systems"}
                continue
            asked.add(mount.device)
            if lost >= _MOST_LOST:
                usage[point] = {"error": "not asked: others did not answer"}
                continue
            job = jobs.Job(pool, jobwork.USAGE, point, {})
            for _ in job:
                pass  # the answer is the summary
            lost += bool(job.lost)
            usage[point] = {"error": job.lost} if job.lost else job.summary
    return usage
