"""Lists of revoked certificates are read and asked (RFC 5280 §5, narrowed; docs/keys-over-years.md).

Narrowed means: whole lists only (no delta, no indirect list, no list of some reasons), signed by the authority that
issued the certificates, with an algorithm of `chain`'s accept-list. What a list says of a certificate is data here;
which word follows from it is decided in `verify.revoked`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from hozen_hashes.certificates import PARSE_ERRORS, key_algorithm, pem_blocks
from hozen_hashes.chain import ACCEPTED_SIGNATURES
from hozen_hashes.errors import FormatError, LimitError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

MAX_LIST_BYTES: Final = 32 * 1024 * 1024
MAX_LISTS: Final = 64
_DER_SEQUENCE: Final = b"\x30"
_HOLD: Final = x509.ReasonFlags.certificate_hold.value
_UNDERSTOOD: Final = frozenset({
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER, ExtensionOID.ISSUING_DISTRIBUTION_POINT,
})  # fmt: skip
_ENTRY_UNDERSTOOD: Final = frozenset({
    CRLEntryExtensionOID.CRL_REASON, CRLEntryExtensionOID.INVALIDITY_DATE,
})  # fmt: skip


class Answer(StrEnum):
    """What the lists of a certificate's authority say of it, for one moment."""

    NOT_ASKED = "not asked"  # none of them is by its authority and about its kind
    REVOKED = "revoked"
    NOT_LISTED = "not listed"
    OUTDATED = "outdated"  # it is on none, but none was current at that moment or made later
    LATE = "late"  # it is on none, but they were made after it expired, when it may have been taken off


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One list, read but not believed yet.

    Attributes:
        name: of its file.
        sha256: of its DER bytes, lower-case hexadecimal.
        until: when the next list was to come; None when the list does not say.
    """

    name: str
    crl: x509.CertificateRevocationList
    sha256: str
    made: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The answer of all lists together.

    Attributes:
        since: from when it counts as revoked: the date of revocation, or the earlier one since which the authority
            suspects the key (invalidityDate, RFC 5280 §5.3.2).
        reason: as RFC 5280 §5.3.1 names it, `unspecified` when none is given.
        list_name, made: the list that says so, and when it was made; of the newest one when it is on none.
    """

    answer: Answer
    since: datetime | None = None
    reason: str = ""
    list_name: str = ""
    made: datetime | None = None


def read_list(data: bytes, *, name: str) -> RevocationList:
    """Return the list in `data`, DER or one PEM block `X509 CRL`.

    Raises:
        FormatError: no list, or one that is not whole: delta, indirect, for some reasons, with demands unknown here.
        LimitError: more than MAX_LIST_BYTES.
    """
    if len(data) > MAX_LIST_BYTES:
        raise LimitError(f"{name} has {len(data)} bytes, the limit is {MAX_LIST_BYTES}")
    whole = data if data[:1] == _DER_SEQUENCE else _from_pem(data, name)
    try:
        crl = x509.load_der_x509_crl(whole)
        # Parsed when they are asked for; asked here, so that nothing is raised later.
        crl.issuer.rfc4514_string()
        made, until = crl.last_update_utc, crl.next_update_utc
        _check_scope(crl, name)
    except PARSE_ERRORS as error:
        raise FormatError(f"{name} is not a usable list of revoked certificates: {error}") from None
    return RevocationList(name, crl, sha256(whole).hexdigest(), made, until)


def _from_pem(data: bytes, name: str) -> bytes:
    found = [
        body
        for label, body in pem_blocks(data, max_bytes=2 * MAX_LIST_BYTES)
        if label == "X509 CRL"
    ]
    if len(found) != 1:
        raise FormatError(
            f"{name} holds {len(found)} lists of revoked certificates, not one",
            hint="Give a CRL: DER, or PEM with -----BEGIN X509 CRL-----.",
        )
    return found[0]


def _check_scope(crl: x509.CertificateRevocationList, name: str) -> None:
    for extension in crl.extensions:
        if extension.oid == ExtensionOID.DELTA_CRL_INDICATOR:
            raise FormatError(
                f"{name} holds changes to another list only", hint="Give the whole list."
            )
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise FormatError(
                f"{name} demands an extension that is not understood ({extension.oid.dotted_string})"
            )
    point = _point(crl)
    if point is not None and (
        point.indirect_crl or point.only_some_reasons or point.only_contains_attribute_certs
    ):
        raise FormatError(
            f"{name} is an indirect list, or covers some reasons only", hint="Give the whole list."
        )


def signed_by(one: RevocationList, authority: x509.Certificate) -> bool:
    """Return whether this authority's key made the list, and may make lists (RFC 5280 §6.3.3 f, g)."""
    if (
        one.crl.issuer != authority.subject
        or one.crl.signature_algorithm_oid not in ACCEPTED_SIGNATURES
    ):
        return False
    try:
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    except PARSE_ERRORS:
        return False
    if usage is not None and not usage.crl_sign:
        return False
    try:
        key_algorithm(authority)
        return one.crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (SignatureError, InvalidSignature, *PARSE_ERRORS):
        return False


def covers(one: RevocationList, certificate: x509.Certificate) -> bool:
    """Return whether a list by the certificate's authority is about certificates of its kind (RFC 5280 §5.2.5)."""
    if one.crl.issuer != certificate.issuer:
        return False
    point = _point(one.crl)
    if point is None:
        return True
    if (point.only_contains_ca_certs and not _is_authority(certificate)) or (
        point.only_contains_user_certs and _is_authority(certificate)
    ):
        return False
    names = set(point.full_name or ())
    return not point.relative_name and (not names or bool(names & _points_of(certificate)))


def standing(
    certificate: x509.Certificate, lists: Sequence[RevocationList], *, moment: datetime
) -> Standing:
    """Return what lists that are believed say of the certificate.

    Args:
        certificate: whoever it belongs to.
        lists: each signed by an authority that the caller trusts.
        moment: aware; when the certificate was in use, or is judged. A list answers for it that was current then, or
            was made later.

    Raises:
        FormatError: an entry for the certificate cannot be read.
    """
    about = [one for one in lists if covers(one, certificate)]
    if not about:
        return Standing(Answer.NOT_ASKED)
    newest = max(about, key=lambda one: one.made)
    entries = [found for one in about if (found := _entry(one, certificate)) is not None]
    # A hold can be lifted (RFC 5280 §5.3.1): only the newest list tells whether it still is.
    lasting = [one for one in entries if one.reason != _HOLD or one.list_name == newest.name]
    if lasting:
        return min(lasting, key=lambda found: found.since or moment)
    if any(_answers(one, certificate, moment) for one in about):
        answer = Answer.NOT_LISTED
    elif newest.made >= moment:
        answer = Answer.LATE
    else:
        answer = Answer.OUTDATED
    return Standing(answer, list_name=newest.name, made=newest.made)


def _answers(one: RevocationList, certificate: x509.Certificate, moment: datetime) -> bool:
    """Return whether absence from this list means something for the moment (RFC 5280 §3.3, §5.1.2.5)."""
    if one.made >= moment:
        return one.made <= certificate.not_valid_after_utc
    return one.until is not None and moment <= one.until


def _entry(one: RevocationList, certificate: x509.Certificate) -> Standing | None:
    try:
        entry = one.crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is None:
            return None
        since, reason = entry.revocation_date_utc, "unspecified"
        for extension in entry.extensions:
            if isinstance(extension.value, x509.InvalidityDate):
                since = min(since, extension.value.invalidity_date_utc)
            elif isinstance(extension.value, x509.CRLReason):
                reason = extension.value.reason.value
            elif extension.critical and extension.oid not in _ENTRY_UNDERSTOOD:
                raise FormatError(
                    f"{one.name}: an entry demands an extension that is not understood"
                )
    except PARSE_ERRORS as error:
        raise FormatError(f"{one.name}: an entry cannot be read: {error}") from None
    return Standing(Answer.REVOKED, since, reason, one.name, one.made)


def _point(crl: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    for extension in crl.extensions:
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            return extension.value
    return None


def _is_authority(certificate: x509.Certificate) -> bool:
    for extension in _extensions(certificate):
        if isinstance(extension.value, x509.BasicConstraints):
            return extension.value.ca
    return False


def _points_of(certificate: x509.Certificate) -> set[x509.GeneralName]:
    return {
        name
        for extension in _extensions(certificate)
        if isinstance(extension.value, x509.CRLDistributionPoints)
        for point in extension.value
        for name in point.full_name or ()
    }


def _extensions(certificate: x509.Certificate) -> tuple[x509.Extension[x509.ExtensionType], ...]:
    try:
        return tuple(certificate.extensions)
    except PARSE_ERRORS:
        return ()
