"""`hozen export`: a verified bundle in the forms of other people's tools."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from hozen_collector.export.kinds import KINDS
from hozen_hashes import cli
from hozen_hashes.commands import options
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from hozen_collector.export.source import Source


@click.command(epilog=cli.exit_status(0, 1, 64, 65, 73))
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--to", "kind", required=True, type=click.Choice(list(KINDS)), help="Form of the export."
)
@click.argument("out", metavar="OUT|-")
@click.option(
    "--item",
    "items",
    multiple=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="For items: this one; may be repeated.",
)
@click.option(
    "--unverified",
    is_flag=True,
    help="Export a bundle whose integrity is no match, too; the export is marked as unverified.",
)
@options.root
@click.option(
    "--seal", metavar="HEX", help="Root digest (seal) as it was written down at the capture."
)
@options.identity
@options.at
@cli.json_option
def export(
    *,
    bundle: str,
    kind: str,
    out: str,
    items: tuple[int, ...],
    unverified: bool,
    root_files: tuple[str, ...],
    seal: str | None,
    identity_files: tuple[str, ...],
    passphrase_file: str | None,
    at: str | None,
    as_json: bool,
) -> int:
    """Write what a bundle holds in a form that other tools open (docs/exports.md).

    The bundle is verified first and never changed. OUT is new: a file, for csv and parquet a directory, or - for
    standard output. OUT.manifest.json says what was written, with hashes, and from which seal.

    \b
    Examples:
      hozen export hz-….zip --to uac web01.tar
      hozen export hz-….zip --to uac - | ssh vendor 'cat > web01.tar'
      hozen export hz-….zip --to bodyfile web01.body
      hozen export hz-….zip --to items --item 12 --item 40 twelve-and-forty.tar
    """  # noqa: D301 - click's mark
    from hozen_collector.export.run import export as run
    from hozen_collector.export.source import open_source
    from hozen_hashes.commands import inputs
    from hozen_hashes.opened import open_bundle
    from hozen_hashes.verify import Anchors

    if bundle == "-":
        raise UsageError("a bundle to export is read more than once", hint="Give a file.")
    if out == "-" and as_json:
        raise UsageError("standard output cannot hold the export and JSON", hint="Give a file.")
    if bool(items) != (kind == "items"):
        raise UsageError(
            "--item and --to items belong together", hint="hozen inspect lists the items."
        )
    identities = inputs.holders(identity_files, passphrase_file)
    source = open_source(
        partial(open_bundle, bundle, identities=identities),
        anchors=Anchors(roots=inputs.roots(root_files), seal=inputs.seal(seal)),
        at=inputs.moment(at),
        unverified=unverified,
    )
    if not source.verified:
        cli.warn(
            cli.pick(
                en="the bundle is NOT verified; the export is marked so and proves nothing",
                ja="このバンドルは検証されていません。出力にもその旨を記録します",
            )
        )
    found = run(source, kind, out, stdout=sys.stdout.buffer, items=items)
    if as_json:
        cli.emit_json(found)
    else:
        _show(source, found)
    return 0


def _show(source: Source, found: dict[str, object]) -> None:
    files, counts, notes = found["files"], found["counts"], found["notes"]
    for one in files if isinstance(files, list) else []:
        cli.tell(f"{one['sha256']}  {one['path']}  {one['size']}")
    if isinstance(counts, dict):
        cli.tell(", ".join(f"{key} {value}" for key, value in counts.items()))
    for note in notes if isinstance(notes, list) else []:
        cli.detail(str(note))
    if isinstance(notes, list) and notes:
        cli.tell(
            cli.pick(
                en=f"{len(notes)} notes on what is not there or not as sealed: the manifest lists them",
                ja=f"含まれないもの、封印時と異なる形のものについて {len(notes)} 件の注記があります(目録を参照)",
            )
        )
    cli.tell(f"seal {source.report.seal}")
