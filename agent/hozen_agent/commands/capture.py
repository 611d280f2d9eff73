"""`hozen capture`: one sealed bundle of what this host can tell, most volatile first."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hozen_agent import stage0
from hozen_agent.capturing import Options, capture_host
from hozen_agent.commands.person import Person
from hozen_agent.commands.sealed import report
from hozen_agent.reading.window import parse_window
from hozen_agent.sending import connecting
from hozen_config.casefile import (
    CaseFile,
    case_from_environment,
    case_from_options,
    load_case_file,
)
from hozen_config.quantities import parse_size
from hozen_hashes import cli
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

_UNPRIVILEGED = (
    "running without root: other users' processes and protected files will be recorded as denied"
)
_UNPRIVILEGED_JA = (
    "root権限がありません。他の利用者のプロセス等は「denied(取得不可)」と記録されます"
)
_SMALLEST_VOLUME = 1 << 20
_HELP_EXAMPLES = """\b
Examples:
  hozen capture --case C-1 --operator 'Sato Hanako' --organisation 'Example KK' \\
      --contact 'sato@example.jp' --authority 'CISO, 2026-11-23, oral' \\
      --purpose 'suspected leak' --owner 'Example KK' --out /mnt/usb
  hozen capture --case-file case.yaml --profile minimal --out /mnt/usb --collector https://collector:8443
  hozen capture --case-file case.yaml --out /mnt/usb --recipient age1… --keep-originals
  hozen capture --case-file case.yaml --out /mnt/usb --profile pre-isolation
  hozen capture --case-file case.yaml --out /mnt/usb --since 7d --without packages
"""


def _volume_size(given: str | None) -> str | None:
    """Return the text when it is a size that a volume can have."""
    try:
        if given is not None and parse_size(given) < _SMALLEST_VOLUME:
            raise UsageError(
                f"volumes of {given} are too small", hint="1MiB is the least, 4000MiB fits FAT32"
            )
    except ValueError as problem:
        raise UsageError(f"--volume-size: {problem}", hint="write it as 4000MiB") from problem
    return given


@click.command(epilog=_HELP_EXAMPLES + "\n" + cli.exit_status(0, 3, 64, 70, 73, 75, 77, 130))
@click.option("--case", metavar="ID", help="Case number (案件番号).")
@click.option("--operator", metavar="NAME", help="Who does the work.")
@click.option("--organisation", metavar="NAME", help="The operator's organisation.")
@click.option("--contact", metavar="TEXT", help="How to reach the operator.")
@click.option("--authority", metavar="TEXT", help="Who allowed the work, and on what basis.")
@click.option("--purpose", metavar="TEXT", help="What the work is for.")
@click.option("--owner", metavar="NAME", help="Who owns or administers this host.")
@click.option("--case-file", metavar="FILE", help="Read these fields from a YAML file.")
@click.option("--drill", is_flag=True, help="An exercise (訓練): the bundle says so.")
@click.option(
    "--profile", default="standard", show_default=True, metavar="NAME|FILE", help="What to take."
)
@click.option(
    "--with",
    "added",
    multiple=True,
    metavar="ARTIFACT",
    help="Also take this artifact; repeatable.",
)
@click.option(
    "--without",
    "removed",
    multiple=True,
    metavar="ARTIFACT",
    help="Leave this artifact out; repeatable.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Logs changed since then only (7d, or RFC 3339); other files changed since are marked as recent.",
)
@click.option(
    "--until",
    metavar="TIME",
    help="Logs begun before then only (12h, or RFC 3339); other files made later are not marked.",
)
@click.option("--reason", metavar="TEXT", help="Why a wide profile is needed (full).")
@click.option(
    "--packets",
    type=click.FloatRange(min=0.1, max=3600),
    metavar="SECONDS",
    help="Also take packets for so long: headers, whole with 'full'.",
)
@click.option(
    "--memory-of",
    multiple=True,
    metavar="PID|NAME",
    help="Also take the memory of these processes (with --reason and --recipient); repeatable.",
)
@click.option("--memory", is_flag=True, help="Also take the main memory (with --recipient).")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Your own medium."
)
@click.option(
    "--allow-local", is_flag=True, help="Accept a destination on this host's own disks; recorded."
)
@click.option(
    "--volume-size",
    metavar="SIZE",
    callback=lambda _context, _option, given: _volume_size(given),
    help="Cut the bundle into files of this size (4000MiB).",
)
@click.option(
    "--collector", metavar="URL", help="Push there afterwards; its log also dates the start."
)
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    metavar="AGE|CERT",
    help="Encrypt to age1… or a PEM certificate; repeatable.",
)
@click.option(
    "--keep-originals", is_flag=True, help="Also keep unredacted forms, for the recipient alone."
)
@click.option(
    "--identity", metavar="FILE|pkcs11:…", help="Sign with this key instead of the enrolled one."
)
@cli.passphrase_option
@click.option("--strict", is_flag=True, help="Exit 3 when any item was not obtained.")
@cli.json_option
def capture(**given: Any) -> int:
    """Preserve what this running host can tell, as one sealed bundle.

    Reads the kernel first, then files; stops, kills and changes nothing. Every attempt ends in a
    recorded outcome. Missing case fields are asked for while the reading goes on; without a
    terminal they must be given. 'unknown' is an answer.
    """
    proc, sweep = stage0.take()
    if os.geteuid() != 0:  # said in the first line and, with what it cost, in the last
        cli.warn(cli.pick(en=_UNPRIVILEGED, ja=_UNPRIVILEGED_JA))
    person = Person(passphrase_file=given["passphrase_file"])
    shown = [] if given["as_json"] else person.card()
    options = Options(
        case=_case(given),
        profile=given["profile"],
        reason=given["reason"] or "",
        out=given["out"],
        allow_local=given["allow_local"],
        volume_size=given["volume_size"],
        argv=sys.argv,
        recipients=given["recipients"],
        keep_originals=given["keep_originals"],
        identity=given["identity"],
        packets=given["packets"],
        memory=given["memory"],
        memory_of=given["memory_of"],
        added=given["added"],
        removed=given["removed"],
        window=parse_window(given["since"], given["until"]),
        shown=tuple(shown),
    )
    if url := given["collector"]:
        connecting.check_url(url)
    result = capture_host(
        options,
        proc=proc,
        sweep=sweep,
        talk=person,
        connect=lambda: connecting.connect(url) if url else None,
        enrolled=connecting.enrolled_signer,
    )
    person.patient()
    return report(result, options, collector=url, as_json=given["as_json"], strict=given["strict"])


def _case(given: dict[str, Any]) -> CaseFile:
    told = replace(case_from_options(given), drill=given["drill"])
    path = given["case_file"]
    from_file = load_case_file(path) if path else CaseFile()
    return told.over(from_file).over(case_from_environment(os.environ))
