"""`hozen extract`: the payload of a bundle as files, checked while they are written."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hozen_hashes import cli
from hozen_hashes.commands import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.opened import Member, OpenBundle
    from hozen_hashes.unpack import NewFolder

_ITEM = re.compile(r"data/[a-z0-9_]+/([0-9]+)\.")


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
    from hozen_hashes.commands import inputs, verifytext
    from hozen_hashes.opened import open_bundle
    from hozen_hashes.unpack import NewFolder
    from hozen_hashes.verify import Anchors, Word
    from hozen_hashes.verify import verify as run
    from hozen_hashes.words import Words

    identities = inputs.age_identities(identity_files)
    words = Words(cli.lang())
    with open_bundle(bundle, stdin=sys.stdin.buffer, identities=identities) as opened:
        folder = NewFolder(target)
        try:
            report = run(
                _Tee(opened, folder, frozenset(items)), anchors=Anchors(), at=datetime.now(UTC)
            )
            written = list(folder.waiting)
            if report.integrity is Word.MATCH:
                for member in written:
                    folder.keep(member)
        finally:
            folder.discard()
    if report.integrity is not Word.MATCH:
        for line in verifytext.lines(report, words, name=bundle, everything=False):
            cli.say(line)
        cli.error(words.text("extract-nothing"))
        return report.exit_code
    payload = [one for one in written if one.startswith("data/")]
    found = {int(match[1]) for one in payload if (match := _ITEM.match(one))}
    for number in sorted(set(items) - found):
        cli.warn(words.text("extract-no-bytes", item=number))
    if as_json:
        cli.emit_json(
            {
                "format": "hozen-extraction/1",
                "bundle_id": report.bundle_id,
                "to": str(target),
                "files": written,
            }
        )
    else:
        cli.say(words.text("extract-done", count=len(payload), to=str(target)))
        cli.tell(words.text("unverifiable-origin"))
    return 0


class _Tee:
    """An open bundle whose wanted members are written as they are read."""

    def __init__(self, inner: OpenBundle, folder: NewFolder, items: frozenset[int]) -> None:
        self._inner, self._folder, self._items = inner, folder, items
        self.form, self.resumable = inner.form, inner.resumable
        self.bundle_id = inner.bundle_id
        self.odd = inner.odd

    def is_ours(self) -> bool:
        return self._inner.is_ours()

    def members(self) -> Iterator[Member]:
        for member in self._inner.members():
            self.bundle_id = self._inner.bundle_id
            yield _Written(member, self._folder) if self._wanted(member.path) else member

    def _wanted(self, path: str) -> bool:
        match = _ITEM.match(path)
        if match is None:
            return path.startswith(("hozen/items/", "hozen/files/"))
        return not self._items or int(match[1]) in self._items


class _Written:
    """A member whose bytes are written while they are read."""

    def __init__(self, member: Member, folder: NewFolder) -> None:
        self.path = member.path
        self._member, self._folder = member, folder

    def chunks(self) -> Iterator[bytes]:
        return self._folder.write(self.path, self._member.chunks())
