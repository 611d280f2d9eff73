"""Running processes: the first sweep as it was read, a deep pass, and one record a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.items import Attempt, Outcome
from hozen_agent.proc import snapshot
from hozen_agent.proc.deep import DeepPass, pids_now
from hozen_agent.proc.exehash import ExeHashes
from hozen_agent.proc.procrecords import process_records
from hozen_agent.proc.sweep import read_small
from hozen_agent.reading.ustar import tar_stream
from hozen_agent.redaction.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.sweep import Entry, Sweep

_NAME = "processes"
_INCOMPLETE = (
    "a limit of the first sweep was reached, or a process slept uninterruptibly; ERRORS.jsonl in the tar names "
    "what was left out"
)


@artifact(
    name=_NAME,
    rank=10,
    personal="personal",
    en="Processes as the kernel lists them at two moments: proves what ran, as whom and from which file; "
    "not what ran before or between, and not what a changed kernel hides.",
    ja="2時点でカーネルが示したプロセス一覧。何が、どの利用者で、どのファイルから実行中であったかを示す。"
    "その前や間に終了したもの、改変されたカーネルが隠すものは示さない。",
    reads=("/proc/PID/*", "/run/utmp"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the sweep, the deep pass in batches, and the records made of both."""
    yield sweep_attempt(ctx.sweep, ctx.redactor)
    hashes = ExeHashes(ctx.files)
    deep = DeepPass(ctx.proc, hashes=hashes, leads=ctx.leads, read=ctx.files, tick=ctx.tick)
    tags = ["sweep"]
    try:
        pids = pids_now(ctx.proc)
    except OSError as error:
        yield Attempt(
            artifact=_NAME, source=b"/proc", method="procfs", personal="personal", kind="snapshot",
            outcome=Outcome.FAILED, reason=f"the process list could not be read again: {error.strerror}",
        )  # fmt: skip
        return
    started = now()
    for entries in deep.batches(pids):
        tags.append(f"processes-deep-{len(tags)}")
        yield _deep_attempt(ctx, entries, tags[-1], started)
        started = now()
    yield _records(ctx, deep, tuple(tags))


def sweep_attempt(sweep: Sweep, redactor: Redactor) -> Attempt:
    """Return the attempt that stores the first sweep; the same bytes that segment 0 committed to."""
    counts: dict[str, int] = {}
    return Attempt(
        artifact=_NAME,
        source=b"/proc",
        method="procfs",
        kind="snapshot",
        personal="personal",
        ext="tar",
        outcome=None if sweep.complete else Outcome.TRUNCATED,
        reason="" if sweep.complete else _INCOMPLETE,
        data=snapshot.sweep_tar(sweep, redactor, counts),
        redacted=counts,
        unredacted=lambda: snapshot.sweep_tar(sweep, Redactor(enabled=False), {}),
        started=sweep.started,
        ended=sweep.ended,
        tag="sweep",
    )


def _deep_attempt(
    ctx: Context, entries: list[Entry], tag: str, started: tuple[int, int]
) -> Attempt:
    counts: dict[str, int] = {}
    seconds = started[0] // 1_000_000_000
    return Attempt(
        artifact=_NAME,
        source=b"/proc",
        method="procfs",
        kind="snapshot",
        personal="personal",
        ext="tar",
        data=tar_stream(snapshot.redacted(entries, ctx.redactor, counts), seconds=seconds),
        redacted=counts,
        unredacted=lambda: tar_stream(entries, seconds=seconds),
        started=started,
        ended=now(),
        tag=tag,
    )


def _records(ctx: Context, deep: DeepPass, tags: tuple[str, ...]) -> Attempt:
    passwd = _passwd(ctx.root)
    counts: dict[str, int] = {}

    def lines(redactor: Redactor, counts: dict[str, int]) -> Iterator[bytes]:
        return process_records(
            ctx.sweep, deep.seen, redactor=redactor, counts=counts, passwd=passwd
        )

    return Attempt(
        artifact=_NAME,
        source=b"/proc",
        method="derived",
        personal="personal",
        ext="jsonl",
        redacted=counts,
        unredacted=lambda: lines(Redactor(enabled=False), {}),
        derived_from=tags,
        data=lines(ctx.redactor, counts),
        tag="processes",
    )


def _passwd(root: int) -> bytes:
    """Return /etc/passwd for the names of users; the file itself is captured with the accounts."""
    return read_small(b"etc/passwd", at=root, cap=16 << 20)
