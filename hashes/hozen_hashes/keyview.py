"""What may be shown of a key file, without its secret: for `hozen key show` (docs/reference/json.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from hozen_hashes import agekeys, certificates
from hozen_hashes.errors import FormatError, HozenError

if TYPE_CHECKING:
    from datetime import datetime

_KEYS = {
    "ecdsa-p256-sha256": "ECDSA P-256",
    "ecdsa-p384-sha256": "ECDSA P-384",
    "rsa-pkcs1v15-sha256": "RSA",
}


def describe(data: bytes, *, at: datetime) -> dict[str, object]:
    """Return what a file of keys or certificates says about itself.

    Args:
        data: the file: an evidence identity, certificates, or an age identity.
        at: aware; for the word about validity.

    Raises:
        FormatError: neither.
        HozenError: as the readers of the two kinds.
    """
    if b"AGE-SECRET-KEY-" in data and b"-----BEGIN" not in data:
        return _age(data)
    blocks = list(certificates.pem_blocks(data))
    labels = [label for label, _ in blocks if label.endswith("PRIVATE KEY")]
    found = [certificates.load_der(body) for label, body in blocks if label == "CERTIFICATE"]
    if not found:
        raise FormatError(
            "no certificate in the file",
            hint="Give an identity file, a certificate or an age identity.",
        )
    return {
        "kind": "identity" if labels else "certificate",
        "encrypted": labels[0] == "ENCRYPTED PRIVATE KEY" if labels else None,
        **describe_certificate(found[0], at=at),
        "chain": [_fingerprint(item) for item in found[1:]],
    }


def _age(data: bytes) -> dict[str, object]:
    keys = agekeys.read_identities(data.decode("utf-8", "replace"))
    return {"kind": "age", "encrypted": False, "recipients": [str(key.recipient) for key in keys]}


def describe_certificate(certificate: x509.Certificate, *, at: datetime) -> dict[str, object]:
    """Return fingerprint, names, validity and key of a certificate."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return {
        "certificate_sha256": _fingerprint(certificate),
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "uris": _uris(certificate),
        "serial": f"{certificate.serial_number:x}",
        "not_before": f"{begin:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "validity": "not yet valid" if at < begin else "expired" if at > end else "valid",
        "key": _key(certificate),
        "self_signed": certificate.subject == certificate.issuer,
    }


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _key(certificate: x509.Certificate) -> str:
    try:
        name = _KEYS[certificates.key_algorithm(certificate)]
    except HozenError:
        return "not accepted"
    size = getattr(certificate.public_key(), "key_size", 0)
    return f"RSA {size}" if name == "RSA" else name


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *certificates.PARSE_ERRORS):
        return []
    return list(names.get_values_for_type(x509.UniformResourceIdentifier))
