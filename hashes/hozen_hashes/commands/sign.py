"""`hozen sign`: a person signs beside a bundle; the bundle and the machine seal stay as they are (bundle-v1 §10)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from hozen_hashes import cli
from hozen_hashes.commands import options
from hozen_hashes.errors import MismatchError, NotVerifiableError, UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from hozen_hashes.agekeys import Identity
    from hozen_hashes.identity import Signer
    from hozen_hashes.verify import VerificationReport

_PATH = click.Path(path_type=Path)
_LAST_WITNESS: Final = 99
_PEOPLE: Final = 15
# law §11.3, without the numbers of a report's chapters
_ATTESTS: Final = {
    "operator": (
        "I carried out this work at the times, under the authority and by the method that the bundle states. Except as"
        " listed in it, I did not alter the acquired records. I know these facts directly. / 私は、保全データに記載の"
        "日時に、記載の権限に基づき、記載の方法により作業を実施しました。保全データに掲げるものを除き、取得した"
        "電磁的記録を改変していません。以上は私が直接知る事実です。"
    ),
    "witness": (
        "I was present, and saw this root digest when the work ended. / 私は作業に立ち会い、"
        "作業終了時に上記のルート値を確認しました。"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signing:
    """What one call is asked to sign."""

    bundle: Path
    role: str
    attests: str
    signer: Signer


@click.command(epilog=cli.exit_status(0, 1, 2, 64, 65, 73))
@click.argument("bundle", type=_PATH)
@click.option(
    "--as", "role", required=True, type=click.Choice(["operator", "witness"]), help="In which role."
)
@click.option(
    "--identity", required=True, metavar="FILE|pkcs11:…",
    help="The person's own key: PEM, PKCS #12 (.p12), or a token; never the machine's.",
)  # fmt: skip
@click.option(
    "--attests",
    metavar="TEXT",
    help="What the person says; default: a fixed text in both languages.",
)
@click.option(
    "--age-identity",
    "age_files",
    multiple=True,
    metavar="AGEFILE",
    help="Opens an encrypted bundle.",
)
@click.option(
    "--seal",
    metavar="HEX",
    help="Root digest as written down; refused when the bundle has another one.",
)
@options.root
@cli.passphrase_option
@cli.json_option
def sign(
    *,
    bundle: Path,
    role: str,
    identity: str,
    attests: str | None,
    age_files: tuple[str, ...],
    seal: str | None,
    root_files: tuple[str, ...],
    passphrase_file: str | None,
    as_json: bool,
) -> int:
    """Verify a bundle, then sign a statement about it with a person's key.

    The statement names the root digest and the machine seal's signature, so neither can be taken away or swapped
    unseen. It is kept in <bundle>.proofs/: operator.p7s with statement.txt, or witness-NN.p7s with witness-NN.txt. An
    existing signature is never replaced. What has changed since the seal is not signed.

    \b
    Examples:
      hozen sign hz-….zip --as operator --identity me.p12
      hozen sign hz-….zip --as witness --identity "pkcs11:token=card;object=me" --seal 5f3a…
    """  # noqa: D301 - click's mark
    from hozen_hashes.commands import inputs
    from hozen_hashes.signers import open_signer

    report = _verified(
        bundle, inputs.seal(seal), inputs.roots(root_files), inputs.age_identities(age_files)
    )
    signer = open_signer(
        identity,
        lambda what: cli.read_passphrase(passphrase_file, prompt=f"{what} of the identity"),
    )
    text = _ATTESTS[role] if attests is None else attests
    wanted = _Signing(bundle=bundle, role=role, attests=text, signer=signer)
    names = _keep(wanted, report)
    who = signer.certificate.subject.rfc4514_string()
    if as_json:
        cli.emit_json({"format": "hozen-sign/1", "bundle_id": report.bundle_id, "seal": report.seal, "role": role,
                       "signer": who, "files": [str(one) for one in names]})  # fmt: skip
    else:
        cli.say(f"{role}: {who}\nseal: {report.seal}\n{names[0]}\n{names[1]}")
    return 0


def _verified(
    bundle: Path,
    seal: str | None,
    roots: tuple[x509.Certificate, ...],
    identities: tuple[Identity, ...],
) -> VerificationReport:
    """Return the report of a bundle that is fit to be signed.

    Raises:
        MismatchError: something differs from what was sealed.
        NotVerifiableError: the integrity cannot be shown.
    """
    from datetime import UTC, datetime

    from hozen_hashes.commands.verify import Request, check
    from hozen_hashes.verify import Result, Word

    request = Request(
        roots=roots, log_keys=(), seal=seal, receipt=None, operator_expected=False,
        identities=identities, at=datetime.now(UTC),
    )  # fmt: skip
    report = check(str(bundle), request)
    told = "look at: hozen verify"
    # Step 15 is what is about to be made or completed: the half of a torn call must not forbid the whole.
    wrong = [one for one in report.steps if one.result is Result.MISMATCH and one.number != _PEOPLE]
    if wrong:
        raise MismatchError(
            "the bundle differs from what was sealed; nothing was signed", hint=told
        )
    if report.integrity is not Word.MATCH or report.seal is None or report.bundle_id is None:
        raise NotVerifiableError(
            "the bundle cannot be shown to be unchanged; nothing was signed", hint=told
        )
    return report


def _keep(wanted: _Signing, report: VerificationReport) -> tuple[Path, Path]:
    """Sign, and write the statement first: one that a torn call left without its signature is made anew."""
    from datetime import UTC, datetime

    from hozen_hashes import cms
    from hozen_hashes.newfile import check_absent, replace, write_new
    from hozen_hashes.personstatement import PersonStatement
    from hozen_hashes.proofs import proofs_directory

    folder = proofs_directory(wanted.bundle)
    folder.mkdir(exist_ok=True)
    text_path, p7s_path = _free(folder, wanted.role)
    check_absent(p7s_path)
    now = time.time_ns()
    statement = PersonStatement(
        bundle=str(report.bundle_id),
        seal=str(report.seal),
        signature=_machine_signature(report),
        role=wanted.role,
        attests=wanted.attests,
        time=now,
    ).encode()
    signed = cms.sign_detached(
        sha256(statement).digest(), wanted.signer, datetime.fromtimestamp(now // 10**9, UTC)
    )
    replace(text_path, statement)
    write_new(p7s_path, signed)
    return text_path, p7s_path


def _machine_signature(report: VerificationReport) -> str:
    if report.signature_sha256 is None:
        raise NotVerifiableError("the bundle has no machine seal; nothing was signed")
    return report.signature_sha256


def _free(folder: Path, role: str) -> tuple[Path, Path]:
    if role == "operator":
        return folder / "statement.txt", folder / "operator.p7s"
    for number in range(1, _LAST_WITNESS + 1):
        stem = f"witness-{number:02d}"
        if not (folder / f"{stem}.p7s").exists():
            return folder / f"{stem}.txt", folder / f"{stem}.p7s"
    raise UsageError(f"{folder} already holds {_LAST_WITNESS} witnesses")
