"""The writer's bundles are opened with stock tools; its durability order is watched by a recording medium."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from hozen_hashes import readme_verify
from hozen_hashes.errors import CannotWriteError, InternalError
from hozen_hashes.identity import new_one_capture
from hozen_hashes.records import ItemRecord
from hozen_hashes.writer import BundleWriter, EpochLimits, Sealed

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_hashes.journal import Segment

BUNDLE = "hz-20261123T050000Z-web01-5f3a9c10"
WHEN = datetime(2026, 11, 23, 5, tzinfo=UTC)


def now() -> tuple[int, int]:
    return 1_795_410_533_779_792_931, 77


class Medium:
    """A medium in memory that knows what would survive a power cut at any moment."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.container = io.BytesIO()
        self.durable = 0
        self.journal: dict[str, bytes] = {}
        self.named_while_durable: list[tuple[str, int]] = []
        self._left = fail_at

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise CannotWriteError("the medium is full")
        self.container.write(data)

    def sync(self) -> None:
        self.durable = self.container.tell()

    def put(self, segment: Segment, files: bytes) -> None:
        self.named_while_durable.append((segment.stem, self.durable))
        self.journal[f"{segment.stem}.jsonl"] = segment.text
        self.journal[f"{segment.stem}.files.jsonl"] = files

    def put_start(self, segment: Segment, start_p7s: bytes) -> None:
        self.journal["start.p7s"] = start_p7s
        self.put(segment, b"")


def record(writer: BundleWriter, path: str, size: int, digest: str) -> ItemRecord:
    return ItemRecord(
        item=writer.items + 1,
        artifact="linux_logs",
        outcome="captured",
        kind="file",
        source=b"/var/log/\xffa",
        method="read",
        personal="personal",
        started=now(),
        ended=now(),
        path=path,
        size=size,
        sha256=digest,
    )


def begin(medium: Medium, *, epoch: EpochLimits | None = None) -> BundleWriter:
    writer = BundleWriter(BUNDLE, sink=medium, sidecar=medium, now=now, epoch=epoch)
    writer.begin(
        {"type": "start", "format": "hozen-bundle/1"},
        readme=readme_verify.render(BUNDLE),
        plan=b"{}\n",
        signer=new_one_capture("test"),
        signing_time=WHEN,
    )
    return writer


def add(writer: BundleWriter, data: bytes) -> None:
    path = f"data/linux_logs/{writer.items + 1:06d}.log"
    writer.finish_item(record(writer, path, len(data), writer.add_payload(path, data)))


def finish(writer: BundleWriter) -> Sealed:
    return writer.finish(
        reason="complete",
        detail="",
        bundle_json=lambda w: {"format": "hozen-bundle/1", "bundle_id": w.bundle_id},
        bag_info={"External-Identifier": BUNDLE},
        signer=new_one_capture("test"),
        signing_time=WHEN,
    )


def test_a_bundle_passes_unzip_sha256sum_and_openssl(tmp_path: Path) -> None:
    medium = Medium()
    writer = begin(medium)
    for text in (b"one\n", b"", b"three\n" * 1000):
        add(writer, text)
    sealed = finish(writer)
    (tmp_path / "b.zip").write_bytes(medium.container.getvalue())
    script = f"""set -e
        unzip -q b.zip && cd {BUNDLE}
        test "$(sha256sum tagmanifest-sha256.txt | cut -c1-64)" = {sealed.seal}
        sha256sum -c --quiet tagmanifest-sha256.txt && sha256sum -c --quiet manifest-sha256.txt
        openssl cms -verify -noverify -binary -inform DER -in signatures/agent.p7s \
            -content tagmanifest-sha256.txt -out /dev/null
        openssl cms -verify -noverify -binary -inform DER -in hozen/start.p7s \
            -content hozen/journal/000000.jsonl -out /dev/null"""
    subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True)


def test_the_container_is_durable_before_the_segment_that_names_it() -> None:
    medium = Medium()
    writer = begin(medium, epoch=EpochLimits(seconds=60, payload=1000))
    offsets: dict[str, int] = {}
    for number in range(10):
        path, data = f"data/linux_logs/{number + 1:06d}.log", os.urandom(400)
        digest = writer.add_payload(path, data)
        offsets[path] = medium.container.tell()
        writer.finish_item(record(writer, path, len(data), digest))
    finish(writer)
    durable_at = dict(medium.named_while_durable)
    named = 0
    for stem, durable in durable_at.items():
        for line in medium.journal[f"{stem}.jsonl"].splitlines():
            entry = json.loads(line)
            if entry["type"] == "item":
                assert offsets[entry["path"]] <= durable
                named += 1
    assert named == 10
    assert len(durable_at) >= 4


def test_a_long_payload_is_provable_while_it_is_written() -> None:
    medium = Medium()
    writer = begin(medium, epoch=EpochLimits(seconds=60, payload=100_000))
    payload = writer.open_payload("data/linux_logs/000001.log", 1)
    data = os.urandom(350_000)
    for start in range(0, len(data), 50_000):
        payload.write(data[start : start + 50_000])
    prefixes = [
        json.loads(line)
        for name, text in medium.journal.items()
        if not name.endswith(("files.jsonl", "p7s"))
        for line in text.splitlines()
        if b'"prefix"' in line
    ]
    assert len(prefixes) == 3
    for prefix in prefixes:
        size = int(prefix["bytes"])
        assert prefix["sha256"] == sha256(data[:size]).hexdigest()
    digest = writer.close_payload(payload)
    writer.finish_item(record(writer, payload.path, len(data), digest))
    finish(writer)
    with zipfile.ZipFile(medium.container) as archive:
        assert archive.read(f"{BUNDLE}/data/linux_logs/000001.log") == data
        assert archive.testzip() is None
        assert sum(name.endswith(".sig") for name in archive.namelist()) == len(
            medium.named_while_durable
        )


def test_every_item_stands_in_files_csv_journal_and_manifest() -> None:
    medium = Medium()
    writer = begin(medium, epoch=EpochLimits(seconds=60, payload=500))
    for number in range(20):
        add(writer, b"x" * (number + 1) * 10)
    finish(writer)
    with zipfile.ZipFile(medium.container) as archive:
        texts = {n.removeprefix(BUNDLE + "/"): archive.read(n) for n in archive.namelist()}
    lines = [
        line
        for name, text in texts.items()
        if name.startswith("hozen/files/")
        for line in text.splitlines(keepends=True)
    ]
    journal = {
        e["item"]: e
        for name, text in texts.items()
        if name.startswith("hozen/journal/") and name.endswith(".jsonl")
        for e in map(json.loads, text.splitlines())
        if e["type"] == "item"
    }
    manifest = dict(
        line.split("  ")[::-1] for line in texts["manifest-sha256.txt"].decode().splitlines()
    )
    rows = sum(
        text.count(b"\r\n") - 1 for name, text in texts.items() if name.startswith("hozen/items/")
    )
    assert len(lines) == len(journal) == len(manifest) == rows == 20
    for line in lines:
        item = json.loads(line)
        assert journal[item["item"]]["record"] == sha256(line).hexdigest()
        assert manifest[item["path"]] == item["sha256"] == sha256(texts[item["path"]]).hexdigest()
        assert item["source"] == "/var/log/%FFa"


def test_a_refusing_medium_never_leaves_a_record_of_what_was_not_written() -> None:
    for fail_at in range(1, 40):
        medium = Medium(fail_at=fail_at)
        try:
            writer = begin(medium, epoch=EpochLimits(seconds=60, payload=300))
            for _ in range(8):
                add(writer, os.urandom(200))
            finish(writer)
        except CannotWriteError:
            pass
        for name, text in medium.journal.items():
            if name == "start.p7s" or name.endswith("files.jsonl"):
                continue
            for line in text.splitlines():
                entry = json.loads(line)
                if entry["type"] == "item":
                    assert entry["path"].encode() in medium.container.getvalue()


def test_the_end_is_refused_while_a_payload_is_open() -> None:
    writer = begin(Medium())
    writer.open_payload("data/linux_logs/000001.log", 1)
    with pytest.raises(InternalError):
        finish(writer)
    with pytest.raises(InternalError):
        writer.open_payload("data/linux_logs/000002.log", 2)
