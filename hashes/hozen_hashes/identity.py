"""The keys that sign: one-capture keys, identity files, certificate requests (design §5, bundle-v1 §9).

An identity file is PEM: one PKCS #8 key, encrypted if a passphrase was given, then the certificate, then its chain.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from hozen_hashes import certificates
from hozen_hashes.errors import FormatError, SignatureError, UsageError
from hozen_hashes.keyfile import Key, decode_key, encode_key

if TYPE_CHECKING:
    from collections.abc import Sequence

VALID_YEARS = 10
# A clock that is set back during a capture must not bring the seal before the certificate.
_EARLIER = timedelta(days=1)


class Signer(Protocol):
    """Something that signs and has a certificate: a key in memory, or one in a token."""

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate of the key."""

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The certificates above it, its issuer first; the root need not be among them."""

    @property
    def kind(self) -> str:
        """`enrolled`, `file`, `token` or `one-capture` (bundle-v1 §6, start)."""

    def sign(self, data: bytes) -> bytes:
        """Return a signature over `data` with SHA-256: DER ECDSA, or RSA PKCS #1 v1.5."""


@dataclass(frozen=True, slots=True, repr=False)
class KeyIdentity:
    """A private key in memory with its certificate; a `Signer`.

    Attributes:
        key: the private key; never in `repr`.
        certificate: whose public key is this key's.
        chain: the certificates above it.
        kind: `enrolled`, `file` or `one-capture`.
    """

    key: Key
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()
    kind: str = "file"

    @property
    def certificate_sha256(self) -> str:
        """SHA-256 of the certificate's DER bytes, lower-case hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def sign(self, data: bytes) -> bytes:
        """Return a signature over `data` with SHA-256: DER ECDSA (RFC 6979) or RSA PKCS #1 v1.5."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return sign_ecdsa(self.key, data)

    def __repr__(self) -> str:
        return f"KeyIdentity({self.kind}, {self.certificate_sha256[:16]}…)"


def sign_ecdsa(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Return a DER ECDSA signature with SHA-256 whose nonce comes from key and data (RFC 6979).

    A host under attack may have a poor random source, and one repeated nonce gives the key away. OpenSSL before 3.2
    cannot do this; there the nonce is random.
    """
    try:
        return key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    except UnsupportedAlgorithm:
        return key.sign(data, ec.ECDSA(hashes.SHA256()))


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new ECDSA P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_one_capture(
    common_name: str = "", *, uri: str = "", now: datetime | None = None
) -> KeyIdentity:
    """Return an identity for one capture that lives in memory only; nobody vouches for it yet.

    Args:
        common_name: of the certificate; default `Hozen one-capture key <8 hex>`.
        uri: goes into the certificate as a name of its subject, if given.
        now: aware; default the clock's time.

    Raises:
        UsageError: a name or URI that a certificate cannot hold.
    """
    name = common_name or f"Hozen one-capture key {secrets.token_hex(4)}"
    return new_self_signed(name, uri=uri, now=now, kind="one-capture")


def new_self_signed(
    common_name: str, *, uri: str = "", now: datetime | None = None, kind: str = "file"
) -> KeyIdentity:
    """Return a new P-256 key with a self-signed evidence certificate of ten years; raises as `new_one_capture`."""
    key = new_key()
    begin = (now or datetime.now(UTC)).replace(microsecond=0) - _EARLIER
    try:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=365 * VALID_YEARS + VALID_YEARS // 4))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_signing_usage(), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if uri:
            builder = builder.add_extension(_uri_name(uri), critical=False)
        certificate = builder.sign(key, hashes.SHA256())
    except (ValueError, TypeError) as error:
        raise UsageError(f"no certificate can be made for {common_name!r}: {error}") from None
    return KeyIdentity(key, certificate, kind=kind)


def _signing_usage() -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
              "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(digital_signature=True, **dict.fromkeys(others, False))


def _uri_name(uri: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])


def make_csr(key: Key, common_name: str, uri: str = "") -> bytes:
    """Return a PEM certificate request (RFC 2986), signed by the key as proof that we hold it.

    Args:
        key: the key that the certificate is for.
        common_name: of the subject.
        uri: a name of the subject such as `hozen://site/agent/web01`, ASCII, if given.

    Raises:
        UsageError: a name or URI that a request cannot hold.
    """
    try:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        builder = builder.add_extension(_signing_usage(), critical=True)
        if uri:
            builder = builder.add_extension(_uri_name(uri), critical=False)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    except (ValueError, TypeError) as error:
        raise UsageError(f"no request can be made for {common_name!r}: {error}") from None


def write_identity(identity: KeyIdentity, passphrase: bytes | None) -> bytes:
    """Return the identity file: the key (encrypted when there is a passphrase), the certificate, the chain.

    Raises:
        UsageError: an empty passphrase.
    """
    embedded = (identity.certificate, *identity.chain)
    return encode_key(identity.key, passphrase) + b"".join(
        item.public_bytes(Encoding.PEM) for item in embedded
    )


def load_identity(
    pem: bytes,
    passphrase: bytes | None,
    *,
    at: datetime | None = None,
    kind: str = "file",
    check_dates: bool = True,
) -> KeyIdentity:
    """Return the identity that an identity file holds, ready to sign.

    Args:
        pem: the file: one PKCS #8 key, the certificate of that key, its chain.
        passphrase: of the key, or None if it is not encrypted.
        at: the time for which the certificate must be valid; default the clock's.
        kind: what the journal will say about it.
        check_dates: False for work that needs no valid certificate, such as a request for a new one.

    Raises:
        FormatError: not an identity file.
        LimitError: too large.
        UsageError: no passphrase, or not the right one.
        SignatureError: a key of a kind that is not accepted, a certificate that is not this key's or not valid now.
    """
    blocks = list(certificates.pem_blocks(pem))
    key = decode_key(blocks, passphrase)
    found = [certificates.load_der(body) for label, body in blocks if label == "CERTIFICATE"]
    if not found:
        raise FormatError(
            "the identity file has no certificate", hint="Add one with: hozen key import"
        )
    return identity_of(key, found, at=(at or datetime.now(UTC)) if check_dates else None, kind=kind)


def identity_of(
    key: Key, found: Sequence[x509.Certificate], *, at: datetime | None, kind: str = "file"
) -> KeyIdentity:
    """Return the identity of a key and its certificates, the key's own first; `at` None leaves dates unchecked.

    Raises:
        SignatureError: as `load_identity`.
    """
    certificates.key_algorithm(found[0])
    if _spki(found[0].public_key()) != _spki(key.public_key()):
        raise SignatureError(
            "the certificate belongs to another key",
            hint="The first certificate must be the one that was issued for this key.",
        )
    if at is not None:
        check_validity(found[0], at)
    return KeyIdentity(key, found[0], tuple(found[1:]), kind)


def check_validity(certificate: x509.Certificate, at: datetime) -> None:
    """Return when the certificate is valid at that time; raises SignatureError with a hint if not."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if at < begin:
        raise SignatureError(
            f"the certificate is valid only from {begin:%Y-%m-%d %H:%M:%S}Z",
            hint="Look whether the clock of this computer is right.",
        )
    if at > end:
        raise SignatureError(
            f"the certificate expired at {end:%Y-%m-%d %H:%M:%S}Z",
            hint="Ask for a new one with: hozen key request; then: hozen key import",
        )


def _spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]
