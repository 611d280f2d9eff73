"""Hashes of programs and libraries, beside what the package databases say of them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.filetree import trees
from hozen_agent.items import Attempt, AttemptFailed, Outcome
from hozen_agent.reading.window import since
from hozen_agent.workers import jobs, jobwork
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context

SECONDS: Final = 900.0
CPU_SECONDS: Final = 3.0  # the whole standard capture has six
CPU_SECONDS_ALL: Final = 600.0
BYTES: Final = 16 << 30
_DAY: Final = 86_400
_WHERE: Final = tuple(
    trees.Tree(path=path)
    for path in (b"/bin", b"/sbin", b"/lib", b"/lib32", b"/lib64", b"/libx32", b"/usr", b"/etc", b"/opt")
)  # fmt: skip
_READS: Final = (
    *(f"{tree.path.decode()}/**" for tree in _WHERE), "/var/lib/dpkg/status", "/var/lib/dpkg/info/*",
    "/var/lib/dpkg/diversions", "/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/lib/apk/db/installed", "/usr/lib/apk/db/installed",
)  # fmt: skip


@artifact(
    name="executables",
    rank=74,
    personal="none",
    en="SHA-256 of programs and libraries (those with special rights, in no package, changed of late, or where "
    "programs are expected) and whether the package database names the same bytes; it does not show who changed a "
    "file, and whoever is root can change the database too.",
    ja="特権付き、パッケージ外、最近変更された、又は通常の場所にある実行ファイルのSHA-256と、パッケージデータベースの"
    "値との一致・不一致を示します。誰が変更したかは示しません。rootはデータベースも改変できます。",
    reads=_READS,
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield a line for each program that is looked at by default, then how far that came."""
    yield from _checked(ctx, "executables", everything=False)


@artifact(
    name="executables_all",
    rank=75,
    personal="none",
    en="SHA-256 of every executable file and shared library of the system's directories, and whether the package "
    "database names the same bytes; it does not show who changed a file, and whoever is root can change the database "
    "too.",
    ja="システムのディレクトリにある全ての実行ファイルと共有ライブラリのSHA-256と、パッケージデータベースの値との一致・"
    "不一致を示します。誰が変更したかは示しません。rootはデータベースも改変できます。",
    reads=_READS,
    needs_root=True,
)
def collect_all(ctx: Context) -> Iterator[Attempt]:
    """Yield a line for every program, then how far that came."""
    yield from _checked(ctx, "executables_all", everything=True)


def _checked(ctx: Context, name: str, *, everything: bool) -> Iterator[Attempt]:
    pool = jobs.pool_of(ctx)
    if pool is None:
        return  # only the plan is asked for
    chosen = trees.choose(pool.table, _WHERE)
    paths = [os.fsdecode(tree.path) for tree in chosen.trees][:200]
    left = [os.fsdecode(point) for point, _ in chosen.left][:200]
    job = jobs.Job(
        pool,
        jobwork.PROGRAMS,
        b"/",
        {
            "trees": paths,
            "beyond": paths + left,
            "all": everything,
            "since": since(ctx.window, 30 * _DAY, now=time.time_ns()),
            "bytes": min(ctx.room(name), BYTES),
            "seconds": SECONDS,
            "cpu": CPU_SECONDS_ALL if everything else CPU_SECONDS,
        },
    )
    yield _attempt(name, "files", "jsonl", _lines(job))
    summary = (dump_line({**job.summary, "lost": job.lost}) for _ in range(1))
    yield _attempt(name, "summary", "json", summary, after=f"{name}-files")


def _lines(job: jobs.Job) -> Iterator[bytes]:
    """Yield the lines.

    Raises:
        AttemptFailed: at the end, when something was not read.
    """
    for _, data in job:
        yield data
    if job.lost:
        outcome = Outcome.TIMED_OUT if job.silent else Outcome.FAILED
        raise AttemptFailed(outcome, f"the rest was not read: {job.lost}")
    results = job.summary.get("results")
    unread = results.get("not_read") if isinstance(results, dict) else None
    if unread:
        raise AttemptFailed(
            Outcome.TRUNCATED, f"{unread} files were not read for their hash; each line says why"
        )


def _attempt(name: str, what: str, ext: str, data: Iterator[bytes], *, after: str = "") -> Attempt:
    return Attempt(
        artifact=name,
        source=f"{name}:{what}".encode(),
        method="derived",
        ext=ext,
        data=data,
        derived_from=(after,) if after else (),
        tag=f"{name}-{what}",
    )
