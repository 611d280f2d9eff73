"""`hozen inspect`: what a bundle holds, without extracting and without verifying it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from hozen_hashes import cli
from hozen_hashes.cli import safe_text
from hozen_hashes.commands import options
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.contents import Contents
    from hozen_hashes.journalrecords import Row
    from hozen_hashes.words import Words

_HEX_COLUMNS = 16


@click.command(epilog=cli.exit_status(0, 2, 64, 65))
@click.argument("bundle", metavar="BUNDLE")
@click.argument("item", required=False, type=click.IntRange(min=1), metavar="[ITEM]")
@options.identity
@cli.json_option
def inspect(
    *,
    bundle: str,
    item: int | None,
    identity_files: tuple[str, ...],
    passphrase_file: str | None,
    as_json: bool,
) -> int:
    """Show what a bundle holds: case, host, clock, counts, and every item with its outcome.

    With ITEM, the number of an item: everything recorded about it, and the beginning of its content. Nothing is
    verified here; use `hozen verify`. Control characters of the examined host are shown as \\xNN.

    \b
    Examples:
      hozen inspect hz-….zip
      hozen inspect hz-….zip 12
    """  # noqa: D301 - click's mark
    from hozen_hashes.commands import inputs
    from hozen_hashes.contents import read_contents
    from hozen_hashes.opened import open_bundle
    from hozen_hashes.words import Words

    identities = inputs.holders(identity_files, passphrase_file)
    with open_bundle(bundle, stdin=sys.stdin.buffer, identities=identities) as opened:
        found = read_contents(opened, item=item)
    row = None if item is None else found.row(item)
    if item is not None and row is None:
        raise UsageError(f"there is no item {item}", hint=f"list them with: hozen inspect {bundle}")
    if as_json:
        cli.emit_json(_json(found, row))
        return 0
    words = Words(cli.lang())
    for line in _item(found, row, words) if row is not None else _summary(found, words):
        cli.say(line)
    if found.problem:
        cli.warn(found.problem)
    cli.tell(words.text("not-verified"))
    return 0


def _json(found: Contents, row: Row | None) -> dict[str, object]:
    document: dict[str, object] = {"format": "hozen-inspection/1", "bundle_id": found.bundle_id}
    if row is not None:
        head = {"hex": found.head.hex(), "bytes": len(found.head)}
        return {**document, "item": row.details, "head": head}
    rows = [one.details for one in found.rows]
    return {**document, "bundle": found.about, "items": rows, "problem": found.problem or None}


def _summary(found: Contents, words: Words) -> Iterator[str]:
    yield f"{words.text('bundle')}: {found.bundle_id or '-'}"
    for key in ("case", "host", "agent", "profile", "clock", "not_before", "journal", "counts"):
        value = found.about.get(key)
        if isinstance(value, dict):
            yield f"{key}:"
            for name, one in value.items():
                if one not in (None, "", [], {}):
                    yield f"  {safe_text(name)}: {safe_text(_plain(one))}"
    yield ""
    yield f"{words.text('item'):>8}  {words.text('outcome'):<10}  {words.text('bytes'):>12}  {words.text('source')}"
    for row in found.rows:
        size = "-" if row.stored.size is None else str(row.stored.size)
        yield f"{row.item:>8}  {row.outcome:<10}  {size:>12}  {_source(row)}"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    return str(value)


def _source(row: Row) -> str:
    from hozen_hashes.errors import FormatError
    from hozen_hashes.names import percent_decode

    try:
        return f"{row.artifact}: {safe_text(percent_decode(row.source))}"
    except FormatError:
        return f"{safe_text(row.artifact)}: {safe_text(row.source)}"


def _item(found: Contents, row: Row, words: Words) -> Iterator[str]:
    for key, value in row.details.items():
        yield f"{safe_text(key)}: {safe_text(_plain(value))}"
    if row.stored.path is None:
        return
    yield ""
    yield words.text("head", count=len(found.head))
    yield from _text(found.head) if _is_text(found.head) else _hex(found.head)


def _is_text(head: bytes) -> bool:
    try:
        # A character may be cut at the end of the head: up to three bytes are left out.
        text = head.decode("utf-8", "strict") if len(head) < 4 else head[:-3].decode("utf-8")  # noqa: PLR2004
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def _text(head: bytes) -> Iterator[str]:
    for line in head.split(b"\n"):
        yield f"  {safe_text(line)}"


def _hex(head: bytes) -> Iterator[str]:
    for at in range(0, len(head), _HEX_COLUMNS):
        row = head[at : at + _HEX_COLUMNS]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)  # noqa: PLR2004
        yield f"  {at:06x}  {row.hex(' '):<47}  {shown}"
