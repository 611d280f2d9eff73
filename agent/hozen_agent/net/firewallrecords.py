"""The `firewall` artifact's records: every table by its parser, the old rule tables, and the rules as text to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent.items import Attempt
from hozen_agent.net import flowrecords, netrecords, nftrecords
from hozen_agent.net.netasks import ASKS
from hozen_agent.net.nfttext import rule_set
from hozen_agent.net.xtablerecords import table_records
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.net.netask import Answers
    from hozen_agent.net.netasks import Ask
    from hozen_agent.net.netspaces import Space
    from hozen_agent.net.netvalues import Fields

PARSERS = {**nftrecords.PARSERS, **flowrecords.PARSERS}


def parse(ask: Ask, answers: Iterable[bytes]) -> Iterator[Fields]:
    """Yield the records of the answers to one question."""
    return netrecords.records(ask, answers, PARSERS)


def further(artifact: str, space: Space | None, answers: Answers) -> Iterator[Attempt]:
    """Yield the old rule tables raw and as records, and the nf_tables rules as text, where there are any."""
    inode = space.inode if space else 0
    where = f"@net:[{inode}]".encode()
    pieces = list(answers.kept("xtables"))
    if pieces:
        tag = f"xtables-{inode}"
        yield Attempt(
            artifact=artifact, source=b"xtables" + where, method="syscall", kind="snapshot", personal="personal",
            ext="xt", data=[len(piece).to_bytes(4, "big") + piece for piece in pieces], tag=tag,
        )  # fmt: skip
        lines = (dump_line({"netns": str(inode), **fields}) for fields in table_records(pieces))
        yield Attempt(
            artifact=artifact, source=b"xtables" + where, method="derived", personal="personal", ext="jsonl",
            derived_from=(tag,), data=lines,
        )  # fmt: skip
    found = {
        name: list(parse(ASKS[name], answers.kept(name)))
        for name in ("nft_table", "nft_chain", "nft_rule", "nft_set", "nft_element")
    }
    if found["nft_table"]:
        yield Attempt(
            artifact=artifact, source=b"nf_tables" + where, method="derived", personal="personal", ext="txt",
            derived_from=(f"{artifact}-{inode}",), data=rule_set(found),
        )  # fmt: skip
