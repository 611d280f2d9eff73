"""The collector and the enrolled identity, as the commands ask for them; the courier does the talking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_agent.opening import CollectorPort
    from hozen_hashes.identity import Signer


def check_url(url: str) -> None:
    """Nothing is wrong with the words of a collector's URL; whether it answers is another matter.

    Raises:
        UsageError: it cannot be one.
    """
    from hozen_agent.sending.replies import parse_url

    parse_url(url)


def connect(url: str) -> CollectorPort:
    """Return the collector at `url`, reached with the enrolled transport key.

    Raises:
        UsageError: the URL cannot be used, or this host is not enrolled there.
        TryAgainError: it does not answer.
        DeniedError: it refuses this host.
    """
    from hozen_agent.courier import Courier
    from hozen_agent.sending.enrolment import load_enrolment

    return Courier(load_enrolment(url))


def enrolled_signer() -> Signer | None:
    """Return the enrolled evidence identity, or None when this host was never enrolled."""
    from hozen_agent.sending.enrolment import evidence_identity

    return evidence_identity()


def anchors(url: str) -> tuple[str, str] | None:
    """Return the SHA-256 of the collector's root certificate and of its log key, as enrolled; None when not enrolled.

    Asks nobody: what a card shows must be what this host was told at its enrolment.
    """
    from hozen_agent.sending.enrolment import load_enrolment
    from hozen_hashes.errors import UsageError

    try:
        known = load_enrolment(url)
    except UsageError:
        return None
    return known.root.fingerprint(hashes.SHA256()).hex(), known.log_key.sha256


def push(url: str, bundle: Path) -> Path:
    """Push the bundle, wait for the verdict, and return the directory of the verified receipt.

    Raises:
        MismatchError: the collector quarantined it.
        TryAgainError: the transfer was cut; it can be resumed.
        DeniedError: the collector refuses this host or case.
    """
    from hozen_agent.sending.pushing import push_bundle

    return push_bundle(url, bundle)
