"""Main memory through /proc/kcore, as a LiME file, with what a reader needs to understand it beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hozen_agent import host
from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.items import Attempt, AttemptFailed
from hozen_agent.kernel import kcore
from hozen_agent.kernel.lime import Image
from hozen_agent.proc.entries import read_entries
from hozen_agent.reading.ustar import tar_stream
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context

_NAME = "memory"
_SOURCE = b"/proc/kcore"
_PROC = b"version kallsyms iomem cpuinfo modules config.gz".split()
_SYS = b"kernel/vmcoreinfo kernel/notes kernel/btf/vmlinux kernel/security/lockdown".split()
_MOST_FACT = 64 << 20


@artifact(
    name=_NAME,
    rank=47,
    personal="sensitive",
    en="Main memory as the kernel shows it: proves what lay in it while it was read, not at one moment; a rootkit in "
    "the kernel can hide parts. It holds keys and everybody's data.",
    ja="カーネルを通じた主記憶の内容。読み取り中の状態を示すが、一時点のものではない。カーネル内のルートキットは一部を隠し得る。"
    "鍵及びあらゆる利用者の情報を含む。",
    reads=("/proc/kcore", "/proc/iomem", "/proc/kallsyms", "/sys/kernel/vmcoreinfo"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the image, the facts to read it by, and one record; or why the kernel does not allow it."""
    try:
        layout = kcore.look(ctx.proc, ctx.root, host.capabilities())
    except AttemptFailed as refusal:
        yield Attempt(
            artifact=_NAME,
            source=_SOURCE,
            method="kcore",
            personal="sensitive",
            outcome=refusal.outcome,
            reason=str(refusal),
        )
        yield _facts(ctx)
        return
    image = Image(layout.kcore)
    try:
        yield Attempt(
            artifact=_NAME,
            source=_SOURCE,
            method="kcore",
            personal="sensitive",
            ext="lime",
            data=image.stream(layout.pieces),
            tag="memory-image",
        )
    finally:
        os.close(layout.kcore)
    yield _facts(ctx)
    yield Attempt(
        artifact=_NAME,
        source=_SOURCE,
        method="derived",
        ext="json",
        data=(dump_line(kcore.record(layout, image, ctx.proc)),),
        derived_from=("memory-image",),
    )


def _facts(ctx: Context) -> Attempt:
    """Return the texts by which the image is understood; read after it, because reading them needs memory too."""
    started = now()
    entries = [
        *read_entries(ctx.proc, b"", _PROC, name=b"proc/", cap=_MOST_FACT),
        *read_entries(ctx.root, b"sys", _SYS, name=b"", cap=_MOST_FACT),
    ]
    return Attempt(
        artifact=_NAME,
        source=b"/proc,/sys",
        method="procfs",
        kind="snapshot",
        personal="none",
        ext="tar",
        data=tar_stream(entries, seconds=started[0] // 1_000_000_000),
        started=started,
        ended=now(),
        tag="memory-facts",
    )
