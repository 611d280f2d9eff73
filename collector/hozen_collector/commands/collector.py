"""`hozen collector`: makes, serves and looks at a collector."""

from __future__ import annotations

from pathlib import Path

import click

from hozen_collector.commands.witness import witness
from hozen_hashes.cli import exit_status, json_option


@click.group(name="collector")
def collector() -> None:
    """Take bundles in, verify, archive and log them, and answer with a receipt."""


collector.add_command(witness)


@collector.command(epilog=exit_status(0, 64, 73))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", default="hozen", show_default=True, help="Name of the collector.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    default=("localhost", "127.0.0.1"),
    show_default=True,
    help="Host name or address that agents use; may be repeated.",
)
def init(directory: Path, name: str, hosts: tuple[str, ...]) -> None:
    """Make a collector in DIRECTORY and print the card that must be kept apart from it."""
    from hozen_collector.commands import work

    work.init(directory, name=name, hosts=hosts)


@collector.command(epilog=exit_status(0, 1, 64, 73, 75))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--listen", default="127.0.0.1:8443", show_default=True, help="Where agents come.")
@click.option(
    "--status",
    default="127.0.0.1:8444",
    show_default=True,
    help="Where the status page is (loopback).",
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings (collector.yaml).")
@click.option(
    "--ready-fd", type=int, help="Write a line to this descriptor when ready, and close it."
)
def serve(
    directory: Path, listen: str, status: str, config: Path | None, ready_fd: int | None
) -> None:
    """Serve the collector in DIRECTORY until SIGTERM or Ctrl-C."""
    from hozen_collector.commands import work

    work.serve(directory, listen=listen, status=status, config=config, ready_fd=ready_fd)


@collector.group()
def token() -> None:
    """Rights to enrol."""


@token.command(name="new", epilog=exit_status(0, 64, 73))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--hosts", default="*", show_default=True, help="Host names it is good for (pattern)."
)
@click.option(
    "--count", default=1, show_default=True, type=click.IntRange(1, 100_000), help="How many hosts."
)
@click.option("--expires", default="24h", show_default=True, help="How long: 30m, 24h, 7d.")
@click.option(
    "--out", required=True, help="File that gets the token (mode 0600), or - for standard output."
)
def token_new(directory: Path, hosts: str, count: int, expires: str, out: str) -> None:
    """Make an enrolment token."""
    from hozen_collector.commands import work

    work.token_new(directory, hosts=hosts, count=count, expires=expires, out=out)


@collector.command(epilog=exit_status(0, 64, 73))
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("identity")
def revoke(directory: Path, identity: str) -> None:
    """Take an identity's right to send and to be vouched for; `status` shows identities.

    It holds from the next request on, and is an entry of the log. What the identity sealed before stays as it is.
    """
    from hozen_collector.commands import work

    work.revoke(directory, identity)


@collector.command(epilog=exit_status(0, 64))
@click.argument("directory", type=click.Path(path_type=Path))
@json_option
def status(directory: Path, as_json: bool) -> None:
    """Show what the collector in DIRECTORY holds."""
    from hozen_collector.commands import work

    work.status(directory, as_json=as_json)


@collector.command(epilog=exit_status(0, 1, 64, 73))
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("key")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="New or empty directory."
)
@json_option
def export(directory: Path, key: str, out: Path, as_json: bool) -> None:
    """Write the collector's copy of a bundle, with its envelope and receipt, into an empty directory.

    KEY is the container's SHA-256, the seal or the bundle id. Every byte is compared with its hash. The access log and
    the transparency log say that the copy was given out.
    """
    from hozen_collector.commands import copywork

    copywork.export(directory, key, out=out, as_json=as_json)


@collector.command(epilog=exit_status(0, 64, 65, 73))
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("statement", type=click.Path(path_type=Path))
@json_option
def opened(directory: Path, statement: Path, as_json: bool) -> None:
    """Log that somebody states to have opened and verified an encrypted bundle elsewhere.

    STATEMENT is opened-NN.txt with its .p7s beside it, as `hozen sign --as opener` writes them. Signature, container
    and seal are checked. It is logged and shown as a claim of the person who signed; the collector opens nothing.
    """
    from hozen_collector.commands import copywork

    copywork.opened(directory, statement, as_json=as_json)
