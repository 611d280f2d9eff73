"""What the collector's commands do; apart from `collector.py` so that `--help` imports nothing heavy."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hozen_collector import durable, faults, keys, overview
from hozen_collector.clock import now_ns
from hozen_collector.identity import enrolment, tokens
from hozen_collector.index.engine import Index
from hozen_collector.layout import Layout, existing
from hozen_collector.server import Address, parse_address
from hozen_collector.server import serve as run_server
from hozen_config.settings import CollectorSettings, load_collector_settings
from hozen_hashes.cli import emit_json, lang, pick, say, tell
from hozen_hashes.errors import CannotWriteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?")
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNIT: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def init(directory: Path, *, name: str, hosts: Sequence[str]) -> None:
    """Make a collector in an empty directory and print its card.

    Raises:
        UsageError: the directory is not empty, or a word is not usable.
        CannotWriteError: the disk refuses.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name", hint="Lower-case letters, digits, '.', '_', '-'."
        )
    for host in hosts:
        _check_host(host)
    layout = Layout(directory.absolute())
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} is not empty", hint="Give a new directory.")
    with durable.writing(str(directory)):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for place in layout.directories():
        durable.make_directory(place)
    made = keys.new_keys(name=name, hosts=hosts)
    keys.write_keys(layout, made)
    index = Index(layout.database)
    index.migrate()
    index.close()
    layout.database.chmod(0o600)
    text = keys.card(made)
    durable.create_file(layout.card, text.encode(), mode=0o644)
    say(text)
    tell(
        pick(
            en="keep this card apart from the collector",
            ja="このカードは収集サーバーとは別に保管してください",
        )
    )


def serve(
    directory: Path, *, listen: str, status: str, config: Path | None, ready_fd: int | None
) -> None:
    """Serve until a signal.

    Raises:
        HozenError: as `hozen_collector.server.serve`.
    """
    if words := os.environ.get("HOZEN_FAULT"):
        faults.arm(words)
    logging.basicConfig(level=logging.WARNING, format="hozen: %(levelname)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(
        logging.ERROR
    )  # what strangers send is not our news

    def ready(api: Address, page: Address) -> None:
        line = f"ready: https://{api.text} status: http://{page.text}"
        tell(line)
        if ready_fd is not None:
            with contextlib.suppress(OSError):
                os.write(ready_fd, f"{line}\n".encode())
                os.close(ready_fd)

    run_server(
        directory.absolute(),
        load_collector_settings(str(config)) if config else CollectorSettings(),
        listen=parse_address(listen),
        status=parse_address(status),
        ready=ready,
    )


def token_new(directory: Path, *, hosts: str, count: int, expires: str, out: str) -> None:
    """Make a token; it goes to a new 0600 file or to standard output, never elsewhere.

    Raises:
        UsageError: `expires` is not a time, or the file exists.
    """
    span = _SPAN.fullmatch(expires)
    if span is None:
        raise UsageError(f"{expires!r} is not a time", hint="For example 30m, 24h or 7d.")
    layout = existing(directory.absolute())
    own = keys.read_keys(layout)
    index = Index(layout.database)
    try:
        index.migrate()
        with index.write() as session:
            made = tokens.new_token(
                session,
                ca_sha256=own.ca_sha256,
                log_sha256=own.log_key.sha256,
                hosts=hosts,
                count=count,
                now_ns=now_ns(),
                seconds=int(span[1]) * _UNIT[span[2]],
            )
            if out != "-":
                _write_token(Path(out), made.encode())
    finally:
        index.close()
    if out == "-":
        say(made.encode())


def revoke(directory: Path, identity: str) -> None:
    """Revoke an identity; a collector that runs refuses it from the next request on, and logs it within a minute.

    Raises:
        UsageError: there is no such identity, or it was revoked before.
    """
    layout = existing(directory.absolute())
    own = keys.read_keys(layout)
    index = Index(layout.database)
    try:
        index.migrate()
        with index.write() as session:
            host = enrolment.revoke(session, own, identity)
    finally:
        index.close()
    tell(pick(en=f"revoked: {identity} ({host})", ja=f"失効させました: {identity} ({host})"))


def status(directory: Path, *, as_json: bool) -> None:
    """Show what the collector holds, whether it runs or not."""
    layout = existing(directory.absolute())
    index = Index(layout.database)
    try:
        found = overview.overview(layout, index)
    finally:
        index.close()
    if as_json:
        emit_json(found.as_json())
        return
    for line in found.lines(str(lang())):
        say(line)


def _write_token(path: Path, text: str) -> None:
    if path.exists():
        raise UsageError(
            f"{path} exists", hint="Give a new file; a token is never added to another."
        )
    try:
        durable.create_file(path, text.encode() + b"\n")
    except CannotWriteError as error:
        raise UsageError(
            f"the token cannot be written: {error}", hint="Give another --out."
        ) from error


def _check_host(host: str) -> None:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return
    if not _HOST.fullmatch(host):
        raise UsageError(
            f"{host!r} is no host name or address", hint="Lower-case letters, digits, '-' and '.'."
        )
