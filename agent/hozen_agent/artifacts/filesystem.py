"""A timeline of the files of the system's directories, and what is special among them; no file is opened."""

from __future__ import annotations

import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.filetree import trees
from hozen_agent.items import Attempt, AttemptFailed, Outcome
from hozen_agent.workers import jobs, jobwork
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_decode, percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.workers.pool import ReaderPool

_NAME: Final = "filesystem"
SECONDS: Final = 900.0
_MOST_LOST: Final = 3  # workers given up before the rest is left
_MOST_KEPT: Final = 8 << 20  # compressed bytes of special lines in memory
_BODY: Final = 0


class _Pass:
    """One pass over all trees: the bodyfile comes out as it is made, the rest is kept until then."""

    def __init__(self, ctx: Context, pool: ReaderPool) -> None:
        self._pool = pool
        self._window = ctx.window
        self.chosen = trees.choose(pool.table)
        self._users = trees.known_ids(ctx, b"/etc/passwd")
        self._groups = trees.known_ids(ctx, b"/etc/group")
        self._until = time.monotonic() + SECONDS
        self._packer = zlib.compressobj(1)
        self._packed: list[bytes] = []
        self._kept = self.dropped = self.lost = 0
        self.results: list[dict[str, object]] = []

    def body(self) -> Iterator[bytes]:
        """Yield the bodyfile.

        Raises:
            AttemptFailed: at the end, when a part of a tree is not in it.
        """
        for tree in self.chosen.trees:
            yield from self._tree(tree)
        parts = [why for result in self.results if (why := _lacking(result))]
        if parts:
            raise AttemptFailed(Outcome.TRUNCATED, "not whole: " + "; ".join(parts)[:1500])

    def _tree(self, tree: trees.Tree) -> Iterator[bytes]:
        result: dict[str, object] = {"tree": percent_encode(tree.path), "state": "not_walked"}
        self.results.append(result)
        left = self._until - time.monotonic()
        if left <= 0 or self.lost >= _MOST_LOST:
            result["why"] = "the time was over" if left <= 0 else "too many workers were given up"
            return
        asked = trees.asked(
            tree, self.chosen, seconds=left, users=self._users, groups=self._groups, window=self._window
        )  # fmt: skip
        job = jobs.Job(self._pool, jobwork.BODY_FILE, tree.path, asked)
        for stream, data in job:
            if stream == _BODY:
                yield data
            else:
                self._keep(data)
        result.update(job.summary)
        if result["state"] == "link":
            yield from self._elsewhere(tree, percent_decode(str(result["real"])))
        if job.lost:
            self.lost += 1
            result |= {"state": "timed_out" if job.silent else "failed", "why": job.lost}

    def _elsewhere(self, tree: trees.Tree, real: bytes) -> Iterator[bytes]:
        """Walk what a tree that is a link leads to, unless that is walked anyway."""
        others = [other.path for other in self.chosen.trees if other.depth > 1]
        if not any(real == path or real.startswith(path + b"/") for path in others):
            yield from self._tree(replace(tree, path=real))

    def _keep(self, line: bytes) -> None:
        if self._kept > _MOST_KEPT:
            self.dropped += 1
            return
        packed = self._packer.compress(line)
        if packed:
            self._packed.append(packed)
            self._kept += len(packed)

    def special(self) -> Iterator[bytes]:
        """Yield the lines of the special files.

        Raises:
            AttemptFailed: at the end, when some have no line.
        """
        self._packed.append(self._packer.flush())
        plain = zlib.decompressobj()
        for packed in self._packed:
            piece = packed
            while piece:
                yield plain.decompress(piece, 1 << 18)
                piece = plain.unconsumed_tail
        yield plain.flush()
        if self.dropped:
            raise AttemptFailed(Outcome.TRUNCATED, f"{self.dropped} further files have no line")

    def record(self) -> dict[str, object]:
        """Return which trees were walked, how far, and which mounts were left out."""
        return {
            "recent_seconds": trees.RECENT,
            "window": None if self._window is None else self._window.as_json(),
            "trees": self.results,
            "not_entered": [[percent_encode(point), why] for point, why in self.chosen.left],
            "users_known": len(self._users),
            "groups_known": len(self._groups),
            "special_lines_dropped": self.dropped,
        }


def _lacking(result: dict[str, object]) -> str:
    """Return what a tree's part of the bodyfile lacks, or nothing."""
    if result["state"] not in {"walked", "missing", "link"}:
        return f"{result['tree']}: {result['why']}"
    refused = result.get("not_listed")
    return f"{result['tree']}: {refused} directories could not be listed" if refused else ""


@artifact(
    name=_NAME,
    rank=72,
    personal="personal",
    en="A timeline of the files in the system's directories with their four times, and those with special rights, "
    "owners, names or places: proves what stood there and what the file system said of it; not what the files "
    "contain, not who made them, and times can be set at will.",
    ja="システムのディレクトリにあるファイルの4種の時刻の一覧と、特別な権限・所有者・名称・場所のもの。存在と"
    "ファイルシステム上の記録を示します。内容や作成者は示しません。時刻は任意に設定され得ます。",
    reads=tuple(f"{tree.path.decode()} (statx)" for tree in trees.TREES),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the bodyfile, the special files found in the same pass, and how far the pass came."""
    pool = jobs.pool_of(ctx)
    if pool is None:
        return  # only the plan is asked for
    walk = _Pass(ctx, pool)
    yield _attempt("bodyfile", "txt", walk.body())
    yield _attempt("special", "jsonl", walk.special(), after="filesystem-bodyfile")
    yield _attempt(
        "trees", "json", (dump_line(walk.record()) for _ in range(1)), after="filesystem-bodyfile"
    )


def _attempt(what: str, ext: str, data: Iterator[bytes], *, after: str = "") -> Attempt:
    return Attempt(
        artifact=_NAME,
        source=b"filesystem:" + what.encode(),
        method="derived" if after and what != "special" else "syscall",
        ext=ext,
        personal="personal",
        data=data,
        derived_from=(after,) if after else (),
        tag=f"filesystem-{what}",
    )
