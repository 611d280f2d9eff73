"""Detached CAdES-B-B signatures (bundle-v1 §9): `cmswrite` makes them, `cmsread` reads and checks them."""

from __future__ import annotations

from hozen_hashes.cmsread import Signature, check_signature, read_signature, verify_detached
from hozen_hashes.cmswrite import sign_detached

__all__ = ["Signature", "check_signature", "read_signature", "sign_detached", "verify_detached"]
