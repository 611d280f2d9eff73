"""Package databases and histories of dpkg, rpm, apk, pacman."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.items import Attempt, AttemptFailed, Outcome
from hozen_agent.reading import files
from hozen_agent.workers import jobs, jobwork
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context


@artifact(
    name="packages",
    rank=70,
    personal="none",
    en=(
        "Package databases show what the package managers believe is installed and when that "
        "changed; they do not show that the files are unaltered, nor programs installed in "
        "another way."
    ),
    ja=(
        "パッケージデータベースは、パッケージ管理が把握するインストール内容とその変更時期を示します。ファイル"
        "が改変されていないこと、別の方法で導入されたプログラムは示しません。"
    ),
    reads=definitions.own("HozenPackages"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every package database and history that exists."""
    yield from files.capture(
        ctx,
        artifact="packages",
        definition="HozenPackages",
        personal="none",
    )
    yield from _listed(ctx)


def _listed(ctx: Context) -> Iterator[Attempt]:
    """Yield one record of all packages with the time of their installation, made by a worker."""
    pool = jobs.pool_of(ctx)
    if pool is None:
        return  # only the plan is asked for
    job = jobs.Job(pool, jobwork.PACKAGES, b"/", {})
    yield Attempt(
        artifact="packages",
        source=b"packages:installed",
        method="derived",
        ext="jsonl",
        data=_lines(job),
    )


def _lines(job: jobs.Job) -> Iterator[bytes]:
    """Yield a line for each package, then one that says which databases were read.

    Raises:
        AttemptFailed: the worker was lost.
    """
    for _, data in job:
        yield data
    if job.lost:
        outcome = Outcome.TIMED_OUT if job.silent else Outcome.FAILED
        raise AttemptFailed(outcome, f"the rest was not read: {job.lost}")
    if job.summary["packages"] or job.summary["databases"]:
        yield dump_line({"summary": job.summary})
