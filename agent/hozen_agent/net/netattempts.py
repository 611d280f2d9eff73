"""The questions to one network namespace as attempts: the dialogue raw, what did not go well, the records."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from hozen_agent.clock import now
from hozen_agent.items import Attempt, AttemptFailed, Outcome
from hozen_agent.net import netasks
from hozen_agent.net.netask import Answers, ask
from hozen_agent.net.netpcap import pcap
from hozen_agent.workers.jobs import pool_of
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hozen_agent.context import Context
    from hozen_agent.net.netasks import Ask
    from hozen_agent.net.netspaces import Space
    from hozen_agent.net.netvalues import Fields

    Parse = Callable[[Ask, Iterator[bytes]], Iterator[Fields]]

_WAYS: Final = 4


def namespace(
    ctx: Context, artifact: str, space: Space | None, asks: Sequence[Ask], *, parse: Parse,
    more: Callable[[Answers], Iterator[Attempt]] | None = None, extra: Sequence[str] = (),
    refused: set[str] | None = None,
) -> Iterator[Attempt]:  # fmt: skip
    """Yield the dialogue with one namespace, one attempt for each table that could not be had, then the records.

    Args:
        ctx: the surroundings.
        artifact: in whose name.
        space: the namespace, None for the one that the capture runs in.
        asks: what is asked, in this order.
        parse: makes records of the answers to one question.
        more: further attempts made of the answers.
        extra: wanted things that are no netlink questions; their answers are left to `more`.
        refused: reasons that were already told for another namespace; told once, and added to.
    """
    inode = space.inode if space else 0
    name = f"net:[{inode}]" if space else "net"
    told = set() if refused is None else refused
    answers = Answers((*(one.name for one in asks), *extra))
    tag = f"{artifact}-{inode}"
    yield Attempt(
        artifact=artifact,
        source=f"netlink@{name}".encode(),
        method="netlink",
        kind="snapshot",
        personal="personal",
        ext="pcap",
        data=_dialogue(ctx, space, answers),
        redacted=answers.keys,
        started=now(),
        tag=tag,
    )
    yield from _failures(artifact, name, answers, told)
    if answers.entered is None:
        yield _records(artifact, name, tag, asks, answers, parse)
        if more is not None:
            yield from more(answers)


def _dialogue(ctx: Context, space: Space | None, answers: Answers) -> Iterator[bytes]:
    """Yield the dialogue as a file; every way into the namespace is tried before it is given up."""

    def netlink_only() -> Iterator[tuple[int, bool, bytes]]:
        for place in islice(space.places, _WAYS) if space else (None,):
            answers.entered = None
            for name, sent, data in ask(pool_of(ctx), place, answers):
                if name in netasks.ASKS:  # the rest is kept for `more`
                    yield netasks.ASKS[name].protocol, sent, data
            if answers.entered is None:
                return

    yield from pcap(netlink_only())
    if answers.entered is not None:
        raise AttemptFailed(answers.entered.outcome or Outcome.FAILED, answers.entered.reason)


def _failures(artifact: str, name: str, answers: Answers, told: set[str]) -> Iterator[Attempt]:
    for ended in answers.ended:
        if ended.outcome is None:
            continue
        if ended.outcome is Outcome.MISSING:
            if ended.name + ended.reason in told:
                continue  # the same of every namespace: said once
            told.add(ended.name + ended.reason)
        yield _failure(artifact, f"{ended.name}@{name}", ended.outcome, ended.reason)


def _failure(artifact: str, what: str, outcome: Outcome | None, reason: str) -> Attempt:
    kept = outcome is Outcome.TRUNCATED
    return Attempt(
        artifact=artifact,
        source=f"netlink:{what}".encode(),
        method="netlink",
        personal="personal",
        outcome=Outcome.FAILED if kept else outcome,
        reason=f"in part, what came is in the dialogue: {reason}" if kept else reason,
    )


def _records(  # noqa: PLR0917 - what `namespace` knows
    artifact: str, name: str, tag: str, asks: Sequence[Ask], answers: Answers, parse: Parse
) -> Attempt:
    def lines() -> Iterator[bytes]:
        for one in asks:
            for fields in parse(one, answers.kept(one.name)):
                yield dump_line({"netns": name[5:-1] or None, **fields})

    left = answers.left_out
    return Attempt(
        artifact=artifact,
        source=f"netlink@{name}".encode(),
        method="derived",
        personal="personal",
        ext="jsonl",
        outcome=Outcome.TRUNCATED if left else None,
        reason=f"{left} datagrams are in the dialogue alone" if left else "",
        derived_from=(tag,),
        data=lines(),
    )
