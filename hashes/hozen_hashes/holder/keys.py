"""`--identity KEY` of a reader: an age identity file, or the private key of a certificate as PEM or PKCS #12.

A certificate's key opens the one-time age identities that lie in the envelope beside a bundle (envelope-v1 §2); which
of them are its own is found by trying. Dates and usages of the certificate are not asked: what was encrypted opens
for ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_hashes import agekeys, certificates
from hozen_hashes.agekeys import Identity
from hozen_hashes.envelope.enveloped import MAX_BYTES
from hozen_hashes.envelope.files import read_plain
from hozen_hashes.envelope.reading import MAX_KEYS
from hozen_hashes.errors import (
    BadDataError,
    FormatError,
    LimitError,
    NotVerifiableError,
    UsageError,
)
from hozen_hashes.holder import cmsopen
from hozen_hashes.keyfile import decode_key
from hozen_hashes.pkcs12file import is_pkcs12, read_pkcs12

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hozen_hashes.keyfile import Key

_BASE: Final = re.compile(r"(hz-[0-9A-Za-z-]+)(\.journal|\.zip(\.age)?(\.partial)?(\.[0-9]{3})?)")
_MAX_ENVELOPES: Final = 16
_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class CertificateKey:
    """The private key of a certificate; its `repr` does not show it."""

    key: Key = field(repr=False)

    def once(self, p7m: bytes) -> Identity:
        """Return the one-time age identity that was enveloped for this key.

        Raises:
            FormatError, LimitError: no envelope that Hozen writes.
            NotVerifiableError: this key does not open it, or what is inside is no age identity.
        """
        secret = cmsopen.open_enveloped(p7m, self.key)
        try:
            (found,) = agekeys.read_identities(secret.decode("ascii"))
        except (UnicodeDecodeError, UsageError, ValueError):
            raise cmsopen.not_opened() from None
        return found


Holder = Identity | CertificateKey


def read_holders(data: bytes, name: str, ask: Callable[[], bytes | None]) -> list[Holder]:
    """Return what a file of keys can open.

    Args:
        data: the whole file.
        name: of the file, for messages.
        ask: gives the passphrase, None if there is nobody to ask; called only when one is needed.

    Raises:
        UsageError: the passphrase does not open it, or an age identity file that is none.
        FormatError: neither of the three kinds.
        SignatureError: a private key of another kind than RSA and EC.
    """
    if is_pkcs12(data):
        return [CertificateKey(read_pkcs12(data, ask)[0])]
    if b"PRIVATE KEY-----" in data:
        passphrase = ask() if _ENCRYPTED in data else None
        return [CertificateKey(decode_key(list(certificates.pem_blocks(data)), passphrase))]
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{name} is no age identity file, and no key of a certificate") from error
    return list(agekeys.read_identities(text))


def identities_for(path: Path | None, holders: Sequence[Holder]) -> list[Identity]:
    """Return the age identities: those given, and those in the envelope beside `path` that a given key opens.

    Args:
        path: a part of the bundle, or None when it comes from standard input.
        holders: what was given.

    Raises:
        UsageError: only keys of certificates were given, and no envelope is there to be opened.
        NotVerifiableError: only keys of certificates were given, and none opens anything.
    """
    found = [one for one in holders if isinstance(one, Identity)]
    keys = [one for one in holders if isinstance(one, CertificateKey)]
    if not keys:
        return found
    enveloped = [] if path is None else list(_enveloped(path))
    found += [one for p7m in enveloped for key in keys if (one := _tried(key, p7m)) is not None]
    if found:
        return found
    if not enveloped:
        raise UsageError(
            "the key of a certificate opens an envelope, and none is beside the bundle",
            hint="Keep hz-….envelope/ with its key-NN.p7m beside the bundle, and name the bundle by its file.",
        )
    raise NotVerifiableError(
        "検証不能: none of the given keys opens this encrypted bundle",
        hint="Give the private key of a certificate, or an age identity, that the capture was made for.",
    )


def _tried(key: CertificateKey, p7m: bytes) -> Identity | None:
    try:
        return key.once(p7m)
    except (BadDataError, NotVerifiableError):
        return None  # another holder's, or damaged: the next one may be ours


def _enveloped(path: Path) -> Iterator[bytes]:
    """Yield the enveloped keys beside a bundle, from every envelope there (envelope-v1 §5)."""
    match = _BASE.fullmatch(path.name)
    base = match[1] if match else path.name.split(".zip", 1)[0]
    names = [f"{base}.envelope", *(f"{base}.envelope-{n}" for n in range(2, _MAX_ENVELOPES + 1))]
    for folder in (path.with_name(name) for name in names):
        if folder.is_dir() and not folder.is_symlink():
            for number in range(1, MAX_KEYS + 1):
                yield from read_enveloped(folder / f"key-{number:02d}.p7m")


def read_enveloped(path: Path) -> list[bytes]:
    """Return the bytes of an enveloped key, or none: absent, no plain file, or larger than one can be."""
    try:
        return [read_plain(path, MAX_BYTES)]
    except (LimitError, NotVerifiableError):
        return []
