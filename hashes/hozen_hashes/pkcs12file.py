"""A PKCS #12 file (.p12, .pfx; RFC 7292) as a person's identity: key, certificate and chain in one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import pkcs12

from hozen_hashes.errors import FormatError, UsageError
from hozen_hashes.identity import identity_of
from hozen_hashes.keyfile import accepted

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from hozen_hashes.identity import KeyIdentity
    from hozen_hashes.keyfile import Key

_SEQUENCE: Final = b"\x30"


def is_pkcs12(data: bytes) -> bool:
    """Return whether the bytes can be a PKCS #12 file: DER, where an identity file is PEM text."""
    return data.startswith(_SEQUENCE) and b"-----BEGIN" not in data[:4096]


def load_pkcs12(
    data: bytes, passphrase: bytes | None, *, at: datetime | None = None, kind: str = "file"
) -> KeyIdentity:
    """Return the identity that the file holds, ready to sign.

    Args:
        data: the whole file.
        passphrase: of the file, or None if it has none.
        at: the time for which the certificate must be valid; default the clock's.
        kind: what is recorded about it.

    Raises:
        UsageError: the passphrase is missing or does not open it.
        FormatError: it holds no key, or no certificate of it.
        SignatureError: as `identity.load_identity`.
    """
    found = _opened(data, passphrase)
    if found.key is None or found.cert is None:
        raise FormatError("the PKCS #12 file does not hold one key with its certificate")
    chain = [one.certificate for one in found.additional_certs]
    moment = at or datetime.now(UTC)
    return identity_of(accepted(found.key), [found.cert.certificate, *chain], at=moment, kind=kind)


def read_pkcs12(
    data: bytes, ask: Callable[[], bytes | None]
) -> tuple[Key, x509.Certificate | None]:
    """Return the key of the file, to open what was encrypted, and its certificate if it holds one.

    Dates, chain and usages are not asked. `ask` gives the passphrase and is called once.

    Raises:
        UsageError, FormatError: as `load_pkcs12`.
        SignatureError: a key of another kind than RSA and EC.
    """
    found = _opened(data, ask())
    if found.key is None:
        raise FormatError("the PKCS #12 file does not hold a key")
    return accepted(found.key), None if found.cert is None else found.cert.certificate


def _opened(data: bytes, passphrase: bytes | None) -> pkcs12.PKCS12KeyAndCertificates:
    try:
        return pkcs12.load_pkcs12(data, passphrase)
    except ValueError:
        raise UsageError(
            "the PKCS #12 file is damaged, or the passphrase does not open it",
            hint="Give the passphrase by --passphrase-file FILE, by - for standard input, or at the prompt.",
        ) from None
    except UnsupportedAlgorithm as error:
        raise FormatError(
            f"the PKCS #12 file cannot be read here: {error}",
            hint="Write it anew with: openssl pkcs12 -export -keypbe AES-256-CBC -certpbe AES-256-CBC",
        ) from None
