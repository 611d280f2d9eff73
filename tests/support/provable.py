"""The judge of what an interrupted capture left: shared by kill, power cut, pulled medium and encrypted partial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hozen_hashes import partials

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hozen_hashes.agekeys import Identity
    from hozen_hashes.salvage import SalvageReport


class LostError(AssertionError):
    """A durable record names what is not there, or more than one epoch is gone."""


def must(holds: object, what: str) -> None:
    """Raise LostError unless it holds: a failure that a negative control can tell from any other."""
    if not holds:
        raise LostError(what)


@dataclass(frozen=True)
class Remains:
    """What one interruption left, once it was judged good."""

    report: SalvageReport
    epochs: int
    items: int
    prefixes: int


def judge(
    folder: Path,
    *,
    durable: int | None = None,
    identities: Sequence[Identity] = (),
    held_back: int = 0,
) -> Remains:
    """Return what the partial in `folder` proves; LostError when it proves less than bundle-v1 §6 promises.

    Args:
        folder: holds `<id>.journal` and the container beside it.
        durable: epochs that must be proved; None: all that are there but the newest.
        identities: open an encrypted partial.
        held_back: epochs at the end of the journal whose bytes may have waited in the writer (age's last chunk).
    """
    journal = next(folder.glob("*.journal"))
    report = partials.locate(journal, identities).report()
    must(report.contradictions == (), "bytes contradict a proved record")
    least = _there(journal) - 1 if durable is None else durable
    must(
        report.journal.proved >= least,
        f"{report.journal.proved} of {least} durable epochs are proved",
    )
    records = list(_records(journal, identities, report.journal.proved, held_back))
    proved = {one.path: one.size for one in report.proved}
    items = [one for one in records if one["type"] == "item" and one["path"]]
    prefixes = [one for one in records if one["type"] == "prefix"]
    for one in items:
        must(proved.get(one["path"]) == int(one["size"]), f"{one['path']} is named and not proved")
    for one in prefixes:
        must(
            proved.get(one["path"], -1) >= int(one["bytes"]),
            f"a prefix of {one['path']} is named and not proved",
        )
    if not held_back:
        # The tables for people are renderings of `files`, whose lines the sidecar holds; only they may be lost.
        lost = [one.path for one in report.unproved if one.reason == "lost"]
        must(all(path.startswith("hozen/items/") for path in lost), f"{lost} are named and lost")
    return Remains(report, report.journal.proved, len(items), len(prefixes))


def _there(journal: Path) -> int:
    return sum(1 for path in journal.iterdir() if path.suffix == ".pub")


def _records(
    journal: Path, identities: Sequence[Identity], proved: int, held_back: int
) -> Iterator[dict[str, Any]]:
    for epoch in range(max(0, proved - held_back)):
        text = (
            _opened(journal / f"{epoch:06d}.jsonl.age", identities)
            if identities
            else (journal / f"{epoch:06d}.jsonl").read_bytes()
        )
        yield from map(json.loads, text.splitlines())


def _opened(path: Path, identities: Sequence[Identity]) -> bytes:
    from hozen_hashes.age import AgeReader

    with path.open("rb") as file:
        return AgeReader(file.read, identities).read(1 << 30)
