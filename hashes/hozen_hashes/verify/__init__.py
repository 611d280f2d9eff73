"""Verification in the numbered steps of bundle-v1 §11: an open bundle in, a report out; nothing is written or asked."""

from __future__ import annotations

from hozen_hashes.verify.anchors import Anchors
from hozen_hashes.verify.report import (
    Difference,
    Note,
    Result,
    StepResult,
    VerificationReport,
    Word,
)
from hozen_hashes.verify.run import verify

__all__ = [
    "Anchors",
    "Difference",
    "Note",
    "Result",
    "StepResult",
    "VerificationReport",
    "Word",
    "verify",
]
