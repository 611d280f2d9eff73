"""What the collector says about a certificate: fingerprint, common name, time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

_MAX_NAME: Final = 64  # RFC 5280 upper bound; a statement has room for it however it is spelled


def fingerprint(certificate: x509.Certificate) -> str:
    """Give the SHA-256 of the certificate's DER, lower-case hexadecimal."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def common_name(certificate: x509.Certificate) -> str:
    """Give the first common name of the subject as one printable line of at most 64 characters, or `unnamed`."""
    try:
        found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        found = []
    text = str(found[0].value)[:_MAX_NAME] if found else ""
    return "".join(c if c.isprintable() else "\ufffd" for c in text) or "unnamed"


def nanoseconds(when: datetime) -> int:
    """Give a signing time (whole seconds) as nanoseconds since 1970."""
    return int(when.timestamp()) * 10**9
