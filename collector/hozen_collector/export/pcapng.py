"""The packets of the capture's window, as they were sealed: one pcapng file, or several as the sections of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_collector.export.manifest import Done
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from hozen_collector.export.source import Source
    from hozen_collector.export.target import Stream


def write(source: Source, out: Stream) -> Done:
    """Write the file.

    Raises:
        UsageError: there are no packets in the bundle.
    """
    done = Done(counts={"sections": 0})
    for row, chunks in source.payloads(
        lambda row: row.artifact == "packets" and str(row.stored.path).endswith(".pcapng")
    ):
        for chunk in chunks:
            out.write(chunk)
        done.counts["sections"] += 1
        done.notes.append(
            f"item {row.item}: {row.outcome}: {row.details.get('reason') or 'as sealed'}"
        )
    if not done.counts["sections"]:
        raise UsageError(
            "there are no packets in this bundle", hint="hozen capture --packets SECONDS takes them"
        )
    return done
