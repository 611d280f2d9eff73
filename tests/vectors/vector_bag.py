"""A SYNTHETIC bundle as a plain dict of member paths to bytes, sealed anew after each change asked for.

Shares no code with the library: what the two agree on is docs/format/bundle-v1.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.vectors import vector_keys as keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BUNDLE_ID = "hz-20261123T050000Z-synthetic01-5f3a9c10"
_WALL = "2026-11-23T05:00:{:02d}.123456789Z"
_OUTSIDE = ("tagmanifest-sha256.txt", "signatures/agent.p7s")
Files = dict[str, bytes]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def line(record: dict[str, object]) -> bytes:
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True)
class Item:
    """One attempt; `data` None where no bytes were stored."""

    number: int
    artifact: str
    source: str
    outcome: str = "captured"
    ext: str = "log"
    data: bytes | None = None
    reason: str = ""

    @property
    def path(self) -> str:
        return f"data/{self.artifact}/{self.number:06d}.{self.ext}"


EPOCHS: list[list[Item]] = [
    [
        Item(1, "processes", "/proc", ext="tar", data=b"SYNTHETIC sweep\n" * 40),
        Item(2, "linux_logs", "/var/log/auth.log", data=b"Nov 23 05:00:01 sshd: SYNTHETIC\n" * 30),
        Item(3, "linux_logs", "/var/log/secret%0Aname%FF", data=b"a name with a newline\n"),
    ],
    [
        Item(4, "accounts", "/etc/shadow", outcome="denied", reason="Permission denied."),
        Item(5, "histories", "/root/.bash_history", ext="txt", data=b"id\nuname -a\n"),
        Item(6, "linux_logs", "/var/log/wtmp", outcome="empty"),
        Item(7, "linux_logs", "/var/log/gone", outcome="missing", reason="No such file."),
    ],
]


@dataclass
class Recipe:
    """What a bundle is made of; each hook changes the files of one stage before the next one hashes them."""

    signer: keys.Identity
    kind: str = "file"
    starter: keys.Identity | None = None
    bundle_id: str = BUNDLE_ID
    key_prefix: str = "epoch"
    end: dict[str, object] | None = field(
        default_factory=lambda: dict[str, object](reason="complete")
    )
    edit_journal: Callable[[int, list[bytes]], list[bytes]] = lambda _epoch, lines: lines
    before_manifest: Callable[[Files], None] = lambda _files: None
    before_seal: Callable[[Files], None] = lambda _files: None
    after_seal: Callable[[Files], None] = lambda _files: None


def build(recipe: Recipe) -> Files:
    """Return the bundle's files in the order of bundle-v1 §5."""
    files: Files = {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "README-VERIFY.txt": b"SYNTHETIC vector. The real text is sealed into real bundles.\n",
    }
    plan = line({"profile": "synthetic", "artifacts": ["processes", "linux_logs"]})
    _Journal(recipe, files, plan).write()
    files["hozen/bundle.json"] = line(_bundle_json(recipe, files, plan))
    files["bag-info.txt"] = b"Source-Organization: SYNTHETIC\nExternal-Identifier: C-1\n"
    recipe.before_manifest(files)
    payload = [path for path in files if path.startswith("data/")]
    files["manifest-sha256.txt"] = _manifest(files, payload)
    recipe.before_seal(files)
    seal(files, recipe.signer)
    recipe.after_seal(files)
    return files


def seal(files: Files, signer: keys.Identity) -> None:
    """Make the tag manifest and the machine seal anew."""
    for path in _OUTSIDE:
        files.pop(path, None)
    tags = [path for path in files if not path.startswith(("data/", "signatures/"))]
    files["tagmanifest-sha256.txt"] = _manifest(files, tags)
    files["signatures/agent.p7s"] = keys.p7s(files["tagmanifest-sha256.txt"], signer)


def _manifest(files: Files, paths: Iterable[str]) -> bytes:
    return b"".join(f"{digest(files[path])}  {path}\n".encode() for path in paths)


class _Journal:
    """Writes payload, records and journal segments of all epochs."""

    def __init__(self, recipe: Recipe, files: Files, plan: bytes) -> None:
        self.recipe, self.files, self.plan = recipe, files, plan
        self.previous: str | None = None
        self.epochs = len(EPOCHS) + 1

    def write(self) -> None:
        self._segment(0, [line(self._start())])
        starter = self.recipe.starter or self.recipe.signer
        self.files["hozen/start.p7s"] = keys.p7s(self.files["hozen/journal/000000.jsonl"], starter)
        for epoch, items in enumerate(EPOCHS, start=1):
            self._segment(epoch, self._items(epoch, items), last=epoch == len(EPOCHS))

    def _start(self) -> dict[str, object]:
        sweep = EPOCHS[0][0]
        return {
            "type": "start", "format": "hozen-bundle/1",
            "agent": {"version": "0", "argv": ["hozen", "capture"]}, "argv": ["hozen", "capture"],
            "profile": {"name": "synthetic", "sha256": digest(b"profile")},
            "plan_sha256": digest(self.plan),
            "sweep": {
                "sha256": digest(sweep.data or b""), "size": str(len(sweep.data or b"")),
                "started": _WALL.format(0), "ended": _WALL.format(1),
                "mono_started": "1000", "mono_ended": "2000",
            },
            "checkpoint": {"state": "not obtained", "reason": "offline"},
            "identity": {
                "kind": self.recipe.kind, "certificate_sha256": digest(self.recipe.signer.der),
            },
            "case": {"id": "C-1", "drill": True},
        }  # fmt: skip

    def _items(self, epoch: int, items: list[Item]) -> list[bytes]:
        lines, rows, records = [], [_CSV_HEAD], []
        for item in items:
            if item.data is not None:
                self.files[item.path] = item.data
            row = line(_row(item))
            lines.append(row)
            rows.append(_csv(item))
            records.append(line(_record(item, row)))
        tags = {f"hozen/files/{epoch:06d}.jsonl": b"".join(lines)}
        tags[f"hozen/items/{epoch:06d}.csv"] = "".join(rows).encode("utf-8-sig")
        if epoch == 1:
            tags["README-VERIFY.txt"] = self.files["README-VERIFY.txt"]
            tags["bagit.txt"] = self.files["bagit.txt"]
        if epoch == len(EPOCHS):
            tags["hozen/plan.json"] = self.plan
        self.files.update(tags)
        members = [
            line({"type": "member", "path": path, "size": str(len(data)), "sha256": digest(data)})
            for path, data in tags.items()
        ]
        return records + members

    def _segment(self, epoch: int, records: list[bytes], *, last: bool = False) -> None:
        private = keys.key(f"{self.recipe.key_prefix} {epoch}")
        public = keys.public_pem(private)
        head: dict[str, object] = {
            "type": "segment", "epoch": epoch, "bundle": self.recipe.bundle_id,
            "previous": self.previous, "key": digest(public),
            "opened": _WALL.format(2 * epoch), "mono": str(2000 + epoch),
        }  # fmt: skip
        lines = self.recipe.edit_journal(
            epoch, [line(head), *records, self._tail(epoch, last=last)]
        )
        text = b"".join(lines)
        stem = f"hozen/journal/{epoch:06d}"
        self.files[f"{stem}.jsonl"] = text
        self.files[f"{stem}.sig"] = keys.sign(private, text)
        self.files[f"{stem}.pub"] = public
        self.previous = digest(text)

    def _tail(self, epoch: int, *, last: bool) -> bytes:
        if last and self.recipe.end is not None:
            items = sum(len(group) for group in EPOCHS)
            return line(
                {"type": "end", "items": items, "closed": _WALL.format(9), **self.recipe.end}
            )
        following = keys.public_pem(keys.key(f"{self.recipe.key_prefix} {epoch + 1}"))
        return line({"type": "next", "key": digest(following)})


_CSV_HEAD = "item,artifact,outcome,reason,source,path,size,sha256,started,class\r\n"


def _stored(item: Item) -> dict[str, object]:
    if item.data is None:
        return {"path": None, "size": None, "sha256": None}
    return {"path": item.path, "size": str(len(item.data)), "sha256": digest(item.data)}


def _row(item: Item) -> dict[str, object]:
    row: dict[str, object] = {
        "item": item.number, "artifact": item.artifact, "outcome": item.outcome, "kind": "file",
        **_stored(item), "source": item.source, "method": "read", "class": "none",
        "started": _WALL.format(2), "ended": _WALL.format(3),
        "mono_started": "3000", "mono_ended": "4000",
    }  # fmt: skip
    if item.reason:
        row["reason"] = item.reason
    return row


def _record(item: Item, row: bytes) -> dict[str, object]:
    return {
        "type": "item", "item": item.number, "outcome": item.outcome, **_stored(item),
        "record": digest(row),
    }  # fmt: skip


def _csv(item: Item) -> str:
    stored = _stored(item)
    cells = [
        str(item.number), item.artifact, item.outcome, item.reason, item.source,
        *(str(value or "") for value in stored.values()), _WALL.format(2), "none",
    ]  # fmt: skip
    return ",".join(cells) + "\r\n"


def _bundle_json(recipe: Recipe, files: Files, plan: bytes) -> dict[str, object]:
    segments = sorted(p for p in files if p.startswith("hozen/journal/") and p.endswith(".jsonl"))
    outcomes: dict[str, int] = {}
    items = [item for group in EPOCHS for item in group]
    for item in items:
        outcomes[item.outcome] = outcomes.get(item.outcome, 0) + 1
    return {
        "format": "hozen-bundle/1", "bundle_id": recipe.bundle_id,
        "case": {"id": "C-1", "name": "SYNTHETIC", "operator": "Nobody", "drill": True},
        "host": {"hostname": "synthetic01", "os": "none", "kernel": "none", "addresses": []},
        "agent": {"version": "0", "argv": ["hozen", "capture"], "uid": 0},
        "clock": {"start": _WALL.format(0), "end": _WALL.format(9), "reason": "SYNTHETIC"},
        "not_before": {"state": "not obtained", "reason": "offline"},
        "sequence": {"number": None, "previous_seal_sha256": None},
        "journal": {
            "first_key_sha256": digest(files["hozen/journal/000000.pub"]),
            "segments": len(segments), "last_sha256": digest(files[segments[-1]]),
            "closed": recipe.end is not None, "reason": (recipe.end or {}).get("reason"),
        },
        "profile": {"name": "synthetic", "sha256": digest(b"profile")},
        "counts": {
            "attempts": len(items), "files": sum(item.data is not None for item in items),
            "bytes": str(sum(len(item.data or b"") for item in items)), "outcomes": outcomes,
        },
        "footprint": {}, "limits": {}, "privileges": {},
        "algorithms": {"digest": "sha256", "signature": "ecdsa-p256-sha256"},
        "encryption": {"recipients": []}, "critical": [],
        "plan_sha256": digest(plan),
    }  # fmt: skip


def pack(
    files: Files | list[tuple[str, bytes]],
    *,
    top: str = BUNDLE_ID,
    streamed: bool = False,
    stored: bool = False,
    mode: int = 0o100444,
) -> bytes:
    """Return a ZIP of the files by Python's own zipfile; `streamed` writes data descriptors."""
    out = _Unseekable() if streamed else io.BytesIO()
    pairs = list(files.items()) if isinstance(files, dict) else files
    with zipfile.ZipFile(out, "w") as archive:
        for path, data in pairs:
            info = zipfile.ZipInfo(f"{top}/{path}" if top else path)
            info.create_system, info.external_attr = 3, mode << 16
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=streamed) as member:
                member.write(data)
    return out.getvalue()


class _Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise OSError

    def tell(self) -> int:
        raise OSError
