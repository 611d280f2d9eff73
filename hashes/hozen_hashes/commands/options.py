"""Options with the same meaning in every command that reads a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from hozen_hashes import cli

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

root = click.option(
    "--root",
    "root_files",
    multiple=True,
    metavar="PEM",
    help="Root certificate, obtained by another way than the bundle; may be repeated.",
)


def identity(command: F) -> F:
    """Add `--identity`, passed as `identity_files`, and `--passphrase-file`; give both to `inputs.holders`."""
    return click.option(
        "--identity",
        "identity_files",
        multiple=True,
        metavar="KEYFILE",
        help="Opens what is encrypted: age identity, or a certificate's private key (PEM, PKCS #12); may be repeated.",
    )(cli.passphrase_option(command))


at = click.option(
    "--at",
    metavar="TIME",
    help="Judge certificates as of TIME (RFC 3339, or seconds since 1970); default: now.",
)
tsa_root = click.option(
    "--tsa-root",
    "tsa_root_files",
    multiple=True,
    metavar="PEM",
    help="Root certificate of a time-stamping authority, obtained by another way; may be repeated.",
)
tsa_list = click.option(
    "--tsa-list",
    "tsa_list_file",
    metavar="FILE",
    help="Dated list that says of which tier an authority is (docs/format/timestamp-v1.md).",
)
revoked = click.option(
    "--revoked",
    "revoked_files",
    multiple=True,
    metavar="CRL",
    help="List of revoked certificates (CRL, PEM or DER) of the signer's authority; may be repeated.",
)
