"""age v1 with X25519 recipients (C2SP age; bundle-v1 §8 and §10), on primitives of `cryptography` alone."""

from __future__ import annotations

from hozen_hashes.agekeys import (
    Identity,
    Recipient,
    new_identity,
    parse_identity,
    parse_recipient,
    read_identities,
    read_recipients,
)  # fmt: skip
from hozen_hashes.ageread import AgeReader
from hozen_hashes.agewrite import AgeWriter

__all__ = [
    "AgeReader", "AgeWriter", "Identity", "Recipient", "new_identity", "parse_identity", "parse_recipient",
    "read_identities", "read_recipients",
]  # fmt: skip
