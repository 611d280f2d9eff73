"""What the caller knows from outside the bundle (bundle-v1 §11): without it origin is 検証不能."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509

    from hozen_hashes.cosignature import WitnessKey
    from hozen_hashes.note import VerifierKey
    from hozen_hashes.revocation import RevocationList
    from hozen_hashes.verify.tiers import TsaList


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Everything from outside; all of it optional.

    Attributes:
        roots: root certificates, their fingerprint compared by another way.
        seal: the root digest as it was written down, 64 lower-case hexadecimal digits.
        log_keys: keys of transparency logs.
        witness_keys: keys of witnesses of those logs.
        witnesses: how many of them must have cosigned; None: all.
        receipt: files of a receipt directory by name; None when there is none.
        custody: files of `custody/` by name, in any order.
        attachments: SHA-256 of each file in `attachments/`, by its name.
        operator: `operator.p7s` and `statement.txt` by name.
        operator_expected: the operator's signature must be there (step 15).
        timestamps: raw replies of time-stamping authorities by file name.
        tsa_roots: roots of time-stamping authorities, their fingerprint compared by another way.
        tsa_list: which authority is of which tier, as of a day; None: no tier is shown.
        revoked: lists of revoked certificates; each counts only when an authority from outside signed it.
    """

    roots: tuple[x509.Certificate, ...] = ()
    seal: str | None = None
    log_keys: tuple[VerifierKey, ...] = ()
    witness_keys: tuple[WitnessKey, ...] = ()
    witnesses: int | None = None
    receipt: Mapping[str, bytes] | None = None
    custody: Mapping[str, bytes] = field(default_factory=dict)
    attachments: Mapping[str, str] = field(default_factory=dict)
    operator: Mapping[str, bytes] = field(default_factory=dict)
    operator_expected: bool = False
    timestamps: Mapping[str, bytes] = field(default_factory=dict)
    tsa_roots: tuple[x509.Certificate, ...] = ()
    tsa_list: TsaList | None = None
    revoked: tuple[RevocationList, ...] = ()
