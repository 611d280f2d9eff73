"""`hozen flows`: who spoke with whom in the packets of a bundle."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from hozen_hashes import cli
from hozen_hashes.cli import safe_text
from hozen_hashes.commands import options
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from hozen_collector.flows import Flow, Flows


@click.command(epilog=cli.exit_status(0, 64, 65))
@click.argument("bundle", metavar="BUNDLE")
@options.identity
@cli.json_option
def flows(
    *, bundle: str, identity_files: tuple[str, ...], passphrase_file: str | None, as_json: bool
) -> int:
    """List the flows of the packet window in a bundle: ends, times, packets and bytes.

    Needs the extra `packets` (scapy). Nothing is verified here; use `hozen verify`.

    \b
    Example:
      hozen flows hz-….zip --json
    """  # noqa: D301 - click's mark
    try:
        from hozen_collector.flows import read_flows
    except ImportError as absent:
        raise UsageError(
            "flows are decoded by scapy, which is not installed",
            hint="pip install 'hozen[packets]'",
        ) from absent
    from hozen_hashes.commands import inputs
    from hozen_hashes.opened import open_bundle

    found: list[Flows] = []
    identities = inputs.holders(identity_files, passphrase_file)
    with open_bundle(bundle, stdin=sys.stdin.buffer, identities=identities) as opened:
        for member in opened.members():
            if member.path.startswith("data/packets/") and member.path.endswith(".pcapng"):
                found.append(read_flows(member.chunks()))
            else:
                for _ in member.chunks():  # a pipe goes on only when it was read
                    continue
    if not found:
        raise UsageError(
            "there are no packets in this bundle", hint="hozen capture --packets SECONDS takes them"
        )
    _show(found, as_json=as_json)
    return 0


def _show(found: list[Flows], *, as_json: bool) -> None:
    if as_json:
        cli.emit_json(
            {
                "format": "hozen-flows/1",
                "flows": [flow.as_json() for one in found for flow in one.flows],
                "packets": str(sum(one.packets for one in found)),
                "others": {name: str(n) for one in found for name, n in one.others.items()},
                "problem": "; ".join(one.problem for one in found if one.problem) or None,
            }
        )
        return
    for one in found:
        for flow in one.flows:
            cli.say(_line(flow))
        for name, count in sorted(one.others.items()):
            cli.say(f"{count} packets of {safe_text(name)}")
        if one.problem:
            cli.warn(one.problem)


def _line(flow: Flow) -> str:
    record = flow.as_json()
    ends = f"{flow.source}:{flow.source_port} -> {flow.destination}:{flow.destination_port}"
    sent, received = (f"{one[0]} packets {one[1]} B" for one in (flow.sent, flow.received))
    return safe_text(
        f"{record['first']}  {flow.interface}  {flow.protocol:<5} {ends}  sent {sent}, received {received}"
    )
