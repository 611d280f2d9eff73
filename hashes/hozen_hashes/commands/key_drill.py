"""`hozen key drill`: each recipient shows on a schedule that the key still opens (docs/format/drill-v1.md)."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from hozen_hashes import cli
from hozen_hashes.commands import options
from hozen_hashes.errors import FormatError, NotVerifiableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_hashes.drill.named import Asked
    from hozen_hashes.drill.rounds import Entry, Opened, Round
    from hozen_hashes.drill.status import Standing, Status
    from hozen_hashes.holder.keys import Holder
    from hozen_hashes.identity import Signer

_PATH = click.Path(path_type=Path)
_SECOND: Final = 10**9
_AGE: Final = re.compile(r"([1-9][0-9]{0,4})d")
_MAX_ANSWER: Final = 1 << 20
_STATES: Final = {"opened": "開封済み", "overdue": "期限超過", "never": "開封なし"}
F = TypeVar("F", bound="Callable[..., Any]")


def _named(command: F) -> F:
    """Add `--case` and `--profile`, passed as `case_files` and `profile_files`."""
    for option, name, what in (
        ("--profile", "profile_files", "recovery_recipients of this profile"),
        ("--case", "case_files", "recipients of this case file"),
    ):
        command = click.option(
            option, name, multiple=True, metavar="YAML", help=f"The {what}; may be repeated."
        )(command)
    return command


@click.group(epilog=cli.exit_status(0, 1, 2, 64, 65, 73))
def drill() -> None:
    """Show on a schedule that each recipient can still open what is encrypted.

    A round holds a test object for each recipient, encrypted to that one alone. Whoever opens it leaves a dated
    result with the answer that only the object holds. A key that is lost is noticed before it is needed.

    \b
    Examples:
      hozen key drill new --recipient age1… --recipient vendor.pem --out drill
      hozen key drill open drill --identity vendor.p12
      hozen key drill status drill --max-age 180d
    """  # noqa: D301 - click's mark


@drill.command(epilog=cli.exit_status(0, 64, 65, 73))
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    metavar="AGE|PEM",
    help="age1…, or the file of a certificate; may be repeated.",
)
@_named
@click.option(
    "--out", required=True, type=_PATH, metavar="DIR", help="The drill folder; a round is added."
)
@cli.json_option
def new(
    *,
    recipients: tuple[str, ...],
    case_files: tuple[str, ...],
    profile_files: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> int:
    """Add a round: a new test object for each recipient.

    A certificate that a case file or profile names by its fingerprint must be given with --recipient too.

    \b
    Examples:
      hozen key drill new --recipient age1… --recipient vendor.pem --out drill
      hozen key drill new --case case.yaml --recipient vendor.pem --out drill
    """  # noqa: D301 - click's mark
    from hozen_hashes.drill import making, named
    from hozen_hashes.drill.rounds import read_round

    asked = named.resolve(
        [_asked(one) for one in recipients], _names((*case_files, *profile_files))
    )
    one = read_round(making.make_round(out, asked, now=time.time_ns()))
    if as_json:
        who = [{"name": entry.name, "subject": entry.subject or None} for entry in one.entries]
        cli.emit_json({"format": "hozen-drill-new/1", "round": one.folder.name, "recipients": who})
        return 0
    cli.say(str(one.folder))
    for entry in one.entries:
        cli.say(f"  {entry.stem}  {_who(entry.name, entry.subject)}")
    return 0


@drill.command("open", epilog=cli.exit_status(0, 1, 2, 64, 65, 73))
@click.argument("folder", type=_PATH, metavar="DIR")
@options.identity
@click.option(
    "--answer",
    "answer_file",
    metavar="FILE",
    help="Instead of a key: a test object that its holder decrypted by openssl and age.",
)
@click.option("--round", "round_name", metavar="NAME", help="Which round; default: the newest.")
@click.option(
    "--signer",
    metavar="FILE|pkcs11:…",
    help="Sign the result with a person's own key: PEM, PKCS #12 or a token.",
)
@click.option(
    "--signer-passphrase-file",
    metavar="FILE|-",
    help="Passphrase or PIN of the signer; default: ask on the terminal.",
)
@cli.json_option
def open_(
    *,
    folder: Path,
    identity_files: tuple[str, ...],
    passphrase_file: str | None,
    answer_file: str | None,
    round_name: str | None,
    signer: str | None,
    signer_passphrase_file: str | None,
    as_json: bool,
) -> int:
    """Open the test objects that the given key opens, and leave a dated result beside each.

    A recipient opens a round once: the answer is then known, and only a new round shows anything new.

    \b
    Examples:
      hozen key drill open drill --identity vendor.age.txt
      hozen key drill open drill --identity vendor.p12 --signer me.p12
    """  # noqa: D301 - click's mark
    from hozen_hashes.commands import inputs
    from hozen_hashes.drill import making
    from hozen_hashes.drill.rounds import read_rounds

    if bool(identity_files) == bool(answer_file):
        raise UsageError("give either --identity or --answer")
    one = making.chosen(read_rounds(folder), round_name)
    if answer_file is None:
        opened = _by_keys(one, inputs.holders(identity_files, passphrase_file))
    else:
        text = inputs.read_file(answer_file, what="test object", limit=_MAX_ANSWER)
        opened = [_by_answer(one, text)]
    person = None if signer is None else _signer(signer, signer_passphrase_file)
    files = [_keep(one, entry, found, person) for entry, found in opened]
    if as_json:
        cli.emit_json(
            {
                "format": "hozen-drill-open/1",
                "round": one.folder.name,
                "opened": [entry.name for entry, _ in opened],
                "files": [str(file) for file in files],
            }
        )
        return 0
    for (entry, _), file in zip(opened, files, strict=True):
        cli.say(f"{_who(entry.name, entry.subject)}\n  {file}")
    return 0


@drill.command(epilog=cli.exit_status(0, 1, 2, 64, 65))
@click.argument("folder", type=_PATH, metavar="DIR")
@click.option(
    "--max-age",
    default="180d",
    show_default=True,
    metavar="DAYS",
    help="How old the last opening may be, as 180d.",
)
@_named
@options.root
@options.at
@cli.json_option
def status(
    *,
    folder: Path,
    max_age: str,
    case_files: tuple[str, ...],
    profile_files: tuple[str, ...],
    root_files: tuple[str, ...],
    at: str | None,
    as_json: bool,
) -> int:
    """Say of each recipient: opened on …, overdue, or never.

    Asked are all recipients of the newest round, and those that the files name besides. With --root, only openings
    count that a certificate under it has signed. Exit status 1: a result does not hold; 2: somebody is overdue or
    never opened; 0: everybody opened in time.

    \b
    Examples:
      hozen key drill status drill --max-age 180d
      hozen -q key drill status drill --case case.yaml || mail -s "key drill" custodian@example.jp
    """  # noqa: D301 - click's mark
    from hozen_hashes.commands import inputs
    from hozen_hashes.drill import named
    from hozen_hashes.drill.rounds import read_rounds
    from hozen_hashes.drill.status import judge

    expected = [named.canonical(name) for name in _names((*case_files, *profile_files))]
    moment = inputs.moment(at)
    days = _days(max_age)
    found = judge(
        read_rounds(folder),
        at=int(moment.timestamp()) * _SECOND,
        max_age=days * 86_400 * _SECOND,
        roots=inputs.roots(root_files),
        expected=expected,
    )
    if as_json:
        cli.emit_json(_document(found, days))
    else:
        _show(found)
    return found.exit_code


def _days(text: str) -> int:
    match = _AGE.fullmatch(text)
    if match is None:
        raise UsageError(f"--max-age {text!r} is no number of days", hint="write it as 180d")
    return int(match[1])


def _asked(given: str) -> Asked:
    from hozen_hashes.cmswrap import read_certificate
    from hozen_hashes.commands import inputs
    from hozen_hashes.drill import named

    if given.startswith("age1") and not Path(given).exists():
        return named.age(given)
    return named.holder(read_certificate(inputs.read_file(given, what="recipient's certificate")))


def _names(files: tuple[str, ...]) -> list[str]:
    from hozen_hashes.commands import inputs
    from hozen_hashes.drill import named

    found: list[str] = []
    for file in files:
        here = named.names_in(inputs.read_file(file, what="list of recipients"), file=file)
        if not here:
            raise UsageError(f"{file} names no recipients")
        found.extend(here)
    return found


def _signer(name: str, passphrase_file: str | None) -> Signer:
    from hozen_hashes.signers import open_signer

    return open_signer(
        name, lambda what: cli.read_passphrase(passphrase_file, prompt=f"{what} of the signer")
    )


def _by_keys(one: Round, holders: tuple[Holder, ...]) -> list[tuple[Entry, Opened]]:
    """Return every recipient that the keys open, and that did not open this round yet."""
    from hozen_hashes.drill import making

    now = time.time_ns()
    tried = [(entry, making.open_entry(one, entry, holders, now=now)) for entry in one.entries]
    found = [(entry, opened) for entry, opened in tried if opened is not None]
    if not found:
        raise NotVerifiableError(
            "検証不能: none of the given keys opens a test object of this round",
            hint="See who has one with: hozen key drill status DIR",
        )
    left = [pair for pair in found if not making.is_open(one, pair[0])]
    if not left:
        raise _opened_already(one)
    return left


def _by_answer(one: Round, text: bytes) -> tuple[Entry, Opened]:
    from hozen_hashes.drill import making

    for entry in one.entries:
        try:
            opened = making.stated(one, entry, text, now=time.time_ns())
        except FormatError:
            continue
        if making.is_open(one, entry):
            raise _opened_already(one)
        return entry, opened
    raise NotVerifiableError("検証不能: the file is no test object of this round")


def _opened_already(one: Round) -> UsageError:
    return UsageError(
        f"this recipient has opened the round {one.folder.name} already",
        hint="Make a new round with: hozen key drill new --out DIR",
    )


def _keep(one: Round, entry: Entry, opened: Opened, person: Signer | None) -> Path:
    from datetime import UTC, datetime
    from hashlib import sha256

    from hozen_hashes import cms
    from hozen_hashes.drill import making

    text, signature = opened.encode(), None
    if person is not None:
        moment = datetime.fromtimestamp(opened.time // _SECOND, UTC)
        signature = cms.sign_detached(sha256(text).digest(), person, moment)
    return making.keep(one, entry, text, signature)


def _who(name: str, subject: str) -> str:
    return f"{name}  {cli.safe_text(subject)}".rstrip()


def _when(standing: Standing) -> str:
    from hozen_hashes.names import rfc3339

    return "" if standing.last is None else rfc3339(standing.last.time)[:10]


def _show(found: Status) -> None:
    for one in found.standings:
        state = cli.pick(en=one.state, ja=_STATES[one.state])
        signer = "" if one.last is None or not one.last.signer else f"  ({one.last.signer})"
        line = f"{state}  {_when(one) or '-'}  {_who(one.name, one.subject)}{cli.safe_text(signer)}"
        if one.state != "opened" or cli.settings.verbosity >= 0:
            cli.say(line)
    for round_name, file, reason in found.problems:
        cli.error(f"{round_name}/{file}: {cli.safe_text(reason)}")


def _document(found: Status, days: int) -> dict[str, object]:
    from hozen_hashes.names import rfc3339

    return {
        "format": "hozen-drill-status/1",
        "max_age_days": days,
        "exit_code": found.exit_code,
        "recipients": [
            {
                "name": one.name,
                "subject": one.subject or None,
                "state": one.state,
                "opened": None if one.last is None else rfc3339(one.last.time),
                "round": None if one.last is None else one.last.round,
                "signer": None if one.last is None else one.last.signer or None,
            }
            for one in found.standings
        ],
        "problems": [
            {"round": name, "file": file, "reason": reason} for name, file, reason in found.problems
        ],
    }
