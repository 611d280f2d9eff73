"""What the verifier process found, as it crosses from that process to the collector."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hozen_hashes.errors import FormatError, InternalError
from hozen_hashes.names import check_bundle_id

if TYPE_CHECKING:
    from hozen_hashes.errors import HozenError

MATCH: Final = "match"
MISMATCH: Final = "mismatch"
NOT_VERIFIABLE: Final = "not verifiable"
WORDS: Final = (MATCH, MISMATCH, NOT_VERIFIABLE)
MAX_REASONS: Final = 200
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_MAX_TEXT: Final = 500


class Reason(NamedTuple):
    """One sentence in both languages."""

    en: str
    ja: str


def reason_of(error: HozenError) -> Reason:
    """Give an error as a reason; errors speak English."""
    return Reason(clean(str(error)), clean(str(error)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of one verification.

    Attributes:
        container_sha256: of the bytes as they were read back from the disk.
        container_size: of the same, bytes.
        integrity: match, mismatch or not verifiable (bundle-v1 §11).
        origin: the same, with the collector's root as the outside anchor.
        word: the summary, the same three.
        reasons: why it is not a match.
        refused: it is to be quarantined whatever the word.
        bundle: bundle id, empty where it could not be read.
        seal: computed from the container, empty where it could not be.
        signer: SHA-256 of the certificate that made the machine seal.
        signer_name: its common name.
        sealed_at: the signer's claim, nanoseconds since 1970.
        signature_sha256: of `signatures/agent.p7s`.
        start_sha256: of `hozen/start.p7s`.
        first_journal_key_sha256: of `hozen/journal/000000.pub`.
    """

    container_sha256: str
    container_size: int
    integrity: str
    origin: str = NOT_VERIFIABLE
    word: str = NOT_VERIFIABLE
    reasons: tuple[Reason, ...] = ()
    refused: bool = False
    bundle: str = ""
    seal: str = ""
    signer: str = ""
    signer_name: str = ""
    sealed_at: int | None = None
    signature_sha256: str = ""
    start_sha256: str = ""
    first_journal_key_sha256: str = ""

    def encode(self) -> bytes:
        """Give the JSON form."""
        return json.dumps(asdict(self)).encode()


def parse_verdict(data: bytes) -> Verdict:
    """Read the JSON form; the process that wrote it had hostile bytes in its hands.

    Raises:
        InternalError: it is not a verdict.
    """
    try:
        body: dict[str, Any] = json.loads(data)
        reasons = tuple(
            Reason(clean(str(en)), clean(str(ja))) for en, ja in body.pop("reasons")[:MAX_REASONS]
        )
        body["refused"] = body.get("refused") is True
        body["signer_name"] = clean(str(body["signer_name"]))
        verdict = Verdict(reasons=reasons, **body)
        _check(verdict)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, FormatError) as error:
        raise InternalError("the verifier process gave no verdict") from error
    return verdict


def clean(text: str) -> str:
    """Give `text` as one bounded line without control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:_MAX_TEXT])


def _check(verdict: Verdict) -> None:
    hashes = (
        verdict.seal,
        verdict.signer,
        verdict.signature_sha256,
        verdict.start_sha256,
        verdict.first_journal_key_sha256,
    )
    right = (
        _HASH.fullmatch(verdict.container_sha256) is not None
        and all(_HASH.fullmatch(value) for value in hashes if value)
        and type(verdict.container_size) is int
        and (verdict.sealed_at is None or type(verdict.sealed_at) is int)
        and {verdict.integrity, verdict.origin, verdict.word} <= set(WORDS)
    )
    if not right:
        raise FormatError("a verdict in another form")
    if verdict.bundle:
        check_bundle_id(verdict.bundle)
