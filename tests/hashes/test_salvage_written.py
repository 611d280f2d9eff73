"""A capture by the real writer, cut at any byte: all but the open epoch is proved, prefixes of long files too."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from hozen_hashes import age, readme_verify
from hozen_hashes.errors import NotVerifiableError
from hozen_hashes.identity import new_one_capture
from hozen_hashes.opened import open_bundle
from hozen_hashes.partials import locate
from hozen_hashes.records import ItemRecord
from hozen_hashes.salvage import PREFIX, salvage
from hozen_hashes.verify import Anchors, Word, verify
from hozen_hashes.writer import BundleWriter

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_hashes.journal import Segment
    from hozen_hashes.salvage import SalvageReport

BUNDLE = "hz-20261123T050000Z-web01-0badcafe"
WHEN = datetime(2026, 11, 23, 5, tzinfo=UTC)
MOMENT = (1_795_410_000_000_000_000, 7)


class Medium:
    """Container and sidecar in memory; remembers how long the container was at each segment."""

    def __init__(self) -> None:
        self.container = io.BytesIO()
        self.sidecar: list[tuple[int, str, bytes]] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.container.write(data)

    def sync(self) -> None: ...

    def put(self, segment: Segment, files: bytes) -> None:
        pairs = (("files.jsonl", files), ("pub", segment.public), ("sig", segment.signature))
        for ending, data in (*pairs, ("jsonl", segment.text)):
            if data:
                self._keep(f"{segment.stem}.{ending}", data)

    def put_start(self, segment: Segment, start_p7s: bytes) -> None:
        self._keep("start.p7s", start_p7s)
        self.put(segment, b"")

    def _keep(self, name: str, data: bytes) -> None:
        self.sidecar.append((self.container.tell(), name, data))


def record(item: int, path: str, size: int, digest: str) -> ItemRecord:
    return ItemRecord(
        item=item,
        artifact="linux_logs",
        outcome="captured",
        kind="file",
        source=b"/var/log/x",
        method="read",
        personal="none",
        started=MOMENT,
        ended=MOMENT,
        path=path,
        size=size,
        sha256=digest,
    )


LONG = os.urandom(2_400_000)
EPOCHS_IN_LONG = 6


@pytest.fixture(scope="module")
def captured() -> Medium:
    """Items of their own epochs, then one long file over several epochs, then one more item."""
    medium, signer = Medium(), new_one_capture("SYNTHETIC")
    writer = BundleWriter(BUNDLE, sink=medium, sidecar=medium, now=lambda: MOMENT)
    plan = b"{}\n"
    writer.begin(
        {
            "type": "start",
            "plan_sha256": sha256(plan).hexdigest(),
            "identity": {
                "kind": "one-capture",
                "certificate_sha256": signer.certificate_sha256,
            },
        },
        readme=readme_verify.render(BUNDLE),
        plan=plan,
        signer=signer,
        signing_time=WHEN,
    )
    for item in (1, 2):
        data = b"SYNTHETIC %d\n" % item * 500
        path = f"data/linux_logs/{item:06d}.log"
        writer.finish_item(record(item, path, len(data), writer.add_payload(path, data)))
        writer.close_epoch()
    path = "data/linux_logs/000003.log"
    payload = writer.open_payload(path, 3)
    step = len(LONG) // EPOCHS_IN_LONG
    for at in range(0, len(LONG), step):
        payload.write(LONG[at : at + step])
        writer.close_epoch()
    writer.finish_item(record(3, path, len(LONG), writer.close_payload(payload)))
    path = "data/linux_logs/000004.log"
    writer.finish_item(record(4, path, 4, writer.add_payload(path, b"last")))
    writer.finish(
        reason="complete",
        detail="",
        bundle_json=lambda w: {"format": "hozen-bundle/1", "bundle_id": w.bundle_id},
        bag_info={},
        signer=signer,
        signing_time=WHEN,
    )
    return medium


def cut(medium: Medium, size: int) -> SalvageReport:
    """Salvage what a kill at this length of the container leaves: everything synced before it is there."""
    sidecar = [(name, iter([data])) for at, name, data in medium.sidecar if at <= size]
    data = medium.container.getvalue()[:size]
    return salvage(sidecar=sidecar, container=io.BytesIO(data).read)


def test_a_kill_inside_a_long_file_proves_its_longest_announced_prefix(captured: Medium) -> None:
    marks = [at for at, name, _ in captured.sidecar if name.endswith(".jsonl")]
    inside = marks[-3]
    report = cut(captured, inside + 100)
    (prefix,) = (one for one in report.proved if one.extent == PREFIX)
    assert prefix.path == "data/linux_logs/000003.log"
    assert sha256(LONG[: prefix.size]).hexdigest() == prefix.sha256
    assert prefix.size >= len(LONG) // EPOCHS_IN_LONG * 3
    assert report.start is not None


def test_a_kill_anywhere_loses_at_most_the_open_epoch(captured: Medium) -> None:
    whole = captured.container.getvalue()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        content = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    for size in range(0, len(whole), max(1, len(whole) // 60)):
        report = cut(captured, size)
        segments = [
            n for at, n, _ in captured.sidecar if at <= size and n.count(".") == 1 and "jsonl" in n
        ]
        assert report.journal.proved == len(segments)
        assert report.contradictions == ()
        for one in report.proved:
            assert sha256(content[one.path][: one.size]).hexdigest() == one.sha256


@pytest.fixture
def left(captured: Medium, tmp_path: Path) -> Path:
    """What is on the disk after a kill in the middle of the long file."""
    size = [at for at, name, _ in captured.sidecar if name.endswith(".jsonl")][-3] + 100
    (tmp_path / f"{BUNDLE}.zip.partial").write_bytes(captured.container.getvalue()[:size])
    sidecar = tmp_path / f"{BUNDLE}.journal"
    sidecar.mkdir()
    for at, name, data in captured.sidecar:
        if at <= size:
            (sidecar / name).write_bytes(data)
    return tmp_path


def test_the_proved_prefix_is_written_with_its_own_ending(left: Path) -> None:
    from hozen_hashes.unpack import NewFolder

    source = locate(left / f"{BUNDLE}.zip.partial")
    report = source.report()
    folder = NewFolder(left / "out")
    count = source.write(report, folder)
    folder.discard()
    prefix = (left / "out/data/linux_logs/000003.log.prefix").read_bytes()
    assert LONG.startswith(prefix)
    assert len(prefix) > len(LONG) // 2
    assert count == len([path for path in (left / "out").rglob("*") if path.is_file()])


def encrypt(path: Path, recipient: age.Recipient) -> Path:
    """Encrypt a file; the result has the ending `.age`."""
    out = path.with_name(path.name + ".age")
    with out.open("wb") as file:
        writer = age.AgeWriter(file.write, [recipient])
        writer.write(path.read_bytes())
        writer.close()
    path.unlink()
    return out


def test_an_encrypted_capture_is_salvaged_with_the_recipients_key(left: Path) -> None:
    identity = age.new_identity()
    clear = left / f"{BUNDLE}.zip.partial"
    encrypted = encrypt(clear, identity.recipient)
    torn = encrypted.read_bytes()[:-40_000]
    partial = left / f"{BUNDLE}.zip.age.partial"
    partial.write_bytes(torn)
    encrypted.unlink()
    for path in list((left / f"{BUNDLE}.journal").iterdir()):
        if path.suffix in {".jsonl", ".p7s"}:
            encrypt(path, identity.recipient)
    report = locate(partial, [identity]).report()
    assert report.start is not None
    assert {one.extent for one in report.proved if one.path.endswith("3.log")} == {PREFIX}
    assert report.journal.proved > 5


def test_an_encrypted_bundle_is_verified_with_the_recipients_key(
    captured: Medium, tmp_path: Path
) -> None:
    identity = age.new_identity()
    path = tmp_path / f"{BUNDLE}.zip"
    path.write_bytes(captured.container.getvalue())
    encrypted = encrypt(path, identity.recipient)
    with open_bundle(str(encrypted), identities=[identity]) as bundle:
        report = verify(bundle, anchors=Anchors(), at=WHEN)
    assert (report.integrity, report.form) == (Word.MATCH, "encrypted")
    torn = bytearray(encrypted.read_bytes())
    torn[len(torn) // 2] ^= 1
    encrypted.write_bytes(torn)
    with open_bundle(str(encrypted), identities=[identity]) as bundle:
        assert verify(bundle, anchors=Anchors(), at=WHEN).word is Word.MISMATCH


def test_without_a_key_that_opens_it_an_encrypted_capture_is_one_clear_error(left: Path) -> None:
    encrypted = encrypt(left / f"{BUNDLE}.zip.partial", age.new_identity().recipient)
    partial = encrypted.rename(left / f"{BUNDLE}.zip.age.partial")
    with pytest.raises(NotVerifiableError, match="検証不能"):
        locate(partial).report()
    with pytest.raises(NotVerifiableError):
        locate(partial, [age.new_identity()]).report()
