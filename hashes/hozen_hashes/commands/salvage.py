"""`hozen salvage`: what an interrupted capture still proves, and its proved files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hozen_hashes import cli
from hozen_hashes.commands import options
from hozen_hashes.errors import NotVerifiableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography import x509

    from hozen_hashes.envelope.sidecar import ClearReport
    from hozen_hashes.salvage import SalvageReport
    from hozen_hashes.words import Words

_SHOWN = 20


@click.command(epilog=cli.exit_status(0, 1, 2, 64, 65, 73))
@click.argument("partial", metavar="PARTIAL")
@click.option(
    "--to",
    "target",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write the proved files to this new directory.",
)
@options.root
@options.at
@options.identity
@cli.json_option
def salvage(
    *,
    partial: str,
    target: Path | None,
    root_files: tuple[str, ...],
    at: str | None,
    identity_files: tuple[str, ...],
    passphrase_file: str | None,
    as_json: bool,
) -> int:
    """Prove what an interrupted capture holds.

    PARTIAL is hz-….zip.partial (or its first volume, or a torn hz-….zip), or the directory hz-….journal. What lies
    beside it is found. Nothing is changed. A file counts as proved when a journal segment whose signature holds,
    and whose key was announced by the one before it, names its hash. Of an encrypted capture, without --identity, only
    the signatures over the hashes of the encrypted segments are checked: the result is then "not verifiable".

    \b
    Examples:
      hozen salvage hz-….zip.partial
      hozen salvage hz-….zip.partial --to proved --root root.pem
    """  # noqa: D301 - click's mark
    from hozen_hashes import partials
    from hozen_hashes.commands import inputs
    from hozen_hashes.envelope.sidecar import is_encrypted
    from hozen_hashes.words import Words

    roots, moment = inputs.roots(root_files), inputs.moment(at)
    source = partials.locate(Path(partial), inputs.holders(identity_files, passphrase_file))
    if not identity_files and source.journal is not None and is_encrypted(source.journal):
        return _keyless(source.journal, target, as_json=as_json)
    report = source.report()
    chain = _chain(report, roots, moment) if roots else None
    written = _write(source, report, target) if target is not None else None
    if as_json:
        cli.emit_json(_json(report, chain, written))
    else:
        for line in _lines(report, Words(cli.lang()), chain):
            cli.say(line)
        if target is not None:
            cli.say(Words(cli.lang()).text("salvage-written", count=written or 0, to=str(target)))
    if report.contradictions or (chain is not None and chain[0] == "mismatch"):
        return 1
    return 0 if report.journal.proved else 2


def _keyless(journal: Path, target: Path | None, *, as_json: bool) -> int:
    """Show what the clear part of an encrypted journal proves by itself; the result is 検証不能.

    Raises:
        NotVerifiableError: files were asked for, which nobody without a key can write.
    """
    from hozen_hashes.envelope.sidecar import check_clear

    found = check_clear(journal)
    if as_json:
        cli.emit_json(_keyless_json(journal, found))
    else:
        for line in _keyless_lines(found):
            cli.say(line)
    cli.error(
        "検証不能: the capture is encrypted; its records, files and container cannot be read without the key",
        hint="give the recipient's key with --identity FILE",
    )
    if target is not None:
        cli.warn("nothing was written")
    return NotVerifiableError.exit_code


def _keyless_lines(found: ClearReport) -> Iterator[str]:
    yield cli.pick(
        en=f"without a key: {found.signed} of {found.epochs} segments are signed over their stated hashes,"
        " each by the key beside it",
        ja=f"鍵なしの確認: セグメント {found.epochs} 件のうち {found.signed} 件は、"
        "記載のハッシュ値に対する署名が横の公開鍵で検証できます",
    )
    yield cli.pick(
        en="not shown: that the encrypted text has these hashes, that each key was announced, whose journal it is",
        ja="確認していないこと: 暗号化された本文がそのハッシュ値を持つこと、"
        "鍵が前のセグメントで予告されていたこと、誰のジャーナルか",
    )
    for epoch, reason in found.problems:
        yield f"  {epoch:06d}  {cli.safe_text(reason)}"


def _keyless_json(journal: Path, found: ClearReport) -> dict[str, object]:
    return {
        "format": "hozen-salvage/1",
        "bundle_id": journal.name.removesuffix(".journal"),
        "keyless": {
            "segments": found.epochs,
            "signed": found.signed,
            "problems": [{"segment": epoch, "reason": reason} for epoch, reason in found.problems],
        },
    }


def _chain(
    report: SalvageReport, roots: Sequence[x509.Certificate], moment: object
) -> tuple[str, str]:
    """Return match, mismatch or not verifiable for the signer of the start, with the reason."""
    from datetime import datetime

    from hozen_hashes.chain import ChainError, verify_chain

    if report.start is None or not isinstance(moment, datetime):
        return "not verifiable", "the start is not signed"
    signed = report.start
    try:
        verify_chain(signed.certificate, signed.certificates, roots, at=moment)
    except ChainError as error:
        late = error.kind in {"expired", "not_yet_valid"}
        alone = signed.certificate.issuer == signed.certificate.subject
        return "not verifiable" if late or alone else "mismatch", str(error)
    return "match", ""


def _write(source: object, report: SalvageReport, target: Path) -> int:
    from hozen_hashes.partials import Source
    from hozen_hashes.unpack import NewFolder

    assert isinstance(source, Source)  # noqa: S101 - for the type checker
    folder = NewFolder(target)
    try:
        return source.write(report, folder)
    finally:
        folder.discard()


def _lines(report: SalvageReport, words: Words, chain: tuple[str, str] | None) -> Iterator[str]:
    journal = report.journal
    yield words.text("salvage-head")
    yield f"{words.text('bundle')}: {report.bundle_id or '-'}"
    yield f"{words.text('segments')}: {words.text('salvage-segments', proved=journal.proved, found=journal.segments)}"
    yield f"{words.text('salvage-key')}: {_binding(report, words)}"
    if chain is not None:
        reason = f" ({cli.safe_text(chain[1])})" if chain[1] else ""
        yield f"{words.text('origin')}: {words.both(chain[0])}{reason}"
    state = (
        words.text("salvage-complete") if report.complete else cli.safe_text(report.damage) or "-"
    )
    yield f"{words.text('salvage-damage')}: {state}"
    payload = [one for one in report.proved if one.path.startswith("data/")]
    yield f"{words.text('proved')}: {words.text('salvage-counts', payload=len(payload), all=len(report.proved))}"
    shown = None if cli.settings.verbosity > 0 else _SHOWN
    for one in payload[:shown]:
        extent = "salvage-whole" if one.extent == "whole" else "salvage-prefix"
        yield f"  {one.path}  {words.text(extent, bytes=one.size)}"
    if len(payload) > len(payload[:shown]):
        yield f"  {words.text('more', count=len(payload) - len(payload[:shown]))}"
    yield f"{words.text('unproved')}: {len(report.unproved)}"
    for lost in report.unproved[: None if shown is None else 4 * shown]:
        detail = f" ({cli.safe_text(lost.detail)})" if lost.detail else ""
        yield f"  {cli.safe_text(lost.path)}  {words.get('unproved', lost.reason)}{detail}"


def _binding(report: SalvageReport, words: Words) -> str:
    if report.start is None:
        return words.text("salvage-key-unbound")
    return words.text("salvage-key-bound", who=report.start.certificate.subject.rfc4514_string())


def _json(
    report: SalvageReport, chain: tuple[str, str] | None, written: int | None
) -> dict[str, object]:
    journal = report.journal
    return {
        "format": "hozen-salvage/1",
        "bundle_id": report.bundle_id,
        "segments": {"found": journal.segments, "proved": journal.proved},
        "journal_closed": journal.end is not None,
        "start_signed_by": report.start.certificate.subject.rfc4514_string() if report.start else None,
        "origin": None if chain is None else {"result": chain[0], "reason": chain[1] or None},
        "container": {"complete": report.complete, "damage": report.damage or None},
        "proved": [
            {"path": one.path, "extent": one.extent, "size": str(one.size), "sha256": one.sha256, "item": one.item}
            for one in report.proved
        ],
        "unproved": [
            {"path": one.path, "reason": one.reason, "detail": one.detail or None} for one in report.unproved
        ],
        "written": written,
    }  # fmt: skip
