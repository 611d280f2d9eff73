"""What a capture says of itself at its end: `bundle.json` and `bag-info.txt` (bundle-v1 §12)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hozen_agent import host
from hozen_agent.case import case_json
from hozen_agent.planning import limits_json
from hozen_hashes import __version__
from hozen_hashes.names import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hozen_agent.guard import Guard
    from hozen_agent.planning import Plan
    from hozen_agent.recorder import Tally
    from hozen_config.casefile import CaseFile
    from hozen_hashes.writer import BundleWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything `bundle.json` needs besides the writer's own numbers.

    Attributes:
        reason: why the journal ended.
        signature: the algorithm of start and seal.
        redaction: whether command lines and environments were redacted, and by which rules.
        written: gives the bytes that went to the destination so far.
        clock: as measured: synchronised, source, offset and uncertainty in milliseconds, or the reason why not.
        footprint: what only the session knows of its own traces (files opened, processes, sockets, …).
    """

    case: CaseFile
    agent: Mapping[str, object]
    host: Mapping[str, object]
    plan: Plan
    started: tuple[int, int]
    ended: tuple[int, int]
    clock: Mapping[str, object]
    checkpoint: Mapping[str, object]
    tally: Tally
    reason: str
    signature: str
    redaction: Mapping[str, object]
    written: Callable[[], int]
    guard: Guard
    footprint: Mapping[str, object]
    encryption: Mapping[str, object]
    destination: Mapping[str, object]


def bundle_json(facts: Facts, writer: BundleWriter) -> dict[str, object]:
    """Return the content of `hozen/bundle.json`."""
    journal = writer.journal
    return {
        "format": "hozen-bundle/1",
        "bundle_id": writer.bundle_id,
        "case": case_json(facts.case),
        "host": facts.host,
        "agent": facts.agent,
        "clock": {
            "start": rfc3339(facts.started[0]),
            "end": rfc3339(facts.ended[0]),
            "mono_start": str(facts.started[1]),
            "mono_end": str(facts.ended[1]),
            **facts.clock,
        },
        "not_before": facts.checkpoint,
        "sequence": {"number": None, "previous_seal_sha256": None},
        "journal": {
            "first_key_sha256": journal.first_key_sha256,
            "segments": journal.epoch + 1,
            "last_sha256": journal.last_sha256,
            "closed": journal.ended,
            "reason": facts.reason,
        },
        "profile": {"name": facts.plan.profile, "sha256": facts.plan.profile_sha256},
        "counts": {
            "attempts": writer.items,
            "files": writer.payload_files,
            "bytes": str(writer.payload_bytes),
            "outcomes": facts.tally.outcomes,
            "redactions": facts.tally.redacted,
        },
        "redaction": facts.redaction,
        "footprint": {
            **host.footprint(),
            "bytes_written": str(facts.written()),
            **facts.footprint,
        },
        "limits": _limits(facts.guard),
        "destination": facts.destination,
        "privileges": {
            "root": facts.agent["uid"] == 0,
            "capabilities": facts.agent["capabilities"],
        },
        "algorithms": {"digest": ["sha256"], "signature": [facts.signature]},
        "encryption": facts.encryption,
        "critical": [],
    }


def _limits(guard: Guard) -> dict[str, object]:
    """Return the bounds that held, and what the system granted of them."""
    profile = guard.profile
    return {
        **limits_json(profile),
        "free_space_floor": str(guard.floor),
        "epoch_seconds": profile.epoch.seconds,
        "epoch_bytes": str(profile.epoch.bytes),
        "obtained": guard.obtained,
    }


def bag_info(facts: Facts, bundle_id: str) -> dict[str, str]:
    """Return the fields of `bag-info.txt` that BagIt tools show; non-ASCII is allowed there (RFC 8493 §2.2.2)."""
    day = datetime.fromtimestamp(facts.started[0] / 1e9, UTC).strftime("%Y-%m-%d")
    fields = {
        "Source-Organization": facts.case.organisation,
        "Contact-Name": facts.case.operator,
        "External-Identifier": bundle_id,
        "Internal-Sender-Identifier": facts.case.case,
        "Internal-Sender-Description": facts.case.purpose,
        "Bagging-Date": day,
        "Bag-Software-Agent": f"hozen {__version__}",
    }
    return {key: value for key, value in fields.items() if value is not None}
