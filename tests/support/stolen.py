"""What a thief of the capturing process makes of it: the complete state in epoch 5, and a bundle sealed anew with it.

The thief holds everything that the process held: the key of the open epoch, its pending records, and the identity key.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hozen_hashes.cmswrite import sign_detached
from hozen_hashes.identity import new_one_capture
from hozen_hashes.records import ItemRecord
from hozen_hashes.writer import BundleWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_hashes.identity import KeyIdentity
    from hozen_hashes.journal import Segment

BUNDLE = "hz-20261123T050000Z-web01-0badcafe"
SIGNED = 1_795_410_540
WHEN = datetime.fromtimestamp(SIGNED, UTC)
THEFT = 5
_LATE = (
    "hozen/bundle.json",
    "bag-info.txt",
    "manifest-sha256.txt",
    "tagmanifest-sha256.txt",
    "signatures/agent.p7s",
)


class Medium:
    """A container in memory, and the journal beside it, which is not needed here."""

    def __init__(self) -> None:
        self.container = io.BytesIO()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.container.write(data)

    def sync(self) -> None: ...

    def put(self, segment: Segment, files: bytes) -> None: ...

    def put_start(self, segment: Segment, start_p7s: bytes) -> None: ...


@dataclass(frozen=True)
class Loot:
    """The honest bundle, and what was in the process when it was in epoch 5."""

    honest: dict[str, bytes]
    key: Any
    signer: KeyIdentity

    @property
    def root(self) -> bytes:
        """The certificate that a verifier was given by another way, PEM."""
        return self.signer.certificate.public_bytes(Encoding.PEM)

    @property
    def public(self) -> bytes:
        return public_of(self.key)

    def until(self, epoch: int) -> dict[str, bytes]:
        """Return the members that were written up to the end of this epoch, in their order."""
        kept: dict[str, bytes] = {}
        for name, data in self.honest.items():
            if name not in _LATE:
                kept[name] = data
            if name == f"hozen/journal/{epoch:06d}.pub":
                break
        return kept

    def sealed(self, members: Mapping[str, bytes]) -> bytes:
        """Return a container whose manifests and machine seal are right, made with the stolen identity key."""
        files = {name: data for name, data in members.items() if name not in _LATE}
        texts = [
            files[n]
            for n in sorted(files)
            if n.startswith("hozen/journal/") and n.endswith(".jsonl")
        ]
        closed = b'{"type":"end"' in texts[-1]
        about = {
            "format": "hozen-bundle/1",
            "bundle_id": BUNDLE,
            "journal": {
                "first_key_sha256": sha256(files["hozen/journal/000000.pub"]).hexdigest(),
                "segments": len(texts),
                "last_sha256": sha256(texts[-1]).hexdigest(),
                "closed": closed,
            },
        }
        files["hozen/bundle.json"] = json.dumps(about).encode() + b"\n"
        files["bag-info.txt"] = self.honest["bag-info.txt"]
        files["manifest-sha256.txt"] = _manifest(
            {n: d for n, d in files.items() if n.startswith("data/")}
        )
        files["tagmanifest-sha256.txt"] = _manifest(
            {n: d for n, d in files.items() if not n.startswith("data/")}
        )
        digest = sha256(files["tagmanifest-sha256.txt"]).digest()
        files["signatures/agent.p7s"] = sign_detached(digest, self.signer, WHEN)
        return packed(files)


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return the members as a container, with the stock writer."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{BUNDLE}/{name}", data)
    return out.getvalue()


def public_of(key: Any) -> bytes:
    """Return the bytes of a `.pub` file."""
    found: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return found


def line(**record: object) -> bytes:
    """Return one journal record."""
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def segment_files(epoch: int, text: bytes, key: Any) -> dict[str, bytes]:
    """Return the three files of an epoch, signed with a key that the thief has."""
    stem = f"hozen/journal/{epoch:06d}"
    signature = key.sign(text, ec.ECDSA(hashes.SHA256()))
    return {f"{stem}.jsonl": text, f"{stem}.sig": signature, f"{stem}.pub": public_of(key)}


def header(epoch: int, previous: bytes | None, key: Any) -> bytes:
    """Return the first record of a forged segment."""
    return line(
        type="segment",
        epoch=epoch,
        bundle=BUNDLE,
        previous=None if previous is None else sha256(previous).hexdigest(),
        key=sha256(public_of(key)).hexdigest(),
        opened="2026-11-23T05:00:09.000000000Z",
        mono="7",
    )


def ended(items: int) -> bytes:
    """Return the record that closes a journal."""
    return line(type="end", reason="complete", items=items, closed="2026-11-23T05:00:10.000000000Z")


def capture() -> Loot:
    """Run the real writer to its end; the state is taken while epoch 5 is open."""
    medium, signer = Medium(), new_one_capture("SYNTHETIC", now=WHEN)
    writer = BundleWriter(BUNDLE, sink=medium, sidecar=medium, now=lambda: (SIGNED * 10**9, 7))
    _begin(writer, signer)
    stolen = None
    for number in range(1, 8):
        if writer.journal.epoch == THEFT:
            stolen = writer.journal._key._private
        _item(writer, number)
        writer.close_epoch()
    assert stolen is not None
    journal = writer.journal
    writer.finish(
        reason="complete",
        detail="",
        bundle_json=lambda _: {
            "format": "hozen-bundle/1",
            "bundle_id": BUNDLE,
            "journal": {
                "first_key_sha256": journal.first_key_sha256,
                "segments": journal.epoch + 1,
                "last_sha256": journal.last_sha256,
                "closed": True,
            },
        },
        bag_info={"External-Identifier": BUNDLE},
        signer=signer,
        signing_time=WHEN,
    )
    with zipfile.ZipFile(medium.container) as archive:
        members = {n.partition("/")[2]: archive.read(n) for n in archive.namelist()}
    return Loot(members, stolen, signer)


def _begin(writer: BundleWriter, signer: KeyIdentity) -> None:
    plan = b'{"plan":1}\n'
    identity = {"kind": "file", "certificate_sha256": signer.certificate_sha256}
    start = {
        "type": "start",
        "plan_sha256": sha256(plan).hexdigest(),
        "identity": identity,
        "sweep": None,
    }
    writer.begin(start, readme=b"SYNTHETIC\n", plan=plan, signer=signer, signing_time=WHEN)


def _item(writer: BundleWriter, number: int) -> None:
    path, data = f"data/linux_logs/{number:06d}.log", b"SYNTHETIC line\n" * number
    moment = (SIGNED * 10**9, 7)
    digest = writer.add_payload(path, data)
    writer.finish_item(
        ItemRecord(
            item=number,
            artifact="linux_logs",
            outcome="captured",
            kind="file",
            source=b"/var/log/auth.log",
            method="read",
            personal="personal",
            started=moment,
            ended=moment,
            path=path,
            size=len(data),
            sha256=digest,
        )
    )


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return b"".join(f"{sha256(d).hexdigest()}  {n}\n".encode() for n, d in sorted(files.items()))
