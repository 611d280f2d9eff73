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

    from hozen_hashes.holder.keys import Holder
    from hozen_hashes.identity import Signer
    from hozen_hashes.verify import VerificationReport

_PATH = click.Path(path_type=Path)
_LAST: Final = 99
_STEMS: Final = {"witness": "witness", "opener": "opened"}
_PEOPLE: Final = 15


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
    "--as",
    "role",
    required=True,
    type=click.Choice(["operator", "witness", "opener"]),
    help="In which role; an opener states to have opened an encrypted bundle.",
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
    metavar="KEYFILE",
    help="Opens an encrypted bundle: age identity, or a certificate's private key (PEM, PKCS #12).",
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
    unseen. It is kept in <bundle>.proofs/: operator.p7s with statement.txt, witness-NN.p7s with witness-NN.txt, or
    opened-NN.p7s with opened-NN.txt, which names the encrypted file too. An existing signature is never replaced. What
    has changed since the seal is not signed.

    \b
    Examples:
      hozen sign hz-….zip --as operator --identity me.p12
      hozen sign hz-….zip --as witness --identity "pkcs11:token=card;object=me" --seal 5f3a…
      hozen sign hz-….zip.age --as opener --identity me.p12 --age-identity vendor.age.txt
    """  # noqa: D301 - click's mark
    from hozen_hashes.commands import inputs
    from hozen_hashes.commands.signtext import ATTESTS
    from hozen_hashes.signers import open_signer

    if role == "opener" and not _is_encrypted(bundle):
        raise UsageError(
            f"{bundle.name} is not encrypted", hint="An opener signs about hz-….zip.age."
        )
    report = _verified(
        bundle, inputs.seal(seal), inputs.roots(root_files), inputs.holders(age_files)
    )
    signer = open_signer(
        identity,
        lambda what: cli.read_passphrase(passphrase_file, prompt=f"{what} of the identity"),
    )
    text = ATTESTS[role] if attests is None else attests
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
    identities: tuple[Holder, ...],
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
    from hozen_hashes.commands.signtext import text_of
    from hozen_hashes.newfile import check_absent, replace, write_new
    from hozen_hashes.proofs import proofs_directory

    folder = proofs_directory(wanted.bundle)
    folder.mkdir(exist_ok=True)
    text_path, p7s_path = _free(folder, wanted.role)
    check_absent(p7s_path)
    now = time.time_ns()
    statement = text_of(wanted.role, wanted.bundle, report, words=wanted.attests, now=now)
    signed = cms.sign_detached(
        sha256(statement).digest(), wanted.signer, datetime.fromtimestamp(now // 10**9, UTC)
    )
    replace(text_path, statement)
    write_new(p7s_path, signed)
    return text_path, p7s_path


def _is_encrypted(bundle: Path) -> bool:
    return bundle.suffix == ".age" or Path(bundle.stem).suffix == ".age"


def _free(folder: Path, role: str) -> tuple[Path, Path]:
    if role == "operator":
        return folder / "statement.txt", folder / "operator.p7s"
    for number in range(1, _LAST + 1):
        stem = f"{_STEMS[role]}-{number:02d}"
        if not (folder / f"{stem}.p7s").exists():
            return folder / f"{stem}.txt", folder / f"{stem}.p7s"
    raise UsageError(f"{folder} already holds {_LAST} signatures of this kind")
