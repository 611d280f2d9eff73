"""The collector's certificate authority: a P-256 root and what it issues (RFC 5280)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT_DAYS = 15 * 365
RECEIPT_DAYS = 12 * 365
SERVER_DAYS = 825
_BACKDATE = timedelta(minutes=5)  # an agent's clock may run a little behind
AGENT_URI = "hozen://agent/"


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and the certificate over its public half."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def key_pem(self) -> bytes:
        """Give the key as unencrypted PKCS #8 PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def certificate_pem(self) -> bytes:
        """Give the certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def read_pair(key_pem: bytes, certificate_pem: bytes) -> Pair:
    """Give the pair of two PEM files.

    Raises:
        FormatError: not a P-256 key and its certificate.
    """
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except (ValueError, TypeError) as error:
        raise FormatError("a key file of the collector cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FormatError("a key file of the collector is not an EC key")
    if key.public_key() != certificate.public_key():
        raise FormatError("a key of the collector does not belong to its certificate")
    return Pair(key, certificate)


def new_root(name: str, *, now: datetime | None = None) -> Pair:
    """Make the root of trust of a collector: P-256, 15 years, signs certificates of depth 0."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} root")])
    builder = _builder(subject, subject, key.public_key(), ROOT_DAYS, now=now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(certificates=True), critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    return Pair(key, builder.sign(key, hashes.SHA256()))


class Authority:
    """Issues certificates under one root; every one ends no later than the root."""

    def __init__(self, root: Pair) -> None:
        self.root = root

    def server(self, hosts: Sequence[str], *, now: datetime | None = None) -> Pair:
        """Issue the TLS certificate of the collector for host names and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._leaf(hosts[0][:64], key.public_key(), SERVER_DAYS, now=now)
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        return Pair(key, self._sign(builder.add_extension(usage, critical=False)))

    def receipts(self, name: str, uri: str, *, now: datetime | None = None) -> Pair:
        """Issue the certificate that signs receipts: 12 years, digitalSignature, no TLS usage, named by `uri`."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._leaf(f"{name} receipts", key.public_key(), RECEIPT_DAYS, now=now)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        return Pair(key, self._sign(builder.add_extension(names, critical=False)))

    def transport(
        self,
        key: ec.EllipticCurvePublicKey,
        agent_id: str,
        days: int,
        *,
        now: datetime | None = None,
    ) -> x509.Certificate:
        """Issue a TLS client certificate with the URI `hozen://agent/<agent_id>`."""
        builder = self._agent(key, agent_id, days, now=now)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._sign(builder.add_extension(usage, critical=False))

    def evidence(
        self,
        key: ec.EllipticCurvePublicKey,
        agent_id: str,
        days: int,
        *,
        now: datetime | None = None,
    ) -> x509.Certificate:
        """Issue a certificate that seals bundles: digitalSignature only, no TLS usage."""
        return self._sign(self._agent(key, agent_id, days, now=now))

    def _agent(
        self, key: ec.EllipticCurvePublicKey, agent_id: str, days: int, *, now: datetime | None
    ) -> x509.CertificateBuilder:
        uri = x509.UniformResourceIdentifier(AGENT_URI + agent_id)
        builder = self._leaf(agent_id, key, days, now=now)
        return builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)

    def _leaf(
        self, name: str, key: ec.EllipticCurvePublicKey, days: int, *, now: datetime | None
    ) -> x509.CertificateBuilder:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = self.root.certificate
        builder = _builder(
            subject, issuer.subject, key, days, now=now, limit=issuer.not_valid_after_utc
        )
        builder = builder.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        builder = builder.add_extension(_usage(certificates=False), critical=True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key), critical=False
        )
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False
        )

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self.root.key, hashes.SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: int,
    *,
    now: datetime | None,
    limit: datetime | None = None,
) -> x509.CertificateBuilder:
    start = (now or datetime.now(UTC)).replace(microsecond=0) - _BACKDATE
    end = start + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(min(end, limit) if limit else end)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
