"""A path from a signer's certificate to a root that came from outside (RFC 5280 §6, narrowed; bundle-v1 §11 step 10).

Narrowed means: an accept-list of algorithms, no name constraints or policies (a certificate that demands them is
refused), no revocation here (`revocation` asks lists), at most eight certificates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID

from hozen_hashes import certificates
from hozen_hashes.certificates import load_certificates
from hozen_hashes.errors import InternalError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

__all__ = ["ChainError", "load_certificates", "verify_chain"]

MAX_DEPTH: Final = 8
MAX_CHECKS: Final = 64  # signatures of certificates tried for one leaf
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

ACCEPTED_SIGNATURES: Final = frozenset({
    SignatureAlgorithmOID.ECDSA_WITH_SHA256, SignatureAlgorithmOID.ECDSA_WITH_SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512, SignatureAlgorithmOID.RSA_WITH_SHA256,
    SignatureAlgorithmOID.RSA_WITH_SHA384, SignatureAlgorithmOID.RSA_WITH_SHA512,
})  # fmt: skip
_UNDERSTOOD: Final = frozenset({
    ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CERTIFICATE_POLICIES,
})  # fmt: skip
_TRANSPORT: Final = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})
# Which failure is told when several paths fail: the one that a person can do most about.
_RANK: Final = ("expired", "not_yet_valid", "too_weak", "not_a_ca", "bad_signature", "untrusted")


class ChainError(SignatureError):
    """No path to a given root.

    Attributes:
        kind: `expired`, `not_yet_valid`, `untrusted`, `bad_signature`, `not_a_ca` or `too_weak`.
    """

    def __init__(self, message: str, *, kind: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


def verify_chain(
    leaf: x509.Certificate,
    extra: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    *,
    at: datetime,
) -> tuple[x509.Certificate, ...]:
    """Return the path from `leaf` to one of `roots`, both included, each valid at that time.

    Args:
        leaf: the signer's certificate; alone it is a path only when it is itself among `roots`.
        extra: foreign certificates that may lie between; never trusted by themselves.
        roots: trusted because they came from outside.
        at: aware.

    Raises:
        ChainError: there is none; `kind` says what stood in the way.
    """
    if at.tzinfo is None:
        raise InternalError("verify_chain needs an aware time")
    _check_leaf(leaf, at)
    return _Search(extra, roots, at).path_from(leaf)


class _Search:
    """Depth first through all issuers by name, roots first."""

    __slots__ = ("_at", "_checks", "_extra", "_failures", "_roots")

    def __init__(
        self, extra: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime
    ) -> None:
        self._extra, self._roots, self._at = extra, roots, at
        self._checks = 0
        self._failures: list[ChainError] = []

    def path_from(self, leaf: x509.Certificate) -> tuple[x509.Certificate, ...]:
        path = self._extend((leaf,))
        if path is not None:
            return path
        if not self._failures:
            raise ChainError(
                f"no path from {_name(leaf)} to a given root",
                kind="untrusted",
                hint="Give the root certificate of the organisation whose key signed.",
            )
        raise min(self._failures, key=lambda failure: _RANK.index(failure.kind))

    def _extend(self, path: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...] | None:
        if path[-1] in self._roots:
            return path
        if len(path) == MAX_DEPTH:
            self._failures.append(_untrusted(f"a path of more than {MAX_DEPTH} certificates"))
            return None
        for issuer in self._issuers(path):
            try:
                self._check_step(path, issuer)
            except ChainError as failure:
                self._failures.append(failure)
                continue
            if (whole := self._extend((*path, issuer))) is not None:
                return whole
        return None

    def _issuers(self, path: tuple[x509.Certificate, ...]) -> Iterator[x509.Certificate]:
        for candidate in (*self._roots, *self._extra):
            if candidate.subject == path[-1].issuer and candidate not in path:
                yield candidate

    def _check_step(self, path: tuple[x509.Certificate, ...], issuer: x509.Certificate) -> None:
        self._checks += 1
        if self._checks > MAX_CHECKS:
            raise _untrusted(f"no path within {MAX_CHECKS} signature checks")
        _check_algorithm(issuer)
        _check_issued(path[-1], issuer)
        _check_authority(issuer, below=path[1:])
        _check_dates(issuer, self._at)


def _check_leaf(leaf: x509.Certificate, at: datetime) -> None:
    _check_algorithm(leaf)
    _check_critical(leaf)
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise _untrusted(f"{_name(leaf)} is not for signatures (key usage)")
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    if extended is not None and set(extended) <= _TRANSPORT:
        raise _untrusted(
            f"{_name(leaf)} is for connections only (extended key usage)",
            hint="Evidence is signed with an evidence certificate, not with the one for TLS.",
        )
    _check_dates(leaf, at)


def _check_algorithm(certificate: x509.Certificate) -> None:
    try:
        certificates.key_algorithm(certificate)
    except SignatureError as error:
        raise ChainError(
            f"{_name(certificate)}: {error}", kind="too_weak", hint=error.hint
        ) from None


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    if certificate.signature_algorithm_oid not in ACCEPTED_SIGNATURES:
        raise ChainError(
            f"{_name(certificate)} is signed with an algorithm that is not accepted"
            f" ({certificate.signature_algorithm_oid.dotted_string})",
            kind="too_weak",
        )
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *certificates.PARSE_ERRORS):
        raise ChainError(
            f"{_name(certificate)} was not signed by the key of {_name(issuer)}",
            kind="bad_signature",
        ) from None


def _check_authority(issuer: x509.Certificate, *, below: tuple[x509.Certificate, ...]) -> None:
    """Check that `issuer` may issue; `below` are the authorities under it (RFC 5280 §6.1.4 k to n)."""
    _check_critical(issuer)
    basic = _extension(issuer, x509.BasicConstraints)
    if basic is None or not basic.ca:
        raise _not_a_ca(issuer, "is not a certificate authority")
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise _not_a_ca(issuer, "may not sign certificates (key usage)")
    counted = sum(1 for item in below if item.subject != item.issuer)
    if basic.path_length is not None and counted > basic.path_length:
        raise _not_a_ca(
            issuer, f"allows {basic.path_length} authorities below it, there are {counted}"
        )


def _check_dates(certificate: x509.Certificate, at: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if at < begin:
        raise ChainError(
            f"{_name(certificate)} is valid only from {begin:%Y-%m-%dT%H:%M:%SZ}",
            kind="not_yet_valid",
        )
    if at > end:
        raise ChainError(
            f"{_name(certificate)} expired at {end:%Y-%m-%dT%H:%M:%SZ}",
            kind="expired",
            hint="A receipt or time stamp that shows an earlier time lets it be checked at that time.",
        )


def _check_critical(certificate: x509.Certificate) -> None:
    for extension in _extensions(certificate):
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise _untrusted(
                f"{_name(certificate)} demands an extension that is not understood ({extension.oid.dotted_string})"
            )


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    for extension in _extensions(certificate):
        if isinstance(extension.value, kind):
            return extension.value
    return None


def _extensions(certificate: x509.Certificate) -> x509.Extensions:
    try:
        return certificate.extensions
    except certificates.PARSE_ERRORS as error:
        raise _untrusted(
            f"{_name(certificate)} has extensions that cannot be read: {error}"
        ) from None


def _untrusted(message: str, *, hint: str = "") -> ChainError:
    return ChainError(message, kind="untrusted", hint=hint)


def _not_a_ca(issuer: x509.Certificate, why: str) -> ChainError:
    return ChainError(f"{_name(issuer)} {why}", kind="not_a_ca")


def _name(certificate: x509.Certificate) -> str:
    """Return the subject for a message: short, and without control characters."""
    text = certificate.subject.rfc4514_string()
    return repr("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:120])
