"""Certificate authorities and identities for tests, made with `cryptography` and never with the code under test."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key; it can issue others."""

    key: Any
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = field(default=())

    def issue(self, name: str, **wishes: Any) -> Issued:
        return issue(name, issuer=self, **wishes)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def _usage(*names: str) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def issue(
    name: str,
    *,
    issuer: Issued | None = None,
    ca: bool = False,
    basic: bool = True,
    path_length: int | None = None,
    key: Any = None,
    usage: tuple[str, ...] | None = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    begin: datetime = NOW - timedelta(days=365),
    end: datetime = NOW + timedelta(days=3650),
    algorithm: Any = None,
    signing_key: Any = None,
) -> Issued:
    """Return a certificate by `issuer` (None: by itself) with whatever faults a test wishes."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    if basic:
        builder = builder.add_extension(
            x509.BasicConstraints(ca, path_length if ca else None), critical=True
        )
    if usage is None:
        usage = ("key_cert_sign", "crl_sign") if ca else ("digital_signature",)
    if usage:
        builder = builder.add_extension(_usage(*usage), critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    made = builder.sign(
        signing_key or (issuer.key if issuer else key), algorithm or hashes.SHA256()
    )
    return Issued(key, made, (issuer.certificate, *issuer.chain) if issuer else ())


@pytest.fixture(name="issue")
def _issue() -> Callable[..., Issued]:
    return issue


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def root() -> Issued:
    return issue("Test Root", ca=True)


@pytest.fixture(scope="session")
def middle(root: Issued) -> Issued:
    return root.issue("Test Middle", ca=True, path_length=0)


@pytest.fixture(scope="session")
def leaf(middle: Issued) -> Issued:
    return middle.issue("web01")


@pytest.fixture(scope="session")
def keys() -> dict[str, Any]:
    """One key of each kind, made once: RSA keys are slow to make."""
    return {
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "p521": ec.generate_private_key(ec.SECP521R1()),
        "rsa3072": rsa.generate_private_key(65537, 3072),
        "rsa2048": rsa.generate_private_key(65537, 2048),
    }


@pytest.fixture
def openssl(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run openssl in the test's directory; `check=False` lets it fail."""

    def run(
        *words: str, check: bool = True, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["openssl", *words], cwd=tmp_path, check=check, input=stdin, capture_output=True
        )

    return run
