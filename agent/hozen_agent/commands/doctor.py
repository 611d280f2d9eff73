"""`hozen doctor`: would a capture work here, with these keys, to this medium and this collector?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hozen_agent import checkup
from hozen_agent.sending import connecting
from hozen_agent.signers import choose_signer
from hozen_hashes import cli

_EXAMPLES = """\b
Examples:
  hozen doctor --out /mnt/usb
  hozen doctor --out /mnt/usb --identity /mnt/usb/case.pem --collector https://collector:8443
"""
_STATES = {
    "ok": ("ok", "良好"),
    "warning": ("warning", "注意"),
    "failed": ("FAILED", "不可"),
    "not run": ("not run", "未実施"),
}


@click.command(epilog=_EXAMPLES + "\n" + cli.exit_status(0, 64, 65, 70, 73, 75, 77))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="The medium that would be used."
)
@click.option("--allow-local", is_flag=True, help="Accept a destination on this host's own disks.")
@click.option("--collector", metavar="URL", help="The collector that would be used.")
@click.option("--identity", metavar="FILE|pkcs11:…", help="The key that would be used.")
@cli.passphrase_option
@cli.json_option
def doctor(
    out: Path | None,
    collector: str | None,
    identity: str | None,
    passphrase_file: str | None,
    *,
    allow_local: bool,
    as_json: bool,
) -> int:
    """Check privileges, clock, destination, signing key and collector; change nothing.

    The exit status is that of the first check that failed. A check that was not asked for is
    shown as 'not run'.
    """
    checks = list(
        checkup.check_up(
            out=out,
            allow_local=allow_local,
            connect=lambda: connecting.connect(collector) if collector else None,
            signer=lambda: choose_signer(
                identity,
                ask=lambda what: cli.read_passphrase(passphrase_file, prompt=what),
                enrolled=connecting.enrolled_signer,
            ),
        )
    )
    if as_json:
        cli.emit_json([asdict(check) for check in checks])
    else:
        _show(checks)
    return next((check.code for check in checks if check.code), 0)


def _show(checks: list[checkup.Check]) -> None:
    for check in checks:
        en, ja = _STATES[check.state]
        cli.say(cli.safe_text(f"{cli.pick(en=en, ja=ja):<8} {check.name}: {check.detail}"))
        if check.hint:
            cli.say(cli.safe_text(f"         → {check.hint}"))
