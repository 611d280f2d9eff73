"""Small checks that every part of a CMS structure shares (RFC 5652 §10, RFC 5754)."""

from __future__ import annotations

from hozen_hashes import cmsnames, der
from hozen_hashes.errors import FormatError, SignatureError


def only(element: der.Element, what: str) -> der.Element:
    """Return the one element inside; raises SignatureError if there are more or fewer."""
    found = element.open().rest(der.SEQUENCE, what)
    if len(found) != 1:
        raise SignatureError(f"{what}: {len(found)} where the format has exactly one")
    return found[0]


def expect(element: der.Element, wanted: bytes, what: str) -> None:
    """Return when the object identifier is the wanted one; raises SignatureError that shows it if not."""
    if element.whole != wanted:
        raise SignatureError(f"{what} {der.dotted(element)} is not the one that the format has")


def check_digest_algorithm(element: der.Element) -> None:
    """Return when the AlgorithmIdentifier is SHA-256; raises SignatureError if not."""
    inside = element.open()
    expect(
        inside.take(der.OBJECT_IDENTIFIER, "digest algorithm"), cmsnames.SHA256, "digest algorithm"
    )
    null_or_absent(inside, "digest algorithm")


def null_or_absent(inside: der.Cursor, what: str) -> None:
    """Return when the parameters are NULL or absent and nothing follows; raises FormatError if not."""
    # RFC 5754 §2: both are to be accepted.
    parameters = inside.optional(der.NULL, what)
    if parameters is not None and parameters.content:
        raise FormatError(f"DER: {what}: a NULL with content")
    inside.end(what)
