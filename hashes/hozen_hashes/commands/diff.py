"""`hozen diff`: what is new, gone or changed between two bundles of one host."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hozen_hashes import cli
from hozen_hashes.commands import options
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hozen_hashes.diff import Comparison
    from hozen_hashes.holder.keys import Holder
    from hozen_hashes.verify.report import Word

_MISMATCH = 1
_PARTLY = 3


@click.command(epilog=cli.exit_status(0, 1, 3, 64, 65))
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@options.identity
@click.option(
    "--html", "html_file", metavar="FILE", help="Write the differences to FILE as a page."
)
@click.option("--all", "everything", is_flag=True, help="List what cannot be compared, too.")
@click.option("--strict", is_flag=True, help="Exit with 3 when something cannot be compared.")
@cli.json_option
def diff(
    *,
    before: str,
    after: str,
    identity_files: tuple[str, ...],
    passphrase_file: str | None,
    html_file: str | None,
    everything: bool,
    strict: bool,
    as_json: bool,
) -> int:
    """Show what changed on a host between two captures, for example a baseline and an incident.

    Compared are accounts, groups, password states, SSH keys, listening ports, processes, units, scheduled jobs and
    other persistence, special bits, program hashes, kernel modules, eBPF programs, packages and settings. A program
    that a package upgrade changed is counted in the line of its package. What one of the captures did not obtain is
    "not comparable", never new or gone. The integrity of both bundles is checked first; whose they are is not: use
    `hozen verify`.

    \b
    Examples:
      hozen diff baseline.zip incident.zip
      hozen diff baseline.zip incident.zip --html differences.html
      hozen diff --json baseline.zip incident.zip | jq .counts
    """  # noqa: D301 - click's mark
    from hozen_hashes.commands import inputs
    from hozen_hashes.diff import State, difference, page, show
    from hozen_hashes.newfile import write_new
    from hozen_hashes.opened import open_bundle

    if "-" in (before, after):
        raise UsageError("a bundle to compare is read more than once", hint="give two files")
    identities = inputs.holders(identity_files, passphrase_file)
    integrity = tuple(_integrity(one, identities) for one in (before, after))
    verdicts = (str(integrity[0]), str(integrity[1]))
    openings = [partial(open_bundle, one, identities=identities) for one in (before, after)]
    found = difference(*openings)
    if html_file is not None:
        write_new(Path(html_file), page.page(found, cli.lang(), verdicts))
    if as_json:
        cli.emit_json(show.as_json(found, verdicts))
    else:
        _show(found, verdicts, everything=everything)
    if "mismatch" in verdicts:
        return _MISMATCH
    return _PARTLY if strict and found.counts().get(State.NOT_COMPARABLE) else 0


def _integrity(bundle: str, identities: Sequence[Holder]) -> Word:
    """Return whether a bundle is unchanged in itself; nothing from outside is asked."""
    from hozen_hashes.opened import open_bundle
    from hozen_hashes.verify import Anchors, verify

    if not Path(bundle).is_dir():
        cli.detail(f"checking {bundle}")
    with open_bundle(bundle, identities=identities) as opened:
        return verify(opened, anchors=Anchors(), at=datetime.now(UTC)).integrity


def _show(found: Comparison, verdicts: tuple[str, str], *, everything: bool) -> None:
    from hozen_hashes.diff import State, show
    from hozen_hashes.words import Words

    words = Words(cli.lang())
    for bundle, verdict in zip((found.before, found.after), verdicts, strict=True):
        name = cli.safe_text(bundle.bundle_id or "-")
        cli.say(f"{name}  {words.text('integrity')}: {words.both(verdict)}")
    for notice in show.notices(found, cli.lang()):
        cli.warn(notice)
    if "mismatch" in verdicts:
        cli.warn(cli.pick(
            en="a bundle is not what was sealed: its differences prove nothing",
            ja="封印後に変わった保全データがあります。その差異は何も証明しません",
        ))  # fmt: skip
    cli.say()
    for line in show.lines(found, cli.lang(), everything=everything):
        cli.say(line)
    if found.counts().get(State.NOT_COMPARABLE) and not everything:
        cli.tell(cli.pick(
            en="what cannot be compared is listed with --all", ja="比較不能なものは --all で表示します"
        ))  # fmt: skip
