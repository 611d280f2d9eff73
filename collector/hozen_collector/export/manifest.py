"""The manifest of an export: what was written, from which sealed bundle, and whether that was verified (export-v1)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hozen_hashes import __version__

if TYPE_CHECKING:
    from datetime import datetime

    from hozen_collector.export.source import Source
    from hozen_collector.export.target import Written

FORMAT: Final = "hozen-export/1"


@dataclass(slots=True)
class Done:
    """What an exporter did.

    Attributes:
        files: finished, with their hashes.
        counts: of what the export holds, by name.
        notes: what is not there, or not as it was sealed, one sentence each.
    """

    files: list[Written] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def origin(source: Source) -> dict[str, object]:
    """Return where the export comes from; the same for the same bundle, without a time of our own."""
    report, case, host = source.report, source.part("case"), source.part("host")
    return {
        "bundle_id": report.bundle_id,
        "seal": report.seal,
        "signature_sha256": report.signature_sha256,
        "verified": source.verified,
        "integrity": report.integrity.value,
        "origin": report.origin.value,
        "word": report.word.value,
        "steps_not_run": list(report.not_run),
        "damaged_items": sorted(source.damaged),
        "case": {key: case.get(key) for key in ("id", "exhibit", "drill")},
        "host": host.get("hostname"),
    }


def document(source: Source, kind: str, done: Done, made: datetime) -> dict[str, object]:
    """Return the manifest."""
    return {
        "format": FORMAT,
        "kind": kind,
        "made": made.isoformat().replace("+00:00", "Z"),
        "hozen": __version__,
        "source": origin(source),
        "files": [one.as_json() for one in done.files],
        "counts": done.counts,
        "notes": done.notes,
    }


def dumped(value: object) -> bytes:
    """Return a JSON text, ASCII only, with its last LF."""
    return json.dumps(value, indent=1).encode("ascii") + b"\n"
