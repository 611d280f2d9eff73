"""`hozen verify`: whether a bundle is unchanged, who sealed it, and since when it exists."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hozen_hashes import cli
from hozen_hashes.commands import options
from hozen_hashes.errors import HozenError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography import x509

    from hozen_hashes.cosignature import WitnessKey
    from hozen_hashes.holder.keys import Holder
    from hozen_hashes.note import VerifierKey
    from hozen_hashes.revocation import RevocationList
    from hozen_hashes.verify import VerificationReport
    from hozen_hashes.verify.tiers import TsaList

_MISMATCH = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one call asks for, read from its options."""

    roots: tuple[x509.Certificate, ...]
    log_keys: tuple[VerifierKey, ...]
    seal: str | None
    receipt: Mapping[str, bytes] | None
    operator_expected: bool
    identities: tuple[Holder, ...]
    at: datetime
    tsa_roots: tuple[x509.Certificate, ...] = ()
    tsa_list: TsaList | None = None
    witness_keys: tuple[WitnessKey, ...] = ()
    witnesses: int | None = None
    revoked: tuple[RevocationList, ...] = ()


def _write_page(context: click.Context, _option: click.Parameter, target: str | None) -> None:
    """Write the verifier page and end; the bundles are not looked at."""
    if target is None or context.resilient_parsing:
        return
    from hozen_hashes.newfile import write_new
    from hozen_hashes.verifier_page import verifier_html

    write_new(Path(target), verifier_html())
    context.exit(0)


@click.command(epilog=cli.exit_status(0, 1, 2, 64, 65))
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...")
@options.root
@click.option(
    "--log-key",
    "log_key_files",
    multiple=True,
    metavar="FILE",
    help="Key (vkey line) of the collector's log, obtained from outside; may be repeated.",
)
@click.option(
    "--witness-key",
    "witness_key_words",
    multiple=True,
    metavar="FILE|VKEY",
    help="Key (vkey line) of a witness of the log, obtained from outside; may be repeated.",
)
@click.option(
    "--witnesses",
    type=click.IntRange(1, 64),
    metavar="N",
    help="How many of these witnesses must have cosigned the receipt's checkpoint; default: all.",
)
@click.option(
    "--receipt",
    metavar="DIR",
    help="Receipt directory; default: <bundle>.proofs/receipt when it is there.",
)
@click.option(
    "--seal", metavar="HEX", help="Root digest (seal) as it was written down at the capture."
)
@click.option(
    "--operator", "operator_expected", is_flag=True, help="An operator signature must be there."
)
@options.tsa_root
@options.tsa_list
@options.revoked
@options.identity
@options.at
@click.option(
    "--page",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_write_page,
    help="Write the offline verifier, an HTML file for a browser, to FILE, and do nothing else.",
)
@cli.json_option
def verify(
    *,
    bundles: tuple[str, ...],
    root_files: tuple[str, ...],
    log_key_files: tuple[str, ...],
    witness_key_words: tuple[str, ...],
    witnesses: int | None,
    receipt: str | None,
    seal: str | None,
    operator_expected: bool,
    tsa_root_files: tuple[str, ...],
    tsa_list_file: str | None,
    revoked_files: tuple[str, ...],
    identity_files: tuple[str, ...],
    passphrase_file: str | None,
    at: str | None,
    as_json: bool,
) -> int:
    """Check that a bundle is unchanged, and who sealed it, and since when it exists.

    BUNDLE is a file, the first volume (.zip.001), an unpacked directory, or - for standard input. Nothing is
    written. Without something from outside (--root, --log-key or --seal) a bundle can be shown to be consistent,
    but not whose it is: the result is then "not verifiable".

    \b
    Examples:
      hozen verify hz-….zip --root root.pem
      hozen verify hz-….zip --seal 5f3a…  --log-key log.vkey
      hozen verify hz-….zip --log-key log.vkey --witness-key w1.vkey --witness-key w2.vkey --witnesses 2
      hozen verify hz-….zip --root root.pem --at 2038-11-23T00:00:00Z
    """  # noqa: D301 - click's mark
    from hozen_hashes.commands import inputs
    from hozen_hashes.proofs import read_receipt

    request = Request(
        roots=inputs.roots(root_files),
        log_keys=inputs.log_keys(log_key_files),
        seal=inputs.seal(seal),
        receipt=None if receipt is None else read_receipt(Path(receipt)),
        operator_expected=operator_expected,
        identities=inputs.holders(identity_files, passphrase_file),
        at=inputs.moment(at),
        tsa_roots=inputs.roots(tsa_root_files),
        tsa_list=inputs.tsa_list(tsa_list_file),
        witness_keys=inputs.witness_keys(witness_key_words, witnesses),
        witnesses=witnesses,
        revoked=inputs.revoked(revoked_files),
    )
    codes, documents = [], []
    for bundle in bundles:
        code, document = _one(bundle, request, alone=len(bundles) == 1, as_json=as_json)
        codes.append(code)
        documents.append({"bundle": cli.safe_text(bundle), **document})
    if as_json:
        cli.emit_json({"format": "hozen-verification/1", "bundles": documents})
    return _worst(codes)


def _one(
    bundle: str, request: Request, *, alone: bool, as_json: bool
) -> tuple[int, dict[str, object]]:
    """Check one bundle and show the result; return its exit code and JSON form.

    Raises:
        HozenError: it is no bundle, and there is no other one to go on with.
    """
    from hozen_hashes.verify.asjson import as_json as document

    try:
        report = check(bundle, request)
    except HozenError as error:
        if alone and not as_json:
            raise
        cli.error(f"{bundle}: {error}", hint=error.hint)
        return error.exit_code, {"error": str(error), "exit_code": error.exit_code}
    if not as_json:
        show(report, bundle)
    return report.exit_code, document(report)


def check(bundle: str, request: Request) -> VerificationReport:
    """Return the report of one bundle, with the proofs that lie beside it.

    Raises:
        HozenError: it is no bundle, or cannot be opened.
    """
    from hozen_hashes import proofs
    from hozen_hashes.opened import open_bundle
    from hozen_hashes.verify import Anchors
    from hozen_hashes.verify import verify as run

    beside = None if bundle == "-" else proofs.proofs_directory(Path(bundle))
    receipt = request.receipt
    if receipt is None and beside is not None and (beside / "receipt").is_dir():
        receipt = proofs.read_receipt(beside / "receipt")
    anchors = Anchors(
        roots=request.roots,
        seal=request.seal,
        log_keys=request.log_keys,
        witness_keys=request.witness_keys,
        witnesses=request.witnesses,
        receipt=receipt,
        custody={} if beside is None else proofs.read_custody(beside),
        attachments={} if beside is None else proofs.read_attachments(beside),
        operator={} if beside is None else proofs.read_operator(beside),
        operator_expected=request.operator_expected,
        timestamps={} if beside is None else proofs.read_timestamps(beside),
        tsa_roots=request.tsa_roots,
        tsa_list=request.tsa_list,
        revoked=request.revoked,
    )
    with open_bundle(bundle, stdin=sys.stdin.buffer, identities=request.identities) as opened:
        return run(opened, anchors=anchors, at=request.at)


def show(report: VerificationReport, bundle: str) -> None:
    """Print the report; with -q only the verdict."""
    from hozen_hashes.commands import verifytext
    from hozen_hashes.words import Words

    words = Words(cli.lang())
    if cli.settings.verbosity < 0:
        found = verifytext.verdict_lines(report, words, name=bundle)
    else:
        loud = cli.settings.verbosity > 0
        found = verifytext.lines(report, words, name=bundle, everything=loud)
    for line in found:
        cli.say(line)


def _worst(codes: list[int]) -> int:
    """Return 1 when anything is a mismatch, else the largest code: an error before 検証不能 before 一致."""
    return _MISMATCH if _MISMATCH in codes else max(codes)
