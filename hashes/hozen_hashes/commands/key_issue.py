"""`hozen key request` and `hozen key import`: an authority's certificate takes the place of the self-signed one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hozen_hashes import cli
from hozen_hashes.commands.keytext import print_key
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from hozen_hashes.identity import KeyIdentity

_PATH = click.Path(path_type=Path)


@click.command(epilog=cli.exit_status(0, 64, 65, 73))
@click.argument("file", type=_PATH)
@click.option(
    "--out", required=True, type=_PATH, metavar="CSR", help="The new file for the request."
)
@click.option(
    "--name",
    default="",
    metavar="NAME",
    help="Common name; default that of the present certificate.",
)
@click.option(
    "--uri", default="", metavar="URI", help="URI name; default that of the present certificate."
)
@cli.passphrase_option
@cli.json_option
def request(
    *, file: Path, out: Path, name: str, uri: str, passphrase_file: str | None, as_json: bool
) -> None:
    """Write a certificate request for the key in the identity file FILE (PKCS #10, PEM).

    The request holds no secret. Give it to the authority; what it issues goes back with: hozen key import

    \b
    Examples:
      hozen key request responder.pem --out responder.csr
      hozen key request web01.pem --out web01.csr --uri hozen://example/agent/web01
    """  # noqa: D301 - click's mark
    from hozen_hashes import identity, keyview, newfile

    newfile.check_absent(out)
    held = _load(file, passphrase_file)[0]
    present = keyview.describe_certificate(held.certificate, at=datetime.now(UTC))
    uris = present["uris"]
    name = name or _common_name(held.certificate)
    uri = uri or (str(uris[0]) if isinstance(uris, list) and uris else "")
    newfile.write_new(out, identity.make_csr(held.key, name, uri))
    cli.tell(cli.pick(en=f"written: {out}", ja=f"作成しました: {out}"))
    result = {
        "file": str(out),
        "kind": "request",
        "subject": f"CN={name}",
        "uris": [uri] if uri else [],
    }
    print_key({**result, "key": present["key"]}, as_json=as_json)


@click.command("import", epilog=cli.exit_status(0, 64, 65, 73))
@click.argument("file", type=_PATH)
@click.option(
    "--certificate",
    required=True,
    type=_PATH,
    metavar="PEM",
    help="The certificate that was issued.",
)
@click.option("--chain", type=_PATH, metavar="PEM", help="The certificates above it, in any order.")
@click.option(
    "--out", type=_PATH, metavar="NEW", help="Write a new identity file and leave FILE as it is."
)
@cli.passphrase_option
@cli.json_option
def import_certificate(
    *,
    file: Path,
    certificate: Path,
    chain: Path | None,
    out: Path | None,
    passphrase_file: str | None,
    as_json: bool,
) -> None:
    """Put an issued certificate and its chain into the identity file FILE, in place of the present ones.

    The certificate must belong to the key in FILE, be valid now, and lead to the top of the given chain. FILE is
    replaced in one step, with the same passphrase.

    \b
    Examples:
      hozen key import responder.pem --certificate issued.pem --chain ca.pem
      hozen key import responder.pem --certificate issued.pem --chain ca.pem --out enrolled.pem
    """  # noqa: D301 - click's mark
    from hozen_hashes import identity, keyview, newfile
    from hozen_hashes.signers import read_key_file

    if out is not None:
        newfile.check_absent(out)
    held, passphrase = _load(file, passphrase_file)
    path = _issued_path(read_key_file(certificate), b"" if chain is None else read_key_file(chain))
    made = identity.identity_of(held.key, path, at=datetime.now(UTC))
    data = identity.write_identity(made, passphrase)
    if out is None:
        newfile.replace(file, data)
    else:
        newfile.write_new(out, data)
    written = out or file
    cli.tell(cli.pick(en=f"written: {written}", ja=f"作成しました: {written}"))
    print_key(
        {"file": str(written), **keyview.describe(data, at=datetime.now(UTC))}, as_json=as_json
    )


def _load(file: Path, passphrase_file: str | None) -> tuple[KeyIdentity, bytes | None]:
    """Return the identity, its dates unchecked, and the passphrase if the file is encrypted."""
    from hozen_hashes import identity
    from hozen_hashes.signers import read_key_file

    pem = read_key_file(file)
    passphrase = (
        cli.read_passphrase(passphrase_file) if b"BEGIN ENCRYPTED PRIVATE KEY" in pem else None
    )
    return identity.load_identity(pem, passphrase, check_dates=False), passphrase


def _issued_path(certificate: bytes, chain: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificate and the path above it, in order; raises ChainError when it does not hold together."""
    from hozen_hashes.chain import load_certificates, verify_chain

    leaf, *above = load_certificates(certificate)
    if chain:
        above += load_certificates(chain)
    if not above:
        if leaf.subject != leaf.issuer:
            cli.warn("the issuer's certificate was not given; those who verify will need it")
        return (leaf,)
    return verify_chain(leaf, above, _tops(above), at=datetime.now(UTC))


def _tops(above: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return those that no other one in the list may have issued."""
    subjects = {item.subject for item in above}
    return [item for item in above if item.subject == item.issuer or item.issuer not in subjects]


def _common_name(certificate: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not found:
        raise UsageError("the present certificate has no common name", hint="Give one with --name.")
    return str(found[0].value)
