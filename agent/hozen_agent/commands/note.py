"""`hozen note`: appends a signed custody event beside a bundle, offline, on any machine."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hozen_agent import custody
from hozen_agent.host import legible
from hozen_agent.sending import connecting, parcel
from hozen_agent.signers import choose_signer
from hozen_hashes import cli
from hozen_hashes.errors import UsageError

_EXAMPLES = """\b
Examples:
  hozen note hz-….zip --isolated --by 'Sato Hanako' --at '2026-11-23 14:05 +09:00'
  hozen note hz-….zip --photo front.jpg --by 'Sato Hanako' 'front of the rack'
  hozen note hz-….zip 'stick handed to counsel' --event TRANSFER_OUT --from 'Sato, Example KK' --to 'Ito, Example Law'
  hozen note hz-….zip --event CORRECT --corrects 2 'the time in event 2 was JST'

The event is signed with --identity, else with this computer's enrolled key, else with a key made for this
note only (then nobody vouches for it). Events are never changed; a correction is a new event.
"""


@click.command(epilog=_EXAMPLES + "\n" + cli.exit_status(0, 64, 65, 73))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("text", required=False, default="")
@click.option("--isolated", is_flag=True, help="The computer was cut off from the network.")
@click.option(
    "--photo",
    "photos",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Keep a photograph with the event, byte for byte; may be repeated.",
)
@click.option(
    "--event",
    "kind",
    type=click.Choice(custody.TYPES, case_sensitive=False),
    help="What happened, in the words of the custody record.",
)
@click.option("--by", default="", metavar="NAME", help="Who did it, or writes it down.")
@click.option(
    "--at", metavar="TIME", help="When it happened, such as '2026-11-23 14:05 +09:00'; default now."
)
@click.option(
    "--item",
    "items",
    multiple=True,
    metavar="N",
    help="Item it is about; default the whole bundle.",
)
@click.option(
    "--from",
    "handed_from",
    default="",
    metavar="WHO",
    help="Who handed it over: name, organisation, contact.",
)
@click.option("--to", "handed_to", default="", metavar="WHO", help="Who received it.")
@click.option("--place", default="", help="Where, or in which system.")
@click.option("--reason", default="", help="Purpose or reason.")
@click.option("--authority", default="", help="On what basis.")
@click.option(
    "--method", default="", help="By hand, encrypted transfer, number of medium or waybill."
)
@click.option("--condition", default="", help="State of the thing, remarks.")
@click.option("--seal-before", default="", help="State of its seal before.")
@click.option("--seal-after", default="", help="State of its seal afterwards.")
@click.option(
    "--corrects",
    type=click.IntRange(1, 999_999),
    help="Number of the event that this one corrects.",
)
@click.option(
    "--identity", metavar="FILE|pkcs11:…", help="Key and certificate that sign the event."
)
@cli.passphrase_option
@cli.json_option
def note(
    bundle: Path,
    text: str,
    *,
    photos: tuple[Path, ...],
    kind: str | None,
    at: str | None,
    items: tuple[str, ...],
    identity: str | None,
    passphrase_file: str | None,
    isolated: bool,
    as_json: bool,
    **said: Any,
) -> int:
    """Append a signed custody event for BUNDLE (a container, its first volume, or its .proofs directory)."""
    if not (text or isolated or photos or kind):
        raise UsageError(
            "there is nothing to write down", hint="Give a TEXT, --isolated, --photo or --event."
        )
    for words in (text, *items, *said.values()):
        _check_words(words)
    details = custody.Details(
        type=_type(kind, isolated=isolated, photos=bool(photos)),
        text=text,
        happened=_moment(at) if at else None,
        items=items,
        **said,
    )
    bundle_id, seal, folder = parcel.look(bundle)
    signer = choose_signer(
        identity,
        ask=lambda what: cli.read_passphrase(passphrase_file, prompt=what),
        enrolled=connecting.enrolled_signer,
    )
    target = custody.Target(bundle_id=bundle_id, seal=seal)
    event = custody.add_event(folder, target, details, signer, photos=photos)
    path = folder / custody.FOLDER / f"{event.name}.json"
    if as_json:
        cli.emit_json(
            {"event": str(path), "seal": seal, "signer": signer.kind, "type": details.type}
        )
        return 0
    cli.say(cli.pick(en=f"written: {path}", ja=f"記録しました: {path}"))
    if seal is None:
        cli.warn(
            cli.pick(
                en="the seal of the bundle is not known here",
                ja="ここではバンドルのルート値が分かりません",
            )
        )
    if signer.kind == "one-capture":
        cli.warn(
            cli.pick(
                en="signed with a key of this note only: nobody vouches for who wrote it",
                ja="この記録のためだけの鍵で署名しました。記録者を保証する者はいません",
            )
        )
    return 0


def _check_words(words: object) -> None:
    """What is signed is text.

    Raises:
        UsageError: it holds bytes that are no UTF-8 (PEP 383).
    """
    if isinstance(words, str) and any("\udc80" <= c <= "\udcff" for c in words):
        raise UsageError(
            f"not UTF-8: {legible(words)[:80]}", hint="Use a terminal and locale in UTF-8."
        )


def _type(kind: str | None, *, isolated: bool, photos: bool) -> str:
    if isolated and kind not in (None, "ISOLATE"):
        raise UsageError("--isolated is an event of its own", hint="Write two notes.")
    return kind or ("ISOLATE" if isolated else "PHOTO" if photos else "NOTE")


def _moment(text: str) -> int:
    """Return a stated time in nanoseconds since 1970; without a zone it is this computer's local time."""
    try:
        found = datetime.fromisoformat(
            re.sub(r"\s+(?=[+-]\d\d:?\d\d$|Z$)", "", text.strip())
        ).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(
            f"not a time: {text[:80]!r}", hint="Write it as 2026-11-23 14:05 +09:00."
        ) from None
    return round(found.timestamp() * 1000) * 1_000_000
