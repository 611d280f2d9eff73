"""What the kernel says of disks, partitions, layers over them and mounts, as one record; keys are nowhere in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hozen_agent.proc.sweep import FILE, LINK
from hozen_agent.reading.mounts import is_remote, parse_mountinfo
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hozen_agent.proc.sweep import Entry

SECTOR = 512  # sysfs counts in these whatever the disk does
_BLOCK = re.compile(rb"sys/block/([^/]+)/(.+)\Z")
_PARTITION = b"/partition"
_ABOUT = ("vendor", "model", "serial", "wwid", "rev")
_DM_KINDS = (
    (b"CRYPT-", "crypt"), (b"LVM-", "lvm"), (b"mpath-", "multipath"), (b"part", "partition"), (b"DMRAID-", "raid"),
)  # fmt: skip


def storage_record(
    entries: Sequence[Entry], usage: Mapping[bytes, Mapping[str, object]]
) -> dict[str, object]:
    """Return the record made of the raw texts; what could not be read is null or absent.

    Args:
        entries: texts of /sys/block, /proc, and the links of /dev/disk, by their paths without a leading slash.
        usage: by mount point, what a file system said of its size, or why it was not asked.
    """
    texts = {name: data for name, kind, data, _ in entries if kind == FILE}
    links = {name: data for name, kind, data, _ in entries if kind == LINK}
    disks: dict[bytes, dict[bytes, bytes]] = {}
    for name, data in texts.items():
        if found := _BLOCK.match(name):
            disks.setdefault(found[1], {})[found[2]] = data
    return {
        "disks": [_disk(name, said) for name, said in sorted(disks.items())],
        "names": {
            percent_encode(name.removeprefix(b"dev/disk/")): percent_encode(target.rpartition(b"/")[2])
            for name, target in sorted(links.items())
        },
        "mounts": _mounts(texts.get(b"proc/1/mountinfo", b""), usage),
        "swaps": _swaps(texts.get(b"proc/swaps", b"")),
        "raid": _text(texts.get(b"proc/mdstat")),
    }  # fmt: skip


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.strip().decode("utf-8", "backslashreplace")


def _number(data: bytes | None, *, unit: int = 1) -> str | None:
    text = (data or b"").strip()
    return str(int(text) * unit) if text.isdigit() else None


def _disk(name: bytes, said: Mapping[bytes, bytes]) -> dict[str, object]:
    parts = sorted(key[: -len(_PARTITION)] for key in said if key.endswith(_PARTITION))
    layers = {"mapper": _mapper(said), "raid": _raid(said), "loop": _loop(said)}
    return {
        "name": percent_encode(name.replace(b"!", b"/")),
        "device": _text(said.get(b"dev")),
        "size": _number(said.get(b"size"), unit=SECTOR),
        "read_only": _is_set(said, b"ro"),
        "removable": _is_set(said, b"removable"),
        "rotational": _is_set(said, b"queue/rotational"),
        "logical_block_size": _number(said.get(b"queue/logical_block_size")),
        **{key: _text(said[b"device/" + key.encode()]) for key in _ABOUT if b"device/" + key.encode() in said},
        "below": _words(said.get(b"slaves")),
        "above": _words(said.get(b"holders")),
        "partitions": [_partition(part, said) for part in parts],
        **{layer: facts for layer, facts in layers.items() if facts},
    }  # fmt: skip


def _is_set(said: Mapping[bytes, bytes], key: bytes) -> bool:
    return said.get(key, b"").strip() == b"1"


def _words(data: bytes | None) -> list[str]:
    return [percent_encode(word) for word in (data or b"").split()]


def _partition(name: bytes, said: Mapping[bytes, bytes]) -> dict[str, object]:
    return {
        "name": percent_encode(name),
        "number": _number(said.get(name + b"/partition")),
        "start": _number(said.get(name + b"/start"), unit=SECTOR),
        "size": _number(said.get(name + b"/size"), unit=SECTOR),
        "above": _words(said.get(name + b"/holders")),
    }


def _mapper(said: Mapping[bytes, bytes]) -> dict[str, object]:
    """Return what device-mapper says: the kind stands in the uuid that its tool gave."""
    if b"dm/name" not in said:
        return {}
    uuid = said.get(b"dm/uuid", b"").strip()
    kind = next((word for prefix, word in _DM_KINDS if uuid.startswith(prefix)), "other")
    return {
        "name": percent_encode(said[b"dm/name"].strip()),
        "uuid": percent_encode(uuid),
        "kind": kind,
        "suspended": _is_set(said, b"dm/suspended"),
    }


def _raid(said: Mapping[bytes, bytes]) -> dict[str, object]:
    return {
        key[3:].decode("ascii", "replace"): _text(data)
        for key, data in sorted(said.items())
        if key.startswith(b"md/")
    }


def _loop(said: Mapping[bytes, bytes]) -> dict[str, object]:
    if b"loop/backing_file" not in said:
        return {}
    return {
        "backing_file": percent_encode(said[b"loop/backing_file"].rstrip(b"\n")),
        "offset": _number(said.get(b"loop/offset")),
        "autoclear": _is_set(said, b"loop/autoclear"),
    }


def _mounts(table: bytes, usage: Mapping[bytes, Mapping[str, object]]) -> list[dict[str, object]]:
    return [
        {
            "point": percent_encode(mount.point),
            "type": percent_encode(mount.kind),
            "source": percent_encode(mount.source),
            "root": percent_encode(mount.root),
            "device": f"{mount.device[0]}:{mount.device[1]}",
            "options": percent_encode(mount.options),
            "remote": is_remote(mount.kind),
            **({"usage": dict(usage[mount.point])} if mount.point in usage else {}),
        }
        for mount in parse_mountinfo(table)
    ]


def _swaps(data: bytes) -> list[dict[str, object]]:
    """Return the lines of /proc/swaps below its heading; sizes there are KiB."""
    rows = [line.split() for line in data.split(b"\n")[1:]]
    return [
        {
            "path": percent_encode(row[0]),
            "type": percent_encode(row[1]),
            "size": _number(row[2], unit=1024),
            "used": _number(row[3], unit=1024),
        }
        for row in rows
        if len(row) >= 4  # noqa: PLR2004 - path, type, size, used
    ]
