"""What the kernel said (dmesg), as it still stands in its ring buffer."""

from __future__ import annotations

from errno import EACCES, EPERM
from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.items import Attempt, Outcome
from hozen_agent.kernel import kmsg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context

_NAME: Final = "kernel_messages"


@artifact(
    name=_NAME,
    rank=20,
    personal="personal",
    en="Messages of the kernel since boot, as far as its ring buffer reaches: proves that the kernel, or whoever wrote "
    "to /dev/kmsg, said this; old messages are overwritten, and an administrator can clear or add some.",
    ja="起動後のカーネルメッセージ（リングバッファに残るもの）。カーネル又は/dev/kmsgに書き込んだ者がこう述べたことを"
    "示す。古いものは上書きされ、管理者は消去も追加もできる。",
    reads=("/dev/kmsg", "syslog(2)"),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every message that is still there; nothing is consumed."""
    started = now()
    try:
        found = kmsg.read(ctx.root)
    except OSError as error:
        denied = error.errno in {EPERM, EACCES}
        yield Attempt(
            artifact=_NAME,
            source=b"/dev/kmsg",
            method="read",
            outcome=Outcome.DENIED if denied else Outcome.FAILED,
            reason=error.strerror or "not readable",
        )
        return
    if found.overwritten:
        ctx.note(
            f"{_NAME}: {found.overwritten} times messages were overwritten while they were read"
        )
    counts: dict[str, int] = {}
    clean = kmsg.redacted(found.records, ctx.redactor, counts)
    reason = "a bound of the reading was reached" if found.cut else ""
    yield Attempt(
        artifact=_NAME,
        source=found.source,
        method="read",
        personal="personal",
        ext="txt",
        outcome=(Outcome.TRUNCATED if found.cut else None) if clean else Outcome.EMPTY,
        reason=reason or ("" if clean else "the ring buffer is empty"),
        data=clean or None,
        redacted=counts,
        unredacted=(lambda: found.records) if counts else None,
        started=started,
        ended=now(),
    )
