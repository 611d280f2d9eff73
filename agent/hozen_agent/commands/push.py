"""`hozen push`: sends bundles to a collector and keeps the receipts."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hozen_agent.sending import enrolment, pushing
from hozen_hashes import cli
from hozen_hashes.errors import HozenError, UsageError

if TYPE_CHECKING:
    from hozen_agent.sending.enrolment import Enrolment
    from hozen_agent.sending.stampfiles import Stamps

_EXAMPLES = """\b
Examples:
  hozen push /mnt/usb/hz-*.zip --to https://collector.example:8443
  hozen push hz-20261123T050000Z-web01-5f3a9c10.zip.001        # volumes, as they are
  hozen push hz-20261123T050000Z-web01-5f3a9c10.zip.partial    # what an interrupted capture left

Any enrolled computer may push a sealed bundle: the receipt names signer and sender apart. The same call
again goes on where the last one ended; what the collector has is not sent twice.
"""
_EVERY = 0.2
_INCOMPLETE = 65
_ACCEPTED = (
    "The collector has the bundle, and its receipt is kept; the same call sends what is missing."
)


@click.command(epilog=_EXAMPLES + "\n" + cli.exit_status(0, 1, 64, 65, 73, 75, 77))
@click.argument(
    "bundles", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--to",
    "url",
    metavar="URL",
    help="The collector; default: the one this computer enrolled with last.",
)
@click.option(
    "--wait",
    default=int(pushing.VERDICT),
    show_default=True,
    metavar="SECONDS",
    type=click.IntRange(0, 86_400),
    help="How long to wait for the collector's check.",
)
@cli.json_option
def push(bundles: tuple[Path, ...], url: str | None, wait: int, *, as_json: bool) -> int:
    """Send each BUNDLE, wait for the verdict, verify the receipt and keep it beside the bundle.

    The exit status is that of the first bundle that was not accepted.
    """
    standing = _enrolment(url)
    results = [_one(standing, path, wait, talk=not as_json) for path in bundles]
    if as_json:
        cli.emit_json([facts for facts, _ in results])
    return next((code for _, code in results if code), 0)


def _enrolment(url: str | None) -> Enrolment:
    if url is not None:
        return enrolment.load_enrolment(url)
    found = enrolment.enrolments()
    if not found:
        raise UsageError(
            "this computer is not enrolled with any collector",
            hint="hozen enroll --to URL --token-file FILE",
        )
    return found[0]


def _one(
    standing: Enrolment, path: Path, wait: int, *, talk: bool
) -> tuple[dict[str, object], int]:
    """Push one bundle; return what JSON says of it, and its exit code."""
    meter = _Meter(path.name)
    progress = pushing.Progress(hashed=meter.hashed, sent=meter.sent, said=meter.said)
    try:
        done = pushing.push(standing, path, progress=progress, patience=float(wait))
    except HozenError as error:
        meter.clear()
        cli.error(f"{path.name}: {_words(error)}", hint=error.hint)
        return _refused(path, error), error.exit_code
    meter.clear()
    if talk:
        _say(path, done)
    for problem in done.beside.problems:
        cli.error(f"{path.name}: {problem}", hint=_ACCEPTED)
    stated = done.receipt.statement
    return {
        "bundle": str(path),
        "state": "accepted",
        "known": done.known,
        "bundle_id": done.parcel.bundle_id,
        "seal": done.parcel.seal,
        "container_sha256": done.parcel.sha256,
        "verified": stated.verified,
        "signer": stated.signer,
        "sender": stated.sender,
        "log": stated.log,
        "leaf": done.receipt.leaf_index,
        "receipt": str(done.directory),
        "custody_events": done.events,
        "timestamps": done.stamps.kept,
        "timestamps_waiting": done.stamps.waiting,
        "timestamps_left_out": done.stamps.refused,
        "envelope_sha256": done.beside.envelope,
        "envelope_leaf": done.beside.leaf,
        "opening_statements": done.beside.openings,
        "problems": list(done.beside.problems),
        "reasons": [],
    }, _INCOMPLETE if done.beside.problems else 0


def _words(error: HozenError) -> str:
    """Return what went wrong in the language of this run, as far as the collector speaks it."""
    if isinstance(error, pushing.QuarantinedError) and cli.lang() is cli.Lang.JA:
        return "収集サーバーが隔離しました: " + "; ".join(error.reasons_ja)
    return str(error)


def _refused(path: Path, error: HozenError) -> dict[str, object]:
    quarantined = isinstance(error, pushing.QuarantinedError)
    reasons = list(error.reasons) if isinstance(error, pushing.QuarantinedError) else [str(error)]
    state = "quarantined" if quarantined else "not pushed"
    return {"bundle": str(path), "state": state, "reasons": reasons}


def _say(path: Path, done: pushing.Pushed) -> None:
    stated, leaf = done.receipt.statement, done.receipt.leaf_index
    again = cli.pick(en=" (it was there already)", ja="(受領済み)") if done.known else ""
    cli.say(
        cli.pick(
            en=f"{path.name}: accepted as leaf {leaf} of {stated.log}, verified {stated.verified}{again}",
            ja=f"{path.name}: 受領されました({stated.log} の {leaf} 番、検証 {stated.verified}){again}",
        )
    )
    cli.say(cli.pick(en=f"  receipt: {done.directory}", ja=f"  受領証: {done.directory}"))
    if done.events:
        cli.say(
            cli.pick(
                en=f"  custody events logged: {done.events}",
                ja=f"  記録された取扱履歴: {done.events} 件",
            )
        )
    _say_beside(done)
    _say_stamps(done.stamps)


def _say_beside(done: pushing.Pushed) -> None:
    beside = done.beside
    if beside.envelope is not None:
        cli.say(
            cli.pick(
                en=f"  envelope: kept by the collector, leaf {beside.leaf}",
                ja=f"  エンベロープ: 収集サーバーが保管({beside.leaf} 番)",
            )
        )
    elif beside.wanted and not beside.problems:
        cli.warn(
            cli.pick(
                en="the collector keeps no envelopes: give the .envelope directory to whoever opens the bundle",
                ja="この収集サーバーはエンベロープを保管しません。開封する人に .envelope を渡してください",
            )
        )
    if beside.openings:
        cli.say(
            cli.pick(
                en=f"  opening statements logged: {beside.openings}",
                ja=f"  記録された開封の申告: {beside.openings} 件",
            )
        )


def _say_stamps(stamps: Stamps) -> None:
    if stamps.kept or stamps.waiting:
        cli.say(
            cli.pick(
                en=f"  time stamps: {stamps.kept}; still to come: {stamps.waiting} (fetched by the same call)",
                ja=f"  タイムスタンプ: {stamps.kept} 件、取得待ち {stamps.waiting} 件(同じコマンドで取得)",
            )
        )
    if stamps.refused:
        cli.say(
            cli.pick(
                en=f"  time stamps left out, about nothing that lies here: {stamps.refused}",
                ja=f"  ここにある資料を対象としない、除外したタイムスタンプ: {stamps.refused} 件",
            )
        )


class _Meter:
    """One line on a terminal that shows how far it is; a pipe gets a line a step."""

    def __init__(self, name: str) -> None:
        self._name = cli.safe_text(name)
        self._live = sys.stderr.isatty() and cli.settings.verbosity >= 0
        self._shown = 0.0
        self._state = ""

    def hashed(self, size: int) -> None:
        self._show(cli.pick(en="reading", ja="読取り"), size, None)

    def sent(self, size: int, total: int) -> None:
        self._step(cli.pick(en="sending", ja="送信"))
        self._show(cli.pick(en="sending", ja="送信"), size, total)

    def said(self, state: str) -> None:
        self._step(state)

    def clear(self) -> None:
        if self._live and self._shown:
            self._write("\r\x1b[K")

    def _step(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self.clear()
            cli.detail(f"{self._name}: {state}")

    def _show(self, what: str, size: int, total: int | None) -> None:
        moment = time.monotonic()
        if not self._live or moment - self._shown < _EVERY:
            return
        self._shown = moment
        of = f" / {total / (1 << 20):.1f}" if total is not None else ""
        self._write(f"\r\x1b[Khozen: {self._name}: {what} {size / (1 << 20):.1f}{of} MiB")

    @staticmethod
    def _write(text: str) -> None:
        with suppress(OSError, ValueError):
            os.write(2, text.encode("utf-8", "replace"))
