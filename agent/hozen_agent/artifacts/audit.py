"""The kernel's audit system: whether it listens, to what, and who takes its messages."""

from __future__ import annotations

from errno import ECONNREFUSED, EPERM, EPROTONOSUPPORT
from typing import TYPE_CHECKING, Final

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.items import Attempt, Outcome
from hozen_agent.kernel import auditlink, auditrecords
from hozen_agent.net import netguard
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.context import Context

    Record = Callable[[bytes], dict[str, object]]

_NAME: Final = "audit"


@artifact(
    name=_NAME,
    rank=23,
    personal="none",
    en="State and rules of the kernel's audit system: proves what it was told to record at this moment; not what it "
    "recorded (the logs do), nor that the rules were the same before.",
    ja="カーネル監査機能の状態と規則。現時点で何を記録する設定であったかを示す。記録された内容はログにあり、以前も同じ規則"
    "であったことは示さない。",
    reads=("netlink:audit (AUDIT_GET, AUDIT_LIST_RULES)",),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield status and rules, each raw and as records; nothing is set."""
    refusal = netguard.Guard(ctx.proc, ctx.root).refuses(auditlink.FAMILY, ())
    for what, kind, record in (
        (b"status", auditlink.GET, auditrecords.status_record),
        (b"rules", auditlink.LIST_RULES, auditrecords.rule_record),
    ):
        source = b"netlink:audit:" + what
        if refusal:  # a socket of a family that is not there makes the kernel run modprobe
            yield Attempt(
                artifact=_NAME, source=source, method="netlink", outcome=Outcome.MISSING, reason=refusal
            )  # fmt: skip
            continue
        yield from _asked(source, kind, record)


def _asked(source: bytes, kind: int, record: Record) -> Iterator[Attempt]:
    started = now()
    try:
        answers = auditlink.ask(kind)
    except OSError as error:
        outcome, reason = _why(error)
        yield Attempt(artifact=_NAME, source=source, method="netlink", outcome=outcome, reason=reason)  # fmt: skip
        return
    if not answers:
        yield Attempt(
            artifact=_NAME, source=source, method="netlink", outcome=Outcome.EMPTY, reason="no rules are set"
        )  # fmt: skip
        return
    tag = source.decode()
    yield Attempt(
        artifact=_NAME, source=source, method="netlink", data=answers, started=started, ended=now(), tag=tag
    )  # fmt: skip
    lines = [dump_line(record(answer)) for answer in answers]
    yield Attempt(
        artifact=_NAME, source=source, method="derived", ext="jsonl", data=lines, derived_from=(tag,)
    )  # fmt: skip


def _why(error: OSError) -> tuple[Outcome, str]:
    """Return how the question failed, in words for the record."""
    if error.errno in {EPROTONOSUPPORT, ECONNREFUSED}:
        return Outcome.MISSING, "this kernel or network namespace has no audit system"
    if error.errno == EPERM:
        return Outcome.DENIED, "needs CAP_AUDIT_CONTROL in the first pid and user namespace"
    if isinstance(error, TimeoutError):
        return Outcome.TIMED_OUT, str(error)
    return Outcome.FAILED, error.strerror or "no answer"
