"""`hozen collector witness`: a witness of logs, for whoever is independent of the logs' operators."""

from __future__ import annotations

from pathlib import Path

import click

from hozen_hashes.cli import exit_status


@click.group()
def witness() -> None:
    """Watch the logs of collectors, and cosign what only ever grew (C2SP tlog-witness)."""


@witness.command(epilog=exit_status(0, 64, 65, 73))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the witness, such as witness.example/w1.")
@click.option(
    "--log-key",
    "log_keys",
    multiple=True,
    metavar="FILE",
    help="Key (vkey line) of a log to watch, compared with its card; may be repeated.",
)
def init(directory: Path, name: str, log_keys: tuple[str, ...]) -> None:
    """Make a witness in DIRECTORY and print the card with its public key."""
    from hozen_collector.commands import witnesswork

    witnesswork.init(directory, name=name, log_keys=log_keys)


@witness.command(epilog=exit_status(0, 64, 65, 73))
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("log_key", metavar="FILE")
def trust(directory: Path, log_key: str) -> None:
    """Watch one more log, whose key (vkey line) is in FILE; serve anew afterwards."""
    from hozen_collector.commands import witnesswork

    witnesswork.trust(directory, log_key)


@witness.command(epilog=exit_status(0, 64, 65, 73, 75))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--listen",
    default="127.0.0.1:8445",
    show_default=True,
    help="Where collectors ask; put a reverse proxy with TLS before it.",
)
@click.option(
    "--ready-fd", type=int, help="Write a line to this descriptor when ready, and close it."
)
def serve(directory: Path, listen: str, ready_fd: int | None) -> None:
    """Serve the witness in DIRECTORY until SIGTERM or Ctrl-C."""
    from hozen_collector.commands import witnesswork

    witnesswork.serve(directory, listen=listen, ready_fd=ready_fd)
