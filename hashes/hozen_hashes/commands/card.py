"""`hozen card`: the root digest on paper, with a QR code and a line for a signature."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from hozen_hashes import cli
from hozen_hashes.commands import options

_PATH = click.Path(path_type=Path)


@click.command(epilog=cli.exit_status(0, 1, 64, 65, 73))
@click.argument("bundle", type=_PATH)
@click.option(
    "--out",
    required=True,
    type=_PATH,
    metavar="FILE",
    help="The page (HTML); never an existing file.",
)
@options.identity
def card(
    *, bundle: Path, out: Path, identity_files: tuple[str, ...], passphrase_file: str | None
) -> int:
    """Write a printable card of a bundle's root digest, to be kept apart from the bundle.

    Whoever signs the printed card can say years later which seal was there. A bundle that differs from what was
    sealed gets no card.

    \b
    Examples:
      hozen card hz-….zip --out card.html
      hozen verify hz-….zip --seal "5f3a 9c10 …"    # as copied from the card
    """  # noqa: D301 - click's mark
    from hozen_hashes import card as page
    from hozen_hashes.commands import inputs
    from hozen_hashes.commands.verify import Request, check
    from hozen_hashes.contents import read_contents
    from hozen_hashes.errors import MismatchError
    from hozen_hashes.newfile import write_new
    from hozen_hashes.opened import open_bundle
    from hozen_hashes.verify import Word

    identities = inputs.holders(identity_files, passphrase_file)
    request = Request(
        roots=(), log_keys=(), seal=None, receipt=None, operator_expected=False,
        identities=identities, at=datetime.now(UTC),
    )  # fmt: skip
    report = check(str(bundle), request)
    if report.integrity is Word.MISMATCH:
        raise MismatchError(
            "the bundle differs from what was sealed; no card was written",
            hint="look at: hozen verify",
        )
    with open_bundle(str(bundle), identities=identities) as opened:
        about = read_contents(opened).about
    write_new(out, page.card(report, about))
    cli.tell(f"card written to {out}; print it, have it signed, and keep it apart from the bundle")
    return 0
