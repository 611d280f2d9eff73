"""`hozen extract`: the payload of a bundle as files, checked while they are written."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hozen_hashes import cli
from hozen_hashes.commands import options

if TYPE_CHECKING:
    from hozen_hashes.verify import VerificationReport
    from hozen_hashes.words import Words


@click.command(epilog=cli.exit_status(0, 1, 2, 64, 65, 73))
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="New or empty directory.",
)
@click.option(
    "--item",
    "items",
    multiple=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Only this item; may be repeated.",
)
@options.identity
@cli.json_option
def extract(
    *,
    bundle: str,
    target: Path,
    items: tuple[int, ...],
    identity_files: tuple[str, ...],
    passphrase_file: str | None,
    as_json: bool,
) -> int:
    """Write the verified files of a bundle to a directory.

    Files get the names they have inside the bundle, data/<artifact>/<item>.<ext>; where they came from is in
    hozen/items/*.csv, which is written too. The whole bundle is checked on the way, and nothing stays when its
    integrity is not a match. Whose bundle it is, `hozen verify` says.

    \b
    Examples:
      hozen extract hz-….zip --to work
      hozen extract hz-….zip --to work --item 12
    """  # noqa: D301 - click's mark
    from hozen_hashes.commands import inputs
    from hozen_hashes.extraction import ITEM, extract_verified
    from hozen_hashes.opened import open_bundle
    from hozen_hashes.unpack import NewFolder
    from hozen_hashes.verify import Word
    from hozen_hashes.words import Words

    identities = inputs.holders(identity_files, passphrase_file)
    words = Words(cli.lang())
    with open_bundle(bundle, stdin=sys.stdin.buffer, identities=identities) as opened:
        report, written = extract_verified(opened, NewFolder(target), items, at=datetime.now(UTC))
    if report.integrity is not Word.MATCH:
        written = []
        if not as_json:
            _show(report, bundle, words)
        cli.error(words.text("extract-nothing"))
    if as_json:
        cli.emit_json(_document(report, target, written))
    if report.integrity is not Word.MATCH:
        return report.exit_code
    payload = [one for one in written if one.startswith("data/")]
    found = {int(match[1]) for one in payload if (match := ITEM.match(one))}
    for number in sorted(set(items) - found):
        cli.warn(words.text("extract-no-bytes", item=number))
    if not as_json:
        cli.say(words.text("extract-done", count=len(payload), to=str(target)))
        cli.tell(words.text("unverifiable-origin"))
    return 0


def _show(report: VerificationReport, bundle: str, words: Words) -> None:
    """Show why nothing was kept."""
    from hozen_hashes.commands import verifytext

    for line in verifytext.lines(report, words, name=bundle, everything=False):
        cli.say(line)


def _document(report: VerificationReport, target: Path, written: list[str]) -> dict[str, object]:
    from hozen_hashes.verify.asjson import as_json

    return {
        "format": "hozen-extraction/1",
        "bundle_id": report.bundle_id,
        "to": str(target),
        "files": written,
        "verification": as_json(report),
    }
