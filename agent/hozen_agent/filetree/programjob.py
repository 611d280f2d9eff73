"""The worker's side of the check of executables: find them, learn what packages say of them, read the telling ones."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_agent.filetree.programs import Claims, Finding, Program, order
from hozen_agent.filetree.treewalk import TreeWalk
from hozen_agent.pkg.pkgdb import Databases
from hozen_agent.reading.evidencefile import Hasher
from hozen_agent.reading.safeopen import RefusedError
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.pkg.model import Claim
    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.jobwork import JobOut

MAX_FILE: Final = 1 << 30
_MOST: Final = 2_000_000


@dataclass(slots=True)
class _Bounds:
    """What reading may still take."""

    bytes_left: int
    until: float
    cpu_until: float
    read: int = 0

    def why_not(self, size: int) -> str:
        """Return why a file of `size` bytes is not read, or nothing."""
        if size > MAX_FILE:
            return f"larger than {MAX_FILE} bytes"
        if size > self.bytes_left:
            return "the bytes that may be read for hashes are used up"
        if time.monotonic() > self.until:
            return "the time for hashes was over"
        return "the CPU time for hashes was over" if time.process_time() > self.cpu_until else ""

    def took(self, size: int) -> None:
        """Count bytes that were read."""
        self.read += size
        self.bytes_left -= size


def run(
    opener: Opener, out: JobOut, _path: bytes, asked: Mapping[str, object]
) -> dict[str, object]:
    """Put a line for each program that is looked at into stream 0; return counts, databases and what was left out.

    Args:
        opener: the way in.
        out: where lines go.
        asked: `trees` and `beyond` (paths), `since` (ns), `all`, and what reading may take: `bytes`, `seconds`, `cpu`.
    """
    begun, spent = time.monotonic(), time.process_time()
    finding = Finding(out)
    walked = _walk(opener, finding, asked)
    databases = Databases(opener, finding.breathe)
    claims = Claims(opener, finding.programs)
    claims.join(databases)
    chosen = order(finding.programs, since=int(str(asked["since"])), everything=bool(asked["all"]))
    bounds = _Bounds(
        int(str(asked["bytes"])),
        begun + float(str(asked["seconds"])),
        spent + float(str(asked["cpu"])),
    )
    counts = _check(Hasher(opener, finding.breathe), out, chosen, bounds)
    out.block(0, b"".join(map(_missing, claims.missing)))
    return {
        "trees": walked,
        "programs": len(finding.programs),
        "beyond_bound": finding.beyond,
        "looked_at": len(chosen),
        "packages": claims.packages,
        "databases": databases.found,
        "results": counts | {"missing": len(claims.missing)},
        "bytes_read": bounds.read,
        "cpu_seconds": round(time.process_time() - spent, 3),
        "seconds": round(time.monotonic() - begun, 3),
    }


def _walk(opener: Opener, finding: Finding, asked: Mapping[str, object]) -> list[dict[str, object]]:
    """Find the programs of every tree; return what became of each."""
    beyond = [os.fsencode(path) for path in asked["beyond"]]  # type: ignore[attr-defined]
    results: list[dict[str, object]] = []
    for text in asked["trees"]:  # type: ignore[attr-defined]
        tree = os.fsencode(text)
        walk = TreeWalk(
            opener, finding, most=_MOST, seconds=float(str(asked["seconds"])), beyond=beyond
        )
        why = ""
        try:
            if opener.resolve(tree) != tree:
                why = "a link"
            else:
                walk.run(tree)
        except (OSError, RefusedError) as error:
            why = getattr(error, "strerror", None) or str(error)
        finally:
            os.fchdir(opener.root)
        done = walk.walked
        results.append(
            {
                "tree": percent_encode(tree),
                "entries": done.entries,
                "not_listed": done.refused,
                "why": done.stopped or why,
            }
        )
    return results


def _check(hasher: Hasher, out: JobOut, chosen: list[Program], bounds: _Bounds) -> dict[str, int]:
    """Put the line of each program; return how many had each result."""
    counts: dict[str, int] = {}
    for program in chosen:
        record = _line(hasher, program, bounds)
        counts[str(record["result"])] = counts.get(str(record["result"]), 0) + 1
        out.block(0, dump_line(record))
    return counts


def _line(hasher: Hasher, program: Program, bounds: _Bounds) -> dict[str, object]:
    claim = program.claim
    record: dict[str, object] = {
        "path": percent_encode(program.path),
        "result": "not_read",
        "package": percent_encode(program.owner) if program.owner else None,
        "sha256": None,
        "size": str(program.size),
        "mode": f"{program.mode:07o}",
        "uid": program.uid,
        "gid": program.gid,
        "mtime": str(program.mtime),
        "ctime": str(program.ctime),
    }
    if claim is not None and claim.digest:
        record |= {"algorithm": claim.algorithm, "expected": claim.digest, "found": None}
    if claim is not None and claim.config:
        record["config"] = True
    why = bounds.why_not(program.size)
    if not why:
        try:
            found = hasher.of(program.path, claim.algorithm if claim is not None else "")
        except OSError as error:
            why = error.strerror or "not readable"
        except RefusedError as refusal:
            why = str(refusal)
        else:
            bounds.took(found.size)
            record["sha256"] = found.sha256
            if found.changed:
                record["changed"] = True
            if claim is not None and claim.digest:
                record["found"] = found.other
            record["result"] = _result(program, found.other)
    return record | ({"reason": why} if why else {})


def _result(program: Program, found: str) -> str:
    """Return what comparing showed; an observation, never a verdict."""
    if not program.owner:
        return "no_package"
    if program.claim is None or not program.claim.digest:
        return "no_digest"
    return "same" if found == program.claim.digest else "differs"


def _missing(claim: Claim) -> bytes:
    return dump_line(
        {
            "path": percent_encode(claim.path),
            "result": "missing",
            "package": percent_encode(claim.package),
            "algorithm": claim.algorithm,
            "expected": claim.digest,
        }
    )
