"""Encrypted bundles with their envelopes, made from a sealed bundle in memory (envelope-v1 §1)."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import time
import zipfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hozen_hashes import cms
from hozen_hashes.agekeys import Identity, new_identity
from hozen_hashes.agewrite import AgeWriter
from hozen_hashes.cmswrap import envelop, read_certificate
from hozen_hashes.envelope.opening import OpeningStatement
from hozen_hashes.envelope.reading import digest_of
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_hashes.identity import Signer

KINDS = {"rsa": ["rsa:2048"], "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]}


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A ciphertext, its envelope by file name, and an age identity that opens it."""

    bundle_id: str
    seal: str
    ciphertext: bytes
    files: dict[str, bytes]
    identity: Identity
    facts: dict[str, Any] = field(default_factory=dict)
    signer: Signer | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.ciphertext).hexdigest()

    def with_facts(self, signer: Signer | None = None, /, **changed: Any) -> dict[str, bytes]:
        """Return the files with other facts, signed anew."""
        facts = {name: value for name, value in (self.facts | changed).items() if value is not None}
        signer = signer or self.signer
        assert signer is not None
        text = dump_line(facts)
        return {**self.files, "envelope.json": text, "envelope.p7s": _signed(text, signer)}

    def put(self, folder: Path) -> Path:
        """Write ciphertext and envelope as a capture leaves them; return the container's path."""
        beside = folder / f"{self.bundle_id}.envelope"
        beside.mkdir()
        for name, data in self.files.items():
            (beside / name).write_bytes(data)
        path = folder / f"{self.bundle_id}.zip.age"
        path.write_bytes(self.ciphertext)
        return path


def vendor(folder: Path, kind: str = "rsa", name: str = "vendor") -> Path:
    """Make `<name>.key` and `<name>.pem` of a self-signed certificate for encryption; return the latter."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *KINDS[kind], "-nodes", "-keyout", f"{name}.key", "-out",
         f"{name}.pem", "-days", "30", "-subj", f"/CN={name}"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / f"{name}.pem"


def encrypt(
    bundle_id: str, data: bytes, seal: str, signer: Signer, *certificates: Path
) -> Encrypted:
    """Encrypt a sealed bundle to a new age identity and to the holders of the certificates."""
    identity = new_identity()
    loaded = [read_certificate(path.read_bytes()) for path in certificates]
    once = [new_identity() for _ in loaded]
    recipients = [identity.recipient, *(one.recipient for one in once)]
    ciphertext = bytearray()
    writer = AgeWriter(ciphertext.extend, recipients)
    writer.write(data)
    writer.close()
    files, keys = {}, []
    for number, (key, certificate) in enumerate(zip(once, loaded, strict=True), 1):
        name = f"key-{number:02d}.p7m"
        files[name] = envelop(f"{key.secret()}\n".encode(), certificate)
        words = {"certificate_sha256": "00" * 32, "subject": certificate.subject.rfc4514_string()}
        digest = hashlib.sha256(files[name]).hexdigest()
        keys.append({"file": name, "recipient": str(key.recipient), **words, "sha256": digest})
    facts: dict[str, Any] = {
        "format": "hozen-envelope/1",
        "bundle_id": bundle_id,
        "ciphertext_sha256": hashlib.sha256(ciphertext).hexdigest(),
        "ciphertext_size": str(len(ciphertext)),
        "seal": seal,
        "recipients": [str(one) for one in recipients],
        **({"keys": keys} if keys else {}),
    }
    text = dump_line(facts)
    with zipfile.ZipFile(io.BytesIO(data)) as container:
        sealed = container.read(f"{bundle_id}/signatures/agent.p7s")
    files |= {"envelope.json": text, "envelope.p7s": _signed(text, signer), "agent.p7s": sealed}
    return Encrypted(bundle_id, seal, bytes(ciphertext), files, identity, facts, signer)


def _signed(data: bytes, signer: Signer) -> bytes:
    return cms.sign_detached(hashlib.sha256(data).digest(), signer, datetime.now(UTC))


# -- at a collector, with the client of tests/collector/conftest.py ----------------------------------------------------


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def body_of(files: dict[str, bytes], declared: str = "") -> dict[str, Any]:
    encoded = {name: b64(data) for name, data in files.items()}
    return {"sha256": declared or digest_of(files), "files": encoded}


def send(client: Any, made: Encrypted, files: dict[str, bytes] | None = None, **words: str) -> Any:
    path = f"/api/v1/containers/{words.pop('container', made.sha256)}/envelope"
    return client.post_json(path, body_of(made.files if files is None else files, **words))


def pushed(
    client: Any, tools: Any, *certificates: Path, signer: Any = None, of: Any = None
) -> Encrypted:
    """Push the ciphertext of an encrypted bundle: a new one, or `of`."""
    bundle = of or tools.make_bundle(signer or client.signer)
    made = encrypt(
        bundle.bundle_id, bundle.data, bundle.seal, signer or client.signer, *certificates
    )
    secret = tools.Bundle(made.bundle_id, made.ciphertext, made.seal, kind="encrypted")
    assert client.push(secret)["state"] == "accepted"
    return made


def stated(made: Encrypted, **changed: Any) -> OpeningStatement:
    signature = hashlib.sha256(made.files["agent.p7s"]).hexdigest()
    whole = OpeningStatement(
        bundle=made.bundle_id, container_sha256=made.sha256, container_size=len(made.ciphertext), seal=made.seal,
        signature=signature, states="Opened and verified. <b>/ 開封", time=time.time_ns(),
    )  # fmt: skip
    return replace(whole, **changed)


def signed(statement: OpeningStatement, signer: Any) -> tuple[bytes, bytes]:
    text = statement.encode()
    return text, cms.sign_detached(hashlib.sha256(text).digest(), signer, datetime.now(UTC))


def claim(client: Any, made: Encrypted, text: bytes, signature: bytes) -> Any:
    body = {"statement": b64(text), "signature": b64(signature)}
    return client.post_json(f"/api/v1/containers/{made.sha256}/opened", body)
