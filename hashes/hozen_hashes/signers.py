"""`--identity FILE|pkcs11:…`: PEM, PKCS #12 or a token, whichever it is, a signer comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from hozen_hashes import certificates, identity
from hozen_hashes.errors import UsageError
from hozen_hashes.pkcs12file import is_pkcs12, load_pkcs12
from hozen_hashes.tokenuri import is_token_uri, parse_token_uri

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hozen_hashes.identity import Signer

_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


def open_signer(
    name: str, ask: Callable[[str], bytes | None], *, at: datetime | None = None, kind: str = "file"
) -> Signer:
    """Return the signer that `name` means, ready to sign.

    Args:
        name: path of an identity file (PEM or PKCS #12), or a `pkcs11:` URI.
        ask: gives passphrase or PIN for the question `Passphrase` or `PIN`, None if there is nobody to ask; called
            only when a secret is needed, and once.
        at: the time for which the certificate must be valid; default the clock's.
        kind: what the journal says about a file: `file` or `enrolled`.

    Raises:
        UsageError: the file cannot be read, or the secret does not open it.
        HozenError: as `identity.load_identity` and `pkcs11.open_identity`.
    """
    if is_token_uri(name):
        from hozen_hashes import pkcs11  # noqa: PLC0415 - optional

        parse_token_uri(name)  # a URI that cannot be used must not cost a question
        return pkcs11.open_identity(name, ask("PIN"), at=at)
    pem = read_key_file(Path(name))
    if is_pkcs12(pem):
        return load_pkcs12(pem, ask("Passphrase"), at=at, kind=kind)
    passphrase = ask("Passphrase") if _ENCRYPTED in pem else None
    return identity.load_identity(pem, passphrase, at=at, kind=kind)


def read_key_file(path: Path) -> bytes:
    """Return the bytes of a file of keys or certificates.

    Raises:
        UsageError: it cannot be read, or is larger than such a file can be.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(certificates.MAX_PEM_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="Give a readable file."
        ) from None
    if len(data) > certificates.MAX_PEM_BYTES:
        raise UsageError(
            f"{path} is larger than {certificates.MAX_PEM_BYTES} bytes", hint="It is no key file."
        )
    return data
