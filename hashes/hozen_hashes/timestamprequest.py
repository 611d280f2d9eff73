"""A request for a time stamp over bytes of which only the hash is at hand (RFC 3161 §2.4.1)."""

from __future__ import annotations

import secrets
from typing import Final

from hozen_hashes import der
from hozen_hashes.errors import FormatError

_HASHES: Final = {
    "sha256": ("2.16.840.1.101.3.4.2.1", 32),
    "sha384": ("2.16.840.1.101.3.4.2.2", 48),
    "sha512": ("2.16.840.1.101.3.4.2.3", 64),
}
_NONCE_BITS: Final = 63  # stays a positive INTEGER of eight bytes, which every authority takes
_TRUE: Final = b"\xff"


def encode_request(
    digest: bytes, *, algorithm: str = "sha256", policy: str | None = None
) -> tuple[bytes, int]:
    """Return a `TimeStampReq` (DER) for a digest, which asks for the certificate, and its nonce.

    Args:
        digest: of what is to be stamped.
        algorithm: `sha256`, `sha384` or `sha512`.
        policy: object identifier of the authority's policy, dotted; None leaves it to the authority.

    Raises:
        FormatError: not a digest of that algorithm.
    """
    identifier, size = _HASHES.get(algorithm, ("", 0))
    if not identifier or len(digest) != size:
        raise FormatError(f"a time stamp is asked for something that is no {algorithm[:20]}")
    nonce = secrets.randbits(_NONCE_BITS) | 1 << _NONCE_BITS - 1
    imprint = der.sequence(der.sequence(der.oid(identifier), der.null()), der.octets(digest))
    parts = [der.integer(1), imprint]
    parts.extend([] if policy is None else [der.oid(policy)])
    parts += [der.integer(nonce), der.tlv(der.BOOLEAN, _TRUE)]
    return der.sequence(*parts), nonce
