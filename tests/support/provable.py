"""The judge of what an interrupted capture left: shared by kill, power cut, pulled medium and encrypted partial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes import partials
from hozen_hashes.holder.keys import identities_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hozen_hashes.agekeys import Identity
    from hozen_hashes.holder.keys import Holder
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
    holders: Sequence[Holder] = (),
    held_back: int = 0,
) -> Remains:
    """Return what the partial in `folder` proves; LostError when it proves less than bundle-v1 §6 promises.

    Args:
        folder: holds `<id>.journal` and the container beside it.
        durable: epochs that must be proved; None: all that are there but the newest.
        holders: open an encrypted partial: age identities, or keys of certificates.
        held_back: so many bytes at the end of what was recorded may have waited in the writer (age's last chunk).
    """
    journal = next(folder.glob("*.journal"), None)
    if journal is None:
        raise LostError(f"nothing is there, {durable} epochs were durable")
    report = partials.locate(journal, holders).report()
    identities = identities_for(journal, holders)
    must(report.contradictions == (), "bytes contradict a proved record")
    least = _there(journal) - 1 if durable is None else durable
    proved = report.journal.proved
    must(proved >= least, f"{proved} of {least} durable epochs are proved")
    claims = list(_claims(journal, identities, proved))
    there = {one.path: one.size for one in report.proved}
    missing = [
        n
        for n, (path, size, whole) in enumerate(claims)
        if not _there_is(there, path, size, whole=whole)
    ]
    if held_back:
        must(
            missing == list(range(len(claims)))[len(claims) - len(missing) :],
            "a hole before the end",
        )
        must(
            sum(claims[n][1] for n in missing[1:]) <= held_back, "more than the last chunk is lost"
        )
    else:
        must(not missing, f"{[claims[n][0] for n in missing]} are named and not proved")
        # The tables for people are renderings of `files`, whose lines the sidecar holds; only they may be lost.
        lost = [one.path for one in report.unproved if one.reason == "lost"]
        must(all(path.startswith("hozen/items/") for path in lost), f"{lost} are named and lost")
    whole = [one for one in claims if one[2]]
    return Remains(report, proved, len(whole), len(claims) - len(whole))


def _there_is(there: dict[str, int], path: str, size: int, *, whole: bool) -> bool:
    found = there.get(path, -1)
    return found == size if whole else found >= size


def _there(journal: Path) -> int:
    return sum(1 for path in journal.iterdir() if path.suffix == ".pub")


def _claims(
    journal: Path, identities: Sequence[Identity], proved: int
) -> Iterator[tuple[str, int, bool]]:
    """Yield path, size and whether it is whole of each item and prefix that the proved epochs name, in order."""
    for epoch in range(proved):
        text = (
            _opened(journal / f"{epoch:06d}.jsonl.age", identities)
            if identities
            else (journal / f"{epoch:06d}.jsonl").read_bytes()
        )
        for record in map(json.loads, text.splitlines()):
            if record["type"] == "prefix":
                yield record["path"], int(record["bytes"]), False
            elif record["type"] == "item" and record["path"]:
                yield record["path"], int(record["size"]), True


def _opened(path: Path, identities: Sequence[Identity]) -> bytes:
    from hozen_hashes.age import AgeReader

    with path.open("rb") as file:
        return AgeReader(file.read, identities).read(1 << 30)
