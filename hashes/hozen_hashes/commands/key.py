"""`hozen key`: evidence keys and age keys are made, shown, requested for and imported."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from hozen_hashes import cli
from hozen_hashes.commands.key_drill import drill
from hozen_hashes.commands.key_issue import import_certificate, request
from hozen_hashes.commands.keytext import print_key
from hozen_hashes.errors import UsageError

_PATH = click.Path(path_type=Path)


@click.group(epilog=cli.exit_status(0, 1, 2, 64, 65, 73))
def key() -> None:
    """Make, show, request and import evidence keys.

    An identity file holds one private key, its certificate and the chain above it, as PEM. It seals bundles. An age
    identity opens encrypted bundles; it is another kind of key.

    \b
    Examples:
      hozen key new --out responder.pem --name "Responder 1"
      hozen key request responder.pem --out responder.csr
      hozen key import responder.pem --certificate issued.pem --chain ca.pem
      hozen key show responder.pem
      hozen key drill status drill
    """  # noqa: D301 - click's mark


key.add_command(drill)
key.add_command(request)
key.add_command(import_certificate)


@key.command(epilog=cli.exit_status(0, 64, 73))
@click.option(
    "--out", required=True, type=_PATH, metavar="FILE", help="The new file; never an existing one."
)
@click.option("--name", default="", metavar="NAME", help="Common name of the certificate.")
@click.option(
    "--uri",
    default="",
    metavar="URI",
    help="URI in the certificate, as hozen://site/operator/name.",
)
@click.option(
    "--age", "for_age", is_flag=True, help="Make an age identity and print its recipient."
)
@click.option(
    "--no-passphrase",
    is_flag=True,
    help="Leave the key unencrypted; the file must be guarded otherwise.",
)
@cli.passphrase_option
@cli.json_option
def new(
    *,
    out: Path,
    name: str,
    uri: str,
    for_age: bool,
    no_passphrase: bool,
    passphrase_file: str | None,
    as_json: bool,
) -> None:
    """Make a new key in a new file that only its owner can read.

    Without --age: an ECDSA P-256 key with a self-signed evidence certificate of ten years, encrypted with a passphrase.
    With --age: an X25519 identity for encrypted bundles, in the form that the age tools use.

    \b
    Examples:
      hozen key new --out responder.pem --name "Responder 1"
      hozen key new --out web01.pem --no-passphrase
      hozen key new --age --out vendor.age.txt
    """  # noqa: D301 - click's mark
    from hozen_hashes import newfile

    newfile.check_absent(out)
    if for_age:
        if name or uri or passphrase_file:
            raise UsageError(
                "an age identity has neither name nor passphrase",
                hint="Encrypt the file afterwards with: age -p -o FILE.age FILE",
            )
        data, shown = _new_age()
    else:
        passphrase = _new_passphrase(passphrase_file, without=no_passphrase)
        data, shown = _new_identity(name, uri, passphrase)
    newfile.write_new(out, data)
    cli.tell(cli.pick(en=f"written: {out}", ja=f"作成しました: {out}"))
    print_key({"file": str(out), **shown}, as_json=as_json)


@key.command(epilog=cli.exit_status(0, 64, 65))
@click.argument("file", type=_PATH)
@cli.json_option
def show(*, file: Path, as_json: bool) -> None:
    """Show fingerprint, names, validity and kind of the key in FILE; no passphrase is needed.

    FILE is an identity file, a certificate (PEM) or an age identity. The secret is never shown. The fingerprint is
    that of: openssl x509 -in FILE -noout -fingerprint -sha256

    \b
    Examples:
      hozen key show responder.pem
      hozen key show --json ca.pem
    """  # noqa: D301 - click's mark
    from hozen_hashes import keyview
    from hozen_hashes.signers import read_key_file

    shown = keyview.describe(read_key_file(file), at=datetime.now(UTC))
    print_key({"file": str(file), **shown}, as_json=as_json)


def _new_age() -> tuple[bytes, dict[str, object]]:
    from hozen_hashes import age, keyview

    made = age.new_identity()
    when = datetime.now(UTC)
    text = (
        f"# created: {when:%Y-%m-%dT%H:%M:%SZ}\n# public key: {made.recipient}\n{made.secret()}\n"
    )
    return text.encode(), keyview.describe(text.encode(), at=when)


def _new_identity(name: str, uri: str, passphrase: bytes | None) -> tuple[bytes, dict[str, object]]:
    import secrets

    from hozen_hashes import identity, keyview

    made = identity.new_self_signed(name or f"Hozen evidence key {secrets.token_hex(4)}", uri=uri)
    data = identity.write_identity(made, passphrase)
    return data, keyview.describe(data, at=datetime.now(UTC))


def _new_passphrase(source: str | None, *, without: bool) -> bytes | None:
    if without:
        if source is not None:
            raise UsageError("--no-passphrase and --passphrase-file exclude each other")
        return None
    passphrase = cli.read_passphrase(source, confirm=True)
    if passphrase is None:
        raise UsageError(
            "there is no passphrase and nobody to ask",
            hint="Give --passphrase-file FILE or -, or --no-passphrase for an unattended computer.",
        )
    return passphrase
