"""Which key seals: the operator's identity, the enrolled key, else one made for this capture (design §5)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hozen_hashes.identity import new_one_capture
from hozen_hashes.signers import open_signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_hashes.identity import Signer


def choose_signer(
    identity: str | None,
    *,
    ask: Callable[[str], bytes | None],
    enrolled: Callable[[], Signer | None],
) -> Signer:
    """Return the key that will sign start and seal.

    Args:
        identity: a PEM file, a `pkcs11:` URI, or None.
        ask: gives the "Passphrase" or "PIN"; called only when one is needed.
        enrolled: gives the host's enrolled identity, or None.

    Raises:
        UsageError: the file or token cannot be used.
        SignatureError: wrong secret, expired certificate, or key and certificate do not belong together.
    """
    if identity is not None:
        return open_signer(identity, ask)
    return enrolled() or new_one_capture(f"Hozen one-capture key {os.urandom(4).hex()}")
