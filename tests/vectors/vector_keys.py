"""Deterministic SYNTHETIC keys, certificates and CMS signatures for the vectors; shares no code with the library."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ROOT_END = datetime(2046, 1, 1, tzinfo=UTC)
LEAF_END = datetime(2028, 1, 1, tzinfo=UTC)
SIGNED = datetime(2026, 11, 23, 5, 0, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Identity:
    """A key with its certificate and the certificates above it, without the root."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def key(name: str) -> ec.EllipticCurvePrivateKey:
    scalar = int.from_bytes(hashlib.sha512(b"hozen vector " + name.encode()).digest(), "big")
    return ec.derive_private_key(scalar % (_ORDER - 1) + 1, ec.SECP256R1())


def public_pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sign(private: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return private.sign(data, _ECDSA)


def identity(
    name: str, issuer: Identity | None = None, *, ca: bool = False, end: datetime = LEAF_END
) -> Identity:
    """Return an identity signed by `issuer`, or by itself."""
    private = key(name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"SYNTHETIC {name}")])
    signer = issuer.key if issuer else private
    above = issuer.certificate.subject if issuer else subject
    serial = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
    builder = (
        x509.CertificateBuilder(above, subject, private.public_key(), serial, BEGIN, end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_usage(ca=ca), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    certificate = builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
    above_chain = () if issuer is None or not issuer.chain else issuer.chain
    chain = (*above_chain, issuer.certificate) if issuer and not _is_root(issuer) else above_chain
    return Identity(private, certificate, chain)


def _is_root(one: Identity) -> bool:
    return one.certificate.issuer == one.certificate.subject


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, content_commitment=not ca, key_cert_sign=ca, crl_sign=ca,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


# --- CMS (RFC 5652) by hand ---------------------------------------------------------------------


def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, *parts)


def _oid(text: str) -> bytes:
    first, second, *rest = (int(part) for part in text.split("."))
    body = bytes((first * 40 + second,))
    for number in rest:
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(0x80 | (number & 0x7F))
        body += bytes(reversed(septets))
    return _tlv(0x06, body)


_SHA256 = _sequence(_oid("2.16.840.1.101.3.4.2.1"))
_ECDSA_SHA256 = _sequence(_oid("1.2.840.10045.4.3.2"))
_DATA = _oid("1.2.840.113549.1.7.1")


def _attribute(oid: str, value: bytes) -> bytes:
    return _sequence(_oid(oid), _tlv(0x31, value))


def _attributes(digest: bytes, who: Identity, when: datetime) -> bytes:
    certificate_hash = hashlib.sha256(who.der).digest()
    found = [
        _attribute("1.2.840.113549.1.9.3", _DATA),
        _attribute("1.2.840.113549.1.9.4", _tlv(0x04, digest)),
        _attribute("1.2.840.113549.1.9.5", _tlv(0x17, f"{when:%y%m%d%H%M%SZ}".encode())),
        _attribute(
            "1.2.840.113549.1.9.16.2.47",
            _sequence(_sequence(_sequence(_tlv(0x04, certificate_hash)))),
        ),
    ]
    return b"".join(sorted(found))


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def p7s(content: bytes, who: Identity, *, when: datetime = SIGNED) -> bytes:
    """Return a detached CAdES-B-B signature over `content` (bundle-v1 §9)."""
    attributes = _attributes(hashlib.sha256(content).digest(), who, when)
    signature = sign(who.key, _tlv(0x31, attributes))
    issuer_serial = _sequence(
        who.certificate.issuer.public_bytes(), _integer(who.certificate.serial_number)
    )
    signer = _sequence(
        _integer(1), issuer_serial, _SHA256, _tlv(0xA0, attributes), _ECDSA_SHA256,
        _tlv(0x04, signature),
    )  # fmt: skip
    embedded = sorted([who.der, *(one.public_bytes(Encoding.DER) for one in who.chain)])
    signed_data = _sequence(
        _integer(1), _tlv(0x31, _SHA256), _sequence(_DATA), _tlv(0xA0, *embedded),
        _tlv(0x31, signer),
    )  # fmt: skip
    return _sequence(_oid("1.2.840.113549.1.7.2"), _tlv(0xA0, signed_data))
