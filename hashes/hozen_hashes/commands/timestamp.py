"""`hozen timestamp`: a request for an authority, and its reply kept beside the bundle (timestamp-v1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from hozen_hashes import cli
from hozen_hashes.commands import options
from hozen_hashes.errors import FormatError, UsageError

_PATH = click.Path(path_type=Path)
_NAME: Final = re.compile(r"[a-z0-9.-]{1,40}")
_FIRST: Final = "signatures/agent.p7s"


@click.group(epilog=cli.exit_status(0, 64, 65, 73))
def timestamp() -> None:
    """Ask for trusted time, and keep the answer beside the bundle.

    Nothing is sent by this command: the request is a file, any tool carries it to the authority and brings the
    reply. The bundle itself is not changed.

    \b
    Examples:
      hozen timestamp request hz-….zip --out seal.tsq
      curl -sS -H "Content-Type: application/timestamp-query" --data-binary @seal.tsq URL > seal.tsr
      hozen timestamp add hz-….zip seal.tsr --name example-tsa --tsa-root tsa.pem
      hozen verify hz-….zip --root root.pem --tsa-root tsa.pem
    """  # noqa: D301 - click's mark


@timestamp.command(epilog=cli.exit_status(0, 64, 65, 73))
@click.argument("bundle", type=_PATH)
@click.option(
    "--out", required=True, type=_PATH, metavar="FILE", help="The request; never an existing file."
)
@click.option(
    "--over", default=_FIRST, metavar="NAME", help="What is stamped; default: signatures/agent.p7s."
)
def request(*, bundle: Path, out: Path, over: str) -> int:
    """Write a request for the machine seal, or for a proof beside the bundle (operator.p7s, NNNN-….tsr)."""
    from hozen_hashes.newfile import write_new
    from hozen_hashes.timestamp import new_request

    targets = _targets(bundle)
    if over not in targets:
        raise UsageError(
            f"there is no {over} to stamp", hint=f"here are: {', '.join(sorted(targets))}"
        )
    text, _nonce = new_request(targets[over])
    write_new(out, text)
    cli.tell(f"request for {over} written to {out}")
    return 0


@timestamp.command(epilog=cli.exit_status(0, 64, 65, 73))
@click.argument("bundle", type=_PATH)
@click.argument("reply", type=_PATH)
@click.option(
    "--name", default="tsa", metavar="NAME", help="Short name of the authority for the file name."
)
@options.tsa_root
@options.at
@cli.json_option
def add(
    *,
    bundle: Path,
    reply: Path,
    name: str,
    tsa_root_files: tuple[str, ...],
    at: str | None,
    as_json: bool,
) -> int:
    """Check an authority's raw reply and keep it, unchanged, in <bundle>.proofs/timestamps/.

    A reply about other bytes, or one that does not hold, is refused. Without --tsa-root the authority itself stays
    unchecked, and the output says so.
    """
    from hozen_hashes.commands import inputs
    from hozen_hashes.newfile import write_new
    from hozen_hashes.proofs import proofs_directory, read_timestamps
    from hozen_hashes.verify.stamps import WRONG, State, judge

    if not _NAME.fullmatch(name):
        raise UsageError("--name is 1 to 40 of a-z 0-9 . -")
    folder = proofs_directory(bundle)
    data = inputs.read_file(reply, what="reply")
    there = read_timestamps(folder)
    file = f"{_next_number(there):04d}-{name}.tsr"
    targets = {**_targets(bundle), **there}
    roots, moment = inputs.roots(tsa_root_files), inputs.moment(at)
    (stamp,) = judge({file: data}, targets, roots=roots, at=moment)
    if stamp.state in WRONG or stamp.state is State.UNREADABLE:
        raise FormatError(f"the reply is not kept: {stamp.reason}", hint="ask the authority again")
    (folder / "timestamps").mkdir(parents=True, exist_ok=True)
    write_new(folder / "timestamps" / file, data)
    when = datetime.fromtimestamp((stamp.time or 0) // 10**9, UTC)
    if stamp.state is not State.HOLDS:
        cli.warn(f"kept, but not verifiable yet: {stamp.reason}")
    if as_json:
        cli.emit_json({"format": "hozen-timestamp/1", "file": file, "target": stamp.target,
                       "state": stamp.state.value, "authority": stamp.authority, "time": when.isoformat()})  # fmt: skip
    else:
        cli.say(f"{file}  {stamp.target} existed at {when:%Y-%m-%dT%H:%M:%SZ}  ({stamp.authority})")
    return 0


def _next_number(there: dict[str, bytes]) -> int:
    return 1 + max((int(one[:4]) for one in there), default=0)


def _targets(bundle: Path) -> dict[str, bytes]:
    """Return what can be stamped: the machine seal, people's signatures, receipt, checkpoint, earlier stamps."""
    from hozen_hashes import proofs
    from hozen_hashes.opened import open_bundle
    from hozen_hashes.verify.reading import SIGNATURE, Reading

    reading = Reading()
    with open_bundle(str(bundle)) as opened:
        reading.read(opened)
    if SIGNATURE not in reading.kept:
        raise FormatError("the bundle has no machine seal to stamp")
    folder = proofs.proofs_directory(bundle)
    found = {_FIRST: reading.kept[SIGNATURE]}
    found.update({n: d for n, d in proofs.read_operator(folder).items() if n.endswith(".p7s")})
    if (folder / "receipt").is_dir():
        beside = proofs.read_receipt(folder / "receipt")
        found.update(
            {f"receipt/{n}": beside[n] for n in ("receipt.p7s", "checkpoint") if n in beside}
        )
    return found | proofs.read_timestamps(folder)
