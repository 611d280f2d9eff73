"""Options with the same meaning in every command that reads a bundle."""

from __future__ import annotations

import click

root = click.option(
    "--root",
    "root_files",
    multiple=True,
    metavar="PEM",
    help="Root certificate, obtained by another way than the bundle; may be repeated.",
)
identity = click.option(
    "--identity",
    "identity_files",
    multiple=True,
    metavar="AGEFILE",
    help="age identity that opens what is encrypted; may be repeated.",
)
at = click.option(
    "--at",
    metavar="TIME",
    help="Judge certificates as of TIME (RFC 3339, or seconds since 1970); default: now.",
)
