"""Deterministic SYNTHETIC time stamps (RFC 3161) and lists of revoked certificates (RFC 5280), for the vectors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.vectors import vector_keys as keys
from tests.vectors.vector_keys import _attribute, _integer, _oid, _sequence, _tlv

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_TST_INFO = _oid("1.2.840.113549.1.9.16.1.4")
_END = datetime(2030, 1, 1, tzinfo=UTC)
LISTED = datetime(2027, 5, 25, tzinfo=UTC)


def signer(
    name: str, issuer: keys.Identity, *, uri: str = "", stamps: bool = False
) -> keys.Identity:
    """Return an identity for receipts (`uri`) or for time stamps alone."""
    plain = keys.identity(name, issuer, end=_END if stamps else keys.LEAF_END)
    builder = x509.CertificateBuilder(
        plain.certificate.issuer,
        plain.certificate.subject,
        plain.certificate.public_key(),
        plain.certificate.serial_number,
        plain.certificate.not_valid_before_utc,
        plain.certificate.not_valid_after_utc,
    )
    for one in plain.certificate.extensions:
        builder = builder.add_extension(one.value, critical=one.critical)
    if uri:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(names, critical=False)
    if stamps:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    made = builder.sign(issuer.key, hashes.SHA256(), ecdsa_deterministic=True)
    return keys.Identity(plain.key, made, plain.chain)


def stamp(data: bytes, who: keys.Identity, when: datetime) -> bytes:
    """Return a `TimeStampResp` over SHA-256 of `data`, accurate to a second."""
    said = _sequence(
        _integer(1), _oid("1.2.3.4.1"),
        _sequence(_sequence(_oid("2.16.840.1.101.3.4.2.1")), _tlv(0x04, hashlib.sha256(data).digest())),
        _integer(int(when.timestamp())), _tlv(0x18, f"{when:%Y%m%d%H%M%SZ}".encode()), _sequence(_integer(1)),
    )  # fmt: skip
    certificate_hash = hashlib.sha256(who.der).digest()
    attributes = b"".join(sorted([
        _attribute("1.2.840.113549.1.9.3", _TST_INFO),
        _attribute("1.2.840.113549.1.9.4", _tlv(0x04, hashlib.sha256(said).digest())),
        _attribute("1.2.840.113549.1.9.16.2.47", _sequence(_sequence(_sequence(_tlv(0x04, certificate_hash))))),
    ]))  # fmt: skip
    issuer_serial = _sequence(
        who.certificate.issuer.public_bytes(), _integer(who.certificate.serial_number)
    )
    sha256 = _sequence(_oid("2.16.840.1.101.3.4.2.1"))
    signature = keys.sign(who.key, _tlv(0x31, attributes))
    info = _sequence(
        _integer(1), issuer_serial, sha256, _tlv(0xA0, attributes), _sequence(_oid("1.2.840.10045.4.3.2")),
        _tlv(0x04, signature),
    )  # fmt: skip
    content = _sequence(_TST_INFO, _tlv(0xA0, _tlv(0x04, said)))
    embedded = sorted([who.der, *(one.public_bytes(Encoding.DER) for one in who.chain)])
    signed = _sequence(
        _integer(3), _tlv(0x31, sha256), content, _tlv(0xA0, *embedded), _tlv(0x31, info)
    )
    token = _sequence(_oid("1.2.840.113549.1.7.2"), _tlv(0xA0, signed))
    return _sequence(_sequence(_integer(0)), token)


@dataclass(frozen=True)
class Revoked:
    """One entry of a list; no reason when `reason` is None."""

    who: keys.Identity
    since: datetime
    reason: x509.ReasonFlags | None = x509.ReasonFlags.key_compromise


def crl(issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey, *entries: Revoked) -> bytes:
    """Return a list of `LISTED`, DER, good for thirty days."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _name(issuer))]))
        .last_update(LISTED)
        .next_update(LISTED + timedelta(days=30))
    )
    for one in entries:
        made = x509.RevokedCertificateBuilder(one.who.certificate.serial_number, one.since)
        if one.reason is not None:
            made = made.add_extension(x509.CRLReason(one.reason), critical=False)
        builder = builder.add_revoked_certificate(made.build())
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def _name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
