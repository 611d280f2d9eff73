"""Every Linux block of docs/verify-without-hozen.md runs as it stands on a real bundle, and fails on a tampered one."""

from __future__ import annotations

import io
import os
import re
import subprocess
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import stolen
from authority import new_authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from hozen_hashes import cms, merkle, readme_verify, receipt
from hozen_hashes.agekeys import parse_recipient
from hozen_hashes.agewrite import AgeWriter
from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint
from hozen_hashes.cmswrap import envelop
from hozen_hashes.identity import KeyIdentity
from hozen_hashes.note import SigningKey
from hozen_hashes.personstatement import PersonStatement
from hozen_hashes.receipt import Statement
from hozen_hashes.tlogproof import TlogProof
from hozen_hashes.writer import BundleWriter

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs(
    "age", "age-keygen", "bsdtar", "faketime", "openssl", "shasum", "unzip", "xxd"
)
DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "verify-without-hozen.md", DOCS / "ja" / "verify-without-hozen.md"]
_BLOCK = re.compile(r"<!-- (check|not run by us): ([a-z-]+) -->\n```(\w+)\n(.*?)```\n", re.DOTALL)
ID = stolen.BUNDLE
ORIGIN = "collector.example/log"
BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2046, 1, 1, tzinfo=UTC)
Files = dict[str, bytes]


def blocks(page: Path) -> dict[tuple[str, str], str]:
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return {(kind, name): text for kind, name, _, text in found}


LINUX = {name: text for (kind, name), text in blocks(PAGES[0]).items() if kind == "check"}


def issued(name: str, by: KeyIdentity | None = None) -> KeyIdentity:
    """Return an identity under `by`, or a root, made with `cryptography` alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = subject if by is None else by.certificate.subject
    builder = x509.CertificateBuilder(
        above, subject, key.public_key(), x509.random_serial_number(), BEGIN, END
    ).add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    made = builder.sign(key if by is None else by.key, hashes.SHA256())
    return KeyIdentity(key, made, ())


@dataclass(frozen=True)
class Kit:
    """A bundle, what lies beside it, and what came from outside."""

    container: bytes
    proofs: Files
    anchors: Files
    seal: str
    log_key: str


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    root = issued("SYNTHETIC root")
    container = written(issued("SYNTHETIC web01", root))
    sealed, p7s = (member(container, n) for n in ("tagmanifest-sha256.txt", "signatures/agent.p7s"))
    seal, signature = sha256(sealed).hexdigest(), sha256(p7s).hexdigest()
    said = PersonStatement(
        bundle=ID, seal=seal, signature=signature, role="operator", attests="SYNTHETIC", time=stolen.SIGNED * 10**9
    ).encode()  # fmt: skip
    person = cms.sign_detached(sha256(said).digest(), issued("SYNTHETIC person", root), stolen.WHEN)
    tsa = new_authority(tmp_path_factory.mktemp("tsa") / "a", ends="20600101000000Z")
    key = SigningKey.generate(ORIGIN)
    proofs = {
        "statement.txt": said,
        "operator.p7s": person,
        "timestamps/0001-tsa.tsr": tsa.stamp(p7s),
        **{f"receipt/{n}": d for n, d in received(seal, key, issued("Receipts", root)).items()},
    }
    pem = root.certificate.public_bytes(serialization.Encoding.PEM)
    return Kit(
        container, proofs, {"root.pem": pem, "tsa.pem": tsa.root.read_bytes()}, seal, key.verifier.sha256
    )  # fmt: skip


def written(signer: KeyIdentity) -> bytes:
    """Return a container by the real writer."""
    medium = stolen.Medium()
    writer = BundleWriter(ID, sink=medium, sidecar=medium, now=lambda: (stolen.SIGNED * 10**9, 7))
    plan = b'{"plan":1}\n'
    start = {
        "type": "start", "plan_sha256": sha256(plan).hexdigest(), "sweep": None,
        "identity": {"kind": "file", "certificate_sha256": signer.certificate_sha256},
    }  # fmt: skip
    readme = readme_verify.render(ID)
    writer.begin(start, readme=readme, plan=plan, signer=signer, signing_time=stolen.WHEN)
    for number in range(1, 4):
        stolen._item(writer, number)
        writer.close_epoch()
    writer.finish(
        reason="complete",
        detail="",
        bundle_json=lambda _: {"format": "hozen-bundle/1", "bundle_id": ID},
        bag_info={"External-Identifier": ID},
        signer=signer,
        signing_time=stolen.WHEN,
    )
    return medium.container.getvalue()


def received(seal: str, key: SigningKey, signer: KeyIdentity) -> Files:
    said = Statement(
        log=ORIGIN, log_key_sha256=key.verifier.sha256, event="ingest", seal=seal, seal_state="checked",
        verified="ok", time=0,
    )  # fmt: skip
    leaves = [merkle.leaf_hash(b"other"), said.leaf_hash, merkle.leaf_hash(b"third")]
    read = merkle.reader_of_leaves(leaves)
    note = sign_checkpoint(Checkpoint(ORIGIN, 3, merkle.tree_root(3, read)), [key])
    proof = TlogProof(index=1, path=merkle.inclusion_proof(1, 3, read), note=note)
    signature = cms.sign_detached(sha256(said.encode()).digest(), signer, stolen.WHEN)
    return dict(
        receipt.receipt_files(said, proof=proof.encode(), signature=signature, log_key=key.verifier)
    )


def member(container: bytes, path: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        return archive.read(f"{ID}/{path}")


def repacked(container: bytes, change: Callable[[Files], object]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(files)
    return stolen.packed(files)


def flipped(data: bytes) -> bytes:
    """Return the data with one bit changed in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@dataclass(frozen=True)
class Desk:
    """The directory in which an examiner works."""

    folder: Path
    kit: Kit

    def lay(self, container: bytes | None = None, **proofs: bytes) -> None:
        (self.folder / f"{ID}.zip").write_bytes(container or self.kit.container)
        there = self.kit.proofs | {n.replace("__", "/"): d for n, d in proofs.items()}
        for name, data in {f"{ID}.proofs/{n}": d for n, d in there.items()}.items():
            self._put(name, data)
        for name, data in self.kit.anchors.items():
            self._put(f"anchors/{name}", data)

    def _put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def run(self, *names: str, **changed: str) -> subprocess.CompletedProcess[str]:
        anchors = self.folder / "anchors"
        given = {
            "ID": ID, "ROOT": str(anchors / "root.pem"), "SEAL": self.kit.seal, "TIME": str(stolen.SIGNED),
            "TSAROOT": str(anchors / "tsa.pem"), "LOGKEY": self.kit.log_key,
            "SCRIPT": str(DOCS / "format" / "verify-receipt.sh"), "PATH": os.environ["PATH"], **changed,
        }  # fmt: skip
        return subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", "".join(LINUX[name] for name in names)],
            cwd=self.folder, env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def desk(kit: Kit, tmp_path: Path) -> Desk:
    return Desk(tmp_path, kit)


def test_both_languages_have_the_same_blocks() -> None:
    assert blocks(PAGES[0]) == blocks(PAGES[1])
    assert len(LINUX) == 13


def test_no_block_outside_linux_is_said_to_have_been_run() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("```powershell") == text.count("<!-- not run by us: ") == 3
    assert "Not run by us" in PAGES[0].read_text(encoding="utf-8")
    assert "実行していません" in PAGES[1].read_text(encoding="utf-8")


AFTER_UNPACKING = [n for n in LINUX if not n.startswith(("decrypt", "unpack"))]


@pytest.mark.parametrize("unpack", ["unpack", "unpack-bsdtar"])
def test_every_block_holds_on_a_good_bundle(desk: Desk, unpack: str) -> None:
    desk.lay()
    done = desk.run(unpack, *AFTER_UNPACKING)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verification: OK" in done.stdout + done.stderr
    assert "inclusion: the receipt is leaf 1 of 3" in done.stdout
    assert "journal: closed" in done.stdout


CONTAINER: dict[str, Callable[[Files], object]] = {
    "hashes": lambda f: f.update({"data/linux_logs/000001.log": b"changed\n"}),
    "hashes-shasum": lambda f: f.update({"data/linux_logs/000001.log": b"changed\n"}),
    "nothing-else": lambda f: f.update({"data/linux_logs/000099.log": b"added\n"}),
    "seal": lambda f: f.update({"tagmanifest-sha256.txt": flipped(f["tagmanifest-sha256.txt"])}),
    "machine-seal": lambda f: f.update({"signatures/agent.p7s": flipped(f["signatures/agent.p7s"])}),
    "recipe": lambda f: f.update({"hozen/journal/000001.sig": flipped(f["hozen/journal/000001.sig"])}),
    "operator": lambda f: f.update({"tagmanifest-sha256.txt": flipped(f["tagmanifest-sha256.txt"])}),
    "stamp": lambda f: f.update({"signatures/agent.p7s": flipped(f["signatures/agent.p7s"])}),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINER)
def test_a_block_fails_on_a_tampered_bundle(name: str, desk: Desk) -> None:
    bad = repacked(desk.kit.container, CONTAINER[name])
    desk.lay(repacked(desk.kit.container, lambda f: f) if name == "recipe" else bad)
    if name == "recipe":  # the recipe reads the container again
        (desk.folder / f"{ID}.zip").write_bytes(bad)
    assert desk.run("unpack").returncode == 0
    subprocess.run(["rm", "-r", desk.folder / "check"], check=True)
    assert desk.run("unpack", name).returncode != 0


def test_every_block_is_seen_to_fail() -> None:
    elsewhere = {"unpack", "unpack-bsdtar", "decrypt-age", "decrypt-cms", "receipt"}
    assert set(LINUX) == set(CONTAINER) | elsewhere


@pytest.mark.parametrize("name", ["unpack", "unpack-bsdtar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(name: str, desk: Desk) -> None:
    out = io.BytesIO(desk.kit.container)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(f"{ID}/data/linux_logs/000001.log", b"second\n")
    desk.lay(out.getvalue())
    assert desk.run(name).returncode != 0


def test_tampered_proofs_and_other_anchors_are_refused(desk: Desk) -> None:
    p = desk.kit.proofs
    for name, proof in (
        ("operator", "operator.p7s"),
        ("operator", "statement.txt"),
        ("stamp", "timestamps/0001-tsa.tsr"),
        ("receipt", "receipt/receipt.txt"),
        ("receipt", "receipt/receipt.tlog-proof"),
    ):
        data = p[proof]
        # The end of a stamp is its signature; nobody signs the certificates in its middle.
        bad = data[:-3] + flipped(data[-3:]) if name == "stamp" else flipped(data)
        desk.lay(**{proof.replace("/", "__"): bad})
        assert desk.run("unpack", name).returncode != 0, proof
        subprocess.run(["rm", "-r", desk.folder / "check"], check=True)
    desk.lay()
    other = desk.folder / "other.pem"
    certificate = issued("SYNTHETIC root").certificate
    other.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    for name, changed in (
        ("machine-seal", {"ROOT": str(other)}),
        ("stamp", {"TSAROOT": str(other)}),
        ("receipt", {"LOGKEY": "0" * 64}),
        ("receipt", {"SEAL": "0" * 64}),
    ):
        assert desk.run("unpack", name, **changed).returncode != 0, name
        subprocess.run(["rm", "-r", desk.folder / "check"], check=True)


def encrypted(container: bytes, recipient: str) -> bytes:
    out = io.BytesIO()
    writer = AgeWriter(out.write, [parse_recipient(recipient)])
    writer.write(container)
    writer.close()
    return out.getvalue()


@pytest.mark.parametrize("name", ["decrypt-age", "decrypt-cms"])
def test_what_is_encrypted_is_opened_and_torn_or_changed_it_is_not(name: str, desk: Desk) -> None:
    key = desk.folder / "vendor.age.txt"
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    asked = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True)
    whole = encrypted(desk.kit.container, asked.stdout.strip())
    if name == "decrypt-cms":
        secret = key.read_text().splitlines()[-1].encode() + b"\n"
        key.unlink()
        vendor = rsa.generate_private_key(65537, 3072)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Vendor")])
        certificate = x509.CertificateBuilder(
            subject, subject, vendor.public_key(), 7, BEGIN, END
        ).sign(vendor, hashes.SHA256())
        folder = desk.folder / f"{ID}.envelope"
        folder.mkdir()
        (folder / "key-01.p7m").write_bytes(envelop(secret, certificate))
        (desk.folder / "vendor.key").write_bytes(
            vendor.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )  # fmt: skip
    sealed = desk.folder / f"{ID}.zip.age"
    sealed.write_bytes(whole)
    done = desk.run(name)
    assert done.returncode == 0, done.stderr
    assert (desk.folder / f"{ID}.zip").read_bytes() == desk.kit.container
    for bad in (whole[:-1], flipped(whole)):
        sealed.write_bytes(bad)
        assert desk.run(name).returncode != 0
