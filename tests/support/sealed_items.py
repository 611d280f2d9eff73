"""A sealed bundle of whatever items a test wishes, written by the real writer."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from hozen_hashes import readme_verify
from hozen_hashes.identity import new_one_capture
from hozen_hashes.records import ItemRecord
from hozen_hashes.writer import BundleWriter

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_hashes.journal import Segment

BUNDLE = "hz-20261123T050000Z-web01-5f3a9c10"
MOMENT = 1_795_410_533_779_792_931
STAT = {
    "mode": "0100644", "uid": 0, "gid": 0, "dev": "1", "ino": "7", "nlink": 1, "size": "3",
    "atime": "1795410000000000001", "mtime": "1795410000123456789", "ctime": "1795410000000000002", "btime": "0",
}  # fmt: skip


@dataclass
class Item:
    """One attempt; `data` None means that nothing was stored."""

    artifact: str
    source: bytes
    data: bytes | None
    ext: str = "bin"
    kind: str = "file"
    outcome: str = "captured"
    reason: str = ""
    stat: dict[str, Any] | None = None
    more: dict[str, Any] = field(default_factory=dict)


class _Medium:
    """A medium in memory."""

    def __init__(self) -> None:
        self.container = io.BytesIO()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.container.write(data)

    def sync(self) -> None:
        pass

    def put(self, segment: Segment, files: bytes) -> None:
        pass

    def put_start(self, segment: Segment, start_p7s: bytes) -> None:
        pass


def seal(folder: Path, items: list[Item], **about: Any) -> Path:
    """Return a sealed bundle that holds these items; `about` is added to its `bundle.json`."""
    medium, signer, when = _Medium(), new_one_capture("stick"), datetime.now(UTC)
    writer = BundleWriter(BUNDLE, sink=medium, sidecar=medium, now=lambda: (MOMENT, 77))
    identity = {"kind": signer.kind, "certificate_sha256": signer.certificate_sha256}
    start = {
        "type": "start", "format": "hozen-bundle/1", "plan_sha256": sha256(b"{}\n").hexdigest(),
        "identity": identity, "case": {"id": "C-1"},
    }  # fmt: skip
    writer.begin(
        start, readme=readme_verify.render(BUNDLE), plan=b"{}\n", signer=signer, signing_time=when
    )
    for item in items:
        _put(writer, item)
    facts = {
        "format": "hozen-bundle/1", "bundle_id": BUNDLE, "case": {"id": "C-1", "exhibit": None, "drill": False},
        "host": {"hostname": "web01", "uptime_seconds": "100.50"}, "clock": {"start": "2026-11-23T05:00:00.000000000Z"},
    }  # fmt: skip
    writer.finish(
        reason="complete", detail="", bundle_json=lambda _: {**facts, **about},
        bag_info={"External-Identifier": BUNDLE}, signer=signer, signing_time=when,
    )  # fmt: skip
    path = folder / f"{BUNDLE}.zip"
    path.write_bytes(medium.container.getvalue())
    return path


def _put(writer: BundleWriter, item: Item) -> None:
    number = writer.items + 1
    path = None if item.data is None else f"data/{item.artifact}/{number:06d}.{item.ext}"
    digest = None if item.data is None else writer.add_payload(str(path), item.data)
    writer.finish_item(
        ItemRecord(
            item=number, artifact=item.artifact, outcome=item.outcome, kind=item.kind, source=item.source,
            method="read", personal="none", started=(MOMENT, 77), ended=(MOMENT, 78), reason=item.reason, path=path,
            size=None if item.data is None else len(item.data), sha256=digest,
            stat="" if item.stat is None else json.dumps(item.stat, separators=(",", ":")), more=item.more,
        )
    )  # fmt: skip


def lines(*records: dict[str, Any]) -> bytes:
    """Return records as JSON Lines."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def snapshot(files: dict[str, bytes | str]) -> bytes:
    """Return a tar: bytes are files, texts are targets of links."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return made.getvalue()
