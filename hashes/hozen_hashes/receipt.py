"""A receipt, checked part by part (receipt-v1 §6): bytes in, a verified receipt or an error out.

1. the statement says what the bundle is;
2. the receipt certificate signed the statement, and chains to a root from outside;
3. the log key in the receipt is the one that the statement names;
4. the checkpoint is signed by that key;
5. the statement is a leaf of the checkpoint's tree.

A part that could not be checked is `not verifiable` with its reason, never a match; a part that
was checked and does not hold raises. What nobody from outside vouches for has no `anchor`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Final

from cryptography import x509

from hozen_hashes import certificates, cms
from hozen_hashes.chain import ChainError, verify_chain
from hozen_hashes.errors import FormatError, LimitError, MismatchError, SignatureError
from hozen_hashes.note import VerifierKey, parse_vkey
from hozen_hashes.statement import Statement, parse_statement
from hozen_hashes.tlogproof import MAX_PROOF_BYTES, parse_proof, verify_proof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from hozen_hashes.checkpoint import SignedCheckpoint

__all__ = [
    "PartResult",
    "PartState",
    "Statement",
    "VerifiedReceipt",
    "parse_statement",
    "readme",
    "receipt_files",
    "receipt_uri",
    "verify_receipt",
]

STATEMENT_NAME: Final = "receipt.txt"
PROOF_NAME: Final = "receipt.tlog-proof"
SIGNATURE_NAME: Final = "receipt.p7s"
KEY_NAME: Final = "log.vkey"
README_NAME: Final = "README.txt"
_LIMITS: Final = {
    STATEMENT_NAME: 4096,
    PROOF_NAME: MAX_PROOF_BYTES,
    SIGNATURE_NAME: 64 * 1024,
    KEY_NAME: 1024,
}


class PartState(StrEnum):
    """How a part ended; what does not hold is an exception, not a state."""

    MATCH = "match"
    NOT_VERIFIABLE = "not verifiable"


@dataclass(frozen=True, slots=True)
class PartResult:
    """One part of the check: its name, how it ended, and why it could not be made."""

    name: str
    state: PartState
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReceipt:
    """A receipt of which every part that was checked holds.

    Attributes:
        statement: what the collector stated.
        leaf_index: the statement's place in the log, or None without a proof.
        signed: the checkpoint with its signers, or None without a proof.
        signature: the CMS signature, or None without one.
        log_key: the log's key as the statement names it.
        parts: the result of each part, in the order of receipt-v1 §6.
        anchor: who from outside vouches: `log key`, `root`, or None when nobody does.
    """

    statement: Statement
    leaf_index: int | None
    signed: SignedCheckpoint | None
    signature: cms.Signature | None
    log_key: VerifierKey
    parts: tuple[PartResult, ...]
    anchor: str | None

    @property
    def accepted(self) -> bool:
        """Whether the collector took the bundle into its archive (not its quarantine)."""
        fine = self.statement.verified in ("ok", "partial", "sealed-unopened")
        return fine and self.statement.event in ("ingest", "partial", "variant")

    def part(self, name: str) -> PartResult:
        """Return the result of the part `name`."""
        return next(part for part in self.parts if part.name == name)


def receipt_uri(origin: str) -> str:
    """Return the subject name by which a certificate may sign receipts of the log `origin`.

    It keeps the certificates of agents, which chain to the same root, from signing receipts.
    """
    return f"hozen://receipt/{origin}"


def readme() -> bytes:
    """Return `README.txt` of a receipt directory: how to check it with stock tools (en, ja)."""
    return resources.files("hozen_hashes").joinpath("readme", "receipt.txt").read_bytes()


def receipt_files(
    statement: Statement, *, proof: bytes, signature: bytes, log_key: VerifierKey
) -> dict[str, bytes]:
    """Return the files of a receipt directory by name."""
    return {
        STATEMENT_NAME: statement.encode(),
        PROOF_NAME: proof,
        SIGNATURE_NAME: signature,
        KEY_NAME: log_key.line,
        README_NAME: readme(),
    }


def verify_receipt(
    files: Mapping[str, bytes],
    *,
    seal: str | None,
    container: str | None,
    signature: str | None,
    at: datetime,
    roots: Sequence[x509.Certificate] = (),
    log_keys: Sequence[VerifierKey] = (),
    bundle: str | None = None,
) -> VerifiedReceipt:
    """Return the receipt when every part that can be checked holds (receipt-v1 §6).

    Args:
        files: the receipt directory by file name; other names are passed over.
        seal: the seal computed from the bundle, or None when it could not be opened.
        container: SHA-256 of the container as it lies here, or None.
        signature: SHA-256 of `signatures/agent.p7s`, or None.
        at: the time at which the receipt certificate must be valid.
        roots: collector roots known from outside.
        log_keys: log keys known from outside.
        bundle: the bundle id, or None.

    Raises:
        FormatError, LimitError: a file is absent, too large or in another form.
        MismatchError: the receipt is about another bundle, or names another log key.
        SignatureError: a signature or proof does not hold.
    """
    statement = parse_statement(_file(files, STATEMENT_NAME))
    parts = _check_statement(statement, seal, container, signature, bundle)
    signed_by = _check_signature(files, statement, parts, roots, at)
    key = parse_vkey(_file(files, KEY_NAME))
    _check_key(statement, key, log_keys, parts)
    signed, index = _check_proof(files, statement, key, parts)
    known = {part.name: part.state is PartState.MATCH for part in parts}
    logged = known["checkpoint"] and known["inclusion"]
    anchor = "log key" if logged and known["log key"] else None
    if anchor is None and known["signer"]:
        anchor = "root"
    return VerifiedReceipt(
        statement=statement,
        leaf_index=index,
        signed=signed,
        signature=signed_by,
        log_key=key,
        parts=tuple(parts),
        anchor=anchor,
    )


def _check_statement(
    statement: Statement,
    seal: str | None,
    container: str | None,
    signature: str | None,
    bundle: str | None,
) -> list[PartResult]:
    """Part 1: compare what the statement names with what lies here."""
    pairs = (
        ("bundle", bundle, statement.bundle),
        ("seal", seal, statement.seal),
        ("agent signature", signature, statement.signature_sha256),
    )
    for what, here, stated in pairs:
        if here is not None and stated is not None and here != stated:
            raise MismatchError(
                f"receipt: it was given for another {what} ({stated[:16]}… is not {here[:16]}…)",
                hint="Look for the receipt of this bundle, or for what exchanged the bundle.",
            )
    same_container = container is not None and container == statement.container_sha256
    if seal is None and container is not None and not same_container:
        raise MismatchError("receipt: it was given for another container")
    named = same_container or (seal is not None and statement.seal is not None)
    return [
        _part("statement", "" if named else "neither seal nor container could be compared"),
        _part("agent signature", _why_not(signature, statement.signature_sha256)),
        _part("container", "" if same_container else _other_container(container)),
    ]


def _check_signature(
    files: Mapping[str, bytes],
    statement: Statement,
    parts: list[PartResult],
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> cms.Signature | None:
    """Part 2: the CMS signature over the statement, then the chain of its certificate."""
    if SIGNATURE_NAME not in files:
        parts += [_part(name, "there is no receipt.p7s") for name in ("signature", "signer")]
        return None
    digest = hashlib.sha256(files[STATEMENT_NAME]).digest()
    signed = cms.verify_detached(_file(files, SIGNATURE_NAME), digest)
    uri = receipt_uri(statement.log)
    if uri not in _uris(signed.certificate):
        raise SignatureError(
            f"receipt: its signer's certificate is not one for receipts ({uri})",
            hint="An agent's certificate may come from the same authority, yet signs no receipts.",
        )
    parts += [_part("signature"), _part("signer", _chain_problem(signed, roots, at))]
    return signed


def _chain_problem(signed: cms.Signature, roots: Sequence[x509.Certificate], at: datetime) -> str:
    """Return why the chain could not be checked, or nothing when it holds."""
    if not roots:
        return "no root of the collector was given from outside"
    try:
        verify_chain(signed.certificate, signed.certificates, roots, at=at)
    except ChainError as error:
        if error.kind in ("bad_signature", "not_a_ca"):
            raise
        return str(error)
    return ""


def _check_key(
    statement: Statement,
    key: VerifierKey,
    log_keys: Sequence[VerifierKey],
    parts: list[PartResult],
) -> None:
    """Part 3: the key in the receipt is the one that the statement, and the outside, name."""
    if key.sha256 != statement.log_key_sha256 or key.name != statement.log:
        raise MismatchError("receipt: log.vkey is not the key that the statement names")
    same_log = [known for known in log_keys if known.name == key.name]
    if same_log and key not in same_log:
        raise MismatchError(
            f"receipt: its log key is not the one given for {key.name!r}",
            hint="Compare the fingerprint on the collector's card with: sha256sum log.vkey",
        )
    missing = "no key of this log was given from outside"
    parts.append(_part("log key", "" if same_log else missing))


def _check_proof(
    files: Mapping[str, bytes], statement: Statement, key: VerifierKey, parts: list[PartResult]
) -> tuple[SignedCheckpoint | None, int | None]:
    """Parts 4 and 5: the checkpoint by that key, and the statement in its tree."""
    if PROOF_NAME not in files:
        parts += [_part(name, f"there is no {PROOF_NAME}") for name in ("checkpoint", "inclusion")]
        return None, None
    proof = parse_proof(_file(files, PROOF_NAME))
    signed = verify_proof(proof, statement.leaf_hash, [key])
    parts += [_part("checkpoint"), _part("inclusion")]
    return signed, proof.index


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    """Return a file of the receipt within its limit."""
    data = files.get(name)
    if data is None:
        raise FormatError(f"receipt: there is no {name}")
    if len(data) > _LIMITS[name]:
        raise LimitError(f"receipt: {name} is longer than {_LIMITS[name]} bytes")
    return data


def _uris(certificate: x509.Certificate) -> list[str]:
    """Return the URIs by which a certificate names its subject."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, *certificates.PARSE_ERRORS):
        return []
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)


def _part(name: str, reason: str = "") -> PartResult:
    """Return a match, or not verifiable for the reason."""
    return PartResult(name, PartState.NOT_VERIFIABLE if reason else PartState.MATCH, reason)


def _why_not(here: str | None, stated: str | None) -> str:
    """Return why two digests could not be compared, or nothing when both are there."""
    if here is None:
        return "it was not computed here"
    return "" if stated is not None else "the statement does not name it"


def _other_container(container: str | None) -> str:
    """Return why the container is no match though the seal may be."""
    if container is None:
        return "its hash was not computed here"
    return "it was packed anew after the receipt; the seal does not depend on that"
