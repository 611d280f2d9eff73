"""The clear envelope of an encrypted bundle, from its files: bounded, checked against itself (envelope-v1 §2).

Without a key it can be told which ciphertext, which seal and which recipients the signer names, and that each enveloped
one-time key is whole; not that these keys open anything.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_hashes import cms, cmsnames
from hozen_hashes.agekeys import parse_recipient
from hozen_hashes.envelope.enveloped import MAX_BYTES as MAX_KEY
from hozen_hashes.envelope.enveloped import check_enveloped
from hozen_hashes.errors import (
    BadDataError,
    FormatError,
    LimitError,
    MismatchError,
    SignatureError,
    UsageError,
)
from hozen_hashes.jsonl import parse_object
from hozen_hashes.names import check_bundle_id

if TYPE_CHECKING:
    from collections.abc import Mapping

FACTS: Final = "envelope.json"
SIGNATURE: Final = "envelope.p7s"
SEAL: Final = "agent.p7s"
MAX_FACTS: Final = 1 << 20
MAX_TOTAL: Final = 4 << 20
MAX_KEYS: Final = 99
MAX_RECIPIENTS: Final = 128
MAX_SUBJECT: Final = 8192
KEY_NAME: Final = re.compile(r"key-(?!00)[0-9]{2}\.p7m")
_FORMAT: Final = re.compile(r"hozen-envelope/([1-9][0-9]{0,3})")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A one-time key for the holder of a certificate: what the envelope says of `file`."""

    file: str
    recipient: str
    certificate_sha256: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A whole envelope whose parts fit each other.

    Attributes:
        ciphertext_sha256, ciphertext_size: of the encrypted container, in bytes.
        seal: of the bundle inside, which `agent.p7s` signs.
        recipients: `age1…`, as the signer names them.
        signed: the signature over `envelope.json`; who vouches for its certificate was not asked.
        digest: of all files (envelope-v1 §2).
        size: of all files, in bytes.
    """

    bundle_id: str
    ciphertext_sha256: str
    ciphertext_size: int
    seal: str
    recipients: tuple[str, ...]
    keys: tuple[Key, ...]
    signed: cms.Signature
    digest: str
    size: int


def listing_of(files: Mapping[str, bytes]) -> bytes:
    """Return what `sha256sum` prints for the files, in the order of their names (envelope-v1 §2)."""
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return "".join(lines).encode()


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the digest of an envelope: the SHA-256 of `listing_of` its files."""
    return hashlib.sha256(listing_of(files)).hexdigest()


def check_names(files: Mapping[str, bytes]) -> None:
    """Return when the names are those of an envelope, and no file is larger than its bound.

    Raises:
        FormatError: a name that an envelope does not have, or one that is missing.
        LimitError: too many or too large.
    """
    signature = cmsnames.MAX_SIGNATURE_BYTES
    limits = {FACTS: MAX_FACTS, SIGNATURE: signature, SEAL: signature}
    for name in (*limits, *files):
        if name not in files:
            raise FormatError(f"envelope: there is no {name}")
        if name not in limits and not KEY_NAME.fullmatch(name):
            raise FormatError(f"envelope: {name[:80]!r} is not a file of an envelope")
        limit = limits.get(name, MAX_KEY)
        if len(files[name]) > limit:
            raise LimitError(f"envelope: {name} is larger than {limit} bytes")
    if sum(map(len, files.values())) > MAX_TOTAL:
        raise LimitError(f"envelope: its files are larger than {MAX_TOTAL} bytes together")


def read_envelope(files: Mapping[str, bytes]) -> Envelope:
    """Return the envelope that these files are, by name.

    Raises:
        FormatError, LimitError: a file is missing, too many, too large, or in another form.
        SignatureError: a signature does not hold, or is over something else.
        MismatchError: a file is not the one that `envelope.json` names.
    """
    check_names(files)
    facts = parse_object(files[FACTS], what=FACTS, max_bytes=MAX_FACTS)
    version = _FORMAT.fullmatch(_text(facts, "format"))
    if version is None or version[1] != "1":
        raise FormatError(f"{FACTS}: the format is not hozen-envelope/1")
    recipients = _recipients(facts.get("recipients"))
    envelope = Envelope(
        bundle_id=check_bundle_id(_text(facts, "bundle_id")),
        ciphertext_sha256=_hash(facts, "ciphertext_sha256"),
        ciphertext_size=_size(facts),
        seal=_hash(facts, "seal"),
        recipients=recipients,
        keys=_keys(facts.get("keys"), recipients, files),
        signed=_signed(files, _hash(facts, "seal")),
        digest=digest_of(files),
        size=sum(map(len, files.values())),
    )
    _check_no_other_key(files, envelope)
    return envelope


def _signed(files: Mapping[str, bytes], seal: str) -> cms.Signature:
    """Check both signatures: one machine sealed the bundle and made its envelope."""
    signed = cms.verify_detached(files[SIGNATURE], hashlib.sha256(files[FACTS]).digest())
    sealed = cms.read_signature(files[SEAL])
    if sealed.digest.hex() != seal:
        raise MismatchError(f"{SEAL} is over another seal than {FACTS} names")
    if sealed.certificate != signed.certificate:
        raise SignatureError(f"{SEAL} and {SIGNATURE} are made by different certificates")
    return signed


def _recipients(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_RECIPIENTS:
        raise FormatError(f"{FACTS}: recipients is not a list of 1 to {MAX_RECIPIENTS}")
    for one in found:
        try:
            ours = isinstance(one, str) and str(parse_recipient(one)) == one
        except UsageError:
            ours = False
        if not ours:
            raise FormatError(f"{FACTS}: a recipient is not age1…")
    if len(set(found)) != len(found):
        raise FormatError(f"{FACTS}: a recipient is named twice")
    return tuple(found)


def _keys(
    found: object, recipients: tuple[str, ...], files: Mapping[str, bytes]
) -> tuple[Key, ...]:
    if found is None:
        return ()
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_KEYS:
        raise FormatError(f"{FACTS}: keys is not a list of 1 to {MAX_KEYS}")
    keys = tuple(_key(one, recipients, files) for one in found)
    for names in ([one.file for one in keys], [one.recipient for one in keys]):
        if len(set(names)) != len(names):
            raise FormatError(f"{FACTS}: a key is named twice")
    return keys


def _key(found: object, recipients: tuple[str, ...], files: Mapping[str, bytes]) -> Key:
    if not isinstance(found, dict):
        raise FormatError(f"{FACTS}: an entry of keys is not an object")
    name, subject, recipient = (_text(found, one) for one in ("file", "subject", "recipient"))
    if not KEY_NAME.fullmatch(name) or len(subject) > MAX_SUBJECT:
        raise FormatError(f"{FACTS}: an entry of keys is not in its form")
    if recipient not in recipients:
        raise FormatError(f"{FACTS}: {name} is for nobody among the recipients")
    if name not in files:
        raise FormatError(f"envelope: there is no {name}")
    if hashlib.sha256(files[name]).hexdigest() != _hash(found, "sha256"):
        raise MismatchError(f"{name} is not the file that {FACTS} names")
    try:
        check_enveloped(files[name])
    except BadDataError as error:
        raise type(error)(f"{name} is not an enveloped key: {error}") from None
    return Key(
        file=name,
        recipient=recipient,
        certificate_sha256=_hash(found, "certificate_sha256"),
        subject=subject,
    )


def _check_no_other_key(files: Mapping[str, bytes], envelope: Envelope) -> None:
    named = {one.file for one in envelope.keys} | {FACTS, SIGNATURE, SEAL}
    if other := sorted(set(files) - named):
        raise FormatError(f"envelope: {FACTS} does not name {other[0]}")


def _text(facts: Mapping[str, object], name: str) -> str:
    value = facts.get(name)
    if not isinstance(value, str):
        raise FormatError(f"{FACTS}: {name} is missing or no text")
    return value


def _hash(facts: Mapping[str, object], name: str) -> str:
    value = _text(facts, name)
    if not _HASH.fullmatch(value):
        raise FormatError(f"{FACTS}: {name} is no SHA-256")
    return value


def _size(facts: Mapping[str, object]) -> int:
    value = _text(facts, "ciphertext_size")
    if not _SIZE.fullmatch(value):
        raise FormatError(f"{FACTS}: ciphertext_size is no number of bytes")
    return int(value)
