"""Which key seals: the operator's identity file, the enrolled key, else one made for this capture (design §5)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hozen_hashes import pkcs11
from hozen_hashes.errors import UsageError
from hozen_hashes.identity import load_identity, new_one_capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_hashes.identity import Signer

_LARGEST = 1 << 20


def choose_signer(
    identity: str | None, *, passphrase: Callable[[], bytes | None], enrolled: Callable[[], Signer | None]
) -> Signer:
    """Return the key that will sign start and seal.

    Args:
        identity: a PEM file, a `pkcs11:` URI, or None.
        passphrase: asked only when a key or token needs it.
        enrolled: gives the host's enrolled identity, or None.

    Raises:
        UsageError: the file cannot be read or used.
        SignatureError: wrong passphrase, expired certificate, or key and certificate do not belong together.
    """
    if identity is not None and identity.startswith("pkcs11:"):
        return pkcs11.open_token(identity, pin=passphrase)
    if identity is not None:
        pem = _read(Path(identity))
        return load_identity(pem, passphrase() if b"ENCRYPTED" in pem else None)
    return enrolled() or new_one_capture(f"Hozen one-capture key {os.urandom(4).hex()}")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise UsageError(
            f"cannot read the identity {path}: {error.strerror}", hint="give the PEM file made by 'hozen key new'"
        ) from error
