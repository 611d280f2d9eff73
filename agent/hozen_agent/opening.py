"""The first thing a capture commits to: what it is about to do, signed before it is done (design §5, bundle-v1 §6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hozen_agent.case import case_json
from hozen_hashes.errors import HozenError
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.planning import Plan
    from hozen_config.casefile import CaseFile
    from hozen_hashes.identity import Signer


class CollectorPort(Protocol):
    """What a capture asks of a reachable collector; the courier answers, tests may answer too."""

    def checkpoint(self) -> Mapping[str, object]:
        """Return {origin, size, root, note, received}: the newest checkpoint of the log."""

    def announce_start(
        self, *, bundle: str, segment: bytes, start_p7s: bytes, first_key_sha256: str
    ) -> int:
        """Have the start logged; return its leaf index."""

    def measure_offset(self) -> tuple[float, float]:
        """Return (host clock minus collector clock, uncertainty) in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepMark:
    """What segment 0 says of the first sweep.

    Attributes:
        sha256, size: of the sweep as it will be stored, redacted.
        started, ended: (wall, monotonic) in nanoseconds.
    """

    sha256: str
    size: int
    started: tuple[int, int]
    ended: tuple[int, int]

    def as_json(self) -> dict[str, object]:
        """Return the `sweep` value of the start record."""
        return {
            "sha256": self.sha256,
            "size": str(self.size),
            "started": rfc3339(self.started[0]),
            "ended": rfc3339(self.ended[0]),
            "mono_started": str(self.started[1]),
            "mono_ended": str(self.ended[1]),
        }


def not_before(collector: CollectorPort | None, *, reason: str = "") -> dict[str, object]:
    """Return the collector's checkpoint, which proves that the capture began after it, or why there is none."""
    if collector is None:
        return {"state": "not obtained", "reason": reason or "no collector was named"}
    try:
        return {"state": "obtained", **collector.checkpoint()}
    except HozenError as error:
        return {"state": "not obtained", "reason": str(error)}


def algorithm_of(signer: Signer) -> str:
    """Return the algorithm of the signer's signatures in the words of bundle-v1 §9."""
    key = signer.certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = key.curve.name.replace("secp256r1", "p256").replace("secp384r1", "p384")
        return f"ecdsa-{curve}-sha256"
    return f"rsa-{key.key_size}-sha256" if isinstance(key, rsa.RSAPublicKey) else "unknown"


def identity_facts(signer: Signer) -> dict[str, object]:
    """Return how the seal's key is known."""
    return {
        "kind": signer.kind,
        "certificate_sha256": signer.certificate.fingerprint(hashes.SHA256()).hex(),
        "subject": signer.certificate.subject.rfc4514_string(),
    }


def start_record(
    *,
    agent: Mapping[str, object],
    plan: Plan,
    sweep: SweepMark,
    checkpoint: Mapping[str, object],
    signer: Signer,
    case: CaseFile,
) -> dict[str, object]:
    """Return the `start` record of segment 0; the case is null while fields are still being asked for."""
    return {
        "type": "start",
        "format": "hozen-bundle/1",
        "agent": agent,
        "argv": agent["argv"],
        "profile": {"name": plan.profile, "sha256": plan.profile_sha256},
        "plan_sha256": plan.sha256,
        "sweep": sweep.as_json(),
        "checkpoint": checkpoint,
        "identity": identity_facts(signer),
        "case": None if case.missing() else case_json(case),
    }
