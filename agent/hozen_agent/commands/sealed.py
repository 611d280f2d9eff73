"""Says how a capture ended: what was sealed, what was not obtained, and what to keep apart (law M07)."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hozen_agent.sending import connecting
from hozen_hashes import cli
from hozen_hashes.errors import HozenError

if TYPE_CHECKING:
    from hozen_agent.capturing import Options
    from hozen_agent.session import Result

_DONE, _NOT_ALL = 0, 3
_NOTHING_LACKS = frozenset({"captured", "empty", "missing"})


def report(
    result: Result, options: Options, *, collector: str | None, as_json: bool, strict: bool
) -> int:
    """Print the result, push it when a collector was named, and return the exit code."""
    _person(result, options, connecting.anchors(collector) if collector else None, as_json=as_json)
    pushed, code = _push(result, options, collector) if collector else ({}, _DONE)
    _not_obtained(result)
    if as_json:
        cli.emit_json({**_facts(result, options), **pushed})
    if code != _DONE:
        return code
    ended_early = result.reason != "complete"
    return _NOT_ALL if ended_early or (strict and result.not_obtained) else _DONE


def _facts(result: Result, options: Options) -> dict[str, object]:
    return {
        "bundle": result.bundle_id,
        "files": [str(options.out / name) for name in result.files],
        "seal": result.sealed.seal,
        "container_sha256": result.container_sha256,
        "container_size": result.container_size,
        "items": result.sealed.items,
        "outcomes": dict(result.outcomes),
        "not_obtained": result.not_obtained,
        "reason": result.reason,
        "signer": {"kind": result.signer_kind, "certificate_sha256": result.signer_sha256},
    }


def _person(
    result: Result, options: Options, anchors: tuple[str, str] | None, *, as_json: bool
) -> None:
    # What must be written down is a result: -q does not silence it, and --json has it in its own form.
    say, pick, show = cli.tell, cli.pick, (cli.tell if as_json else _result)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(result.outcomes.items()))
    say(
        pick(
            en=f"{result.sealed.items} attempts: {counts}",
            ja=f"試行 {result.sealed.items} 件: {counts}",
        )
    )
    if result.reason != "complete":
        cli.warn(
            pick(en=f"ended early: {result.detail}", ja=f"途中で終了しました: {result.detail}")
        )
    for name in result.files:
        show(
            pick(
                en=f"sealed and read back: {options.out / name}",
                ja=f"封印・読み戻し照合済み: {options.out / name}",
            )
        )
    say(
        pick(
            en="write this down and keep it apart from the bundle:",
            ja="次の値を書き留め、バンドルとは別に保管してください:",
        )
    )
    show(pick(en=f"  seal    {result.sealed.seal}", ja=f"  ルート値 {result.sealed.seal}"))
    show(pick(en=f"  signer  {result.signer_sha256}", ja=f"  鍵ID     {result.signer_sha256}"))
    if anchors is not None:
        root, log_key = anchors
        show(pick(en=f"  root    {root}", ja=f"  ルート証明書 {root}"))
        show(pick(en=f"  log key {log_key}", ja=f"  ログ鍵   {log_key}"))
    for left in result.leftovers:
        cli.warn(left)
    if result.signer_kind == "one-capture":
        cli.warn(
            pick(
                en="signer not vouched for: the key is of this capture only; a receipt or operator signature can vouch",
                ja="署名者は未確認です(この取得のためだけに作られた鍵)。受領証又は作業者署名により確認できます",
            )
        )
    say(
        pick(
            en="the medium is synchronised and may be removed",
            ja="書込みは完了しました。媒体を取り外せます",
        )
    )


def _result(text: str) -> None:
    # Nobody reading must not keep the bundle from being pushed; the exit code tells it at the end.
    with suppress(OSError):
        cli.say(text)


def _not_obtained(result: Result) -> None:
    """Say in the last line what is not there, and so that nobody takes an unprivileged run for a whole one."""
    root = os.geteuid() == 0
    if root and not result.not_obtained:
        return
    lacking = sorted((o, n) for o, n in result.outcomes.items() if o not in _NOTHING_LACKS)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in lacking)
    shown = f" ({counts})" if counts else ""
    cli.warn(
        cli.pick(
            en=f"{'' if root else 'run without root: '}{result.not_obtained} attempts were not obtained{shown}; "
            "reasons: hozen inspect",
            ja=f"{'' if root else 'root権限なしで実行: '}不取得 {result.not_obtained} 件{shown}。"
            "理由は hozen inspect で確認できます",
        )
    )


def _push(result: Result, options: Options, url: str) -> tuple[dict[str, object], int]:
    """Push the bundle; a failure leaves it where it is and says how to push it later."""
    first = options.out / result.files[0]
    try:
        receipt = connecting.push(url, first)
    except HozenError as error:
        cli.error(str(error), hint=f"the bundle is safe; later: hozen push {first} --to {url}")
        return {"pushed": False, "push_error": str(error)}, error.exit_code
    cli.tell(cli.pick(en=f"receipt: {receipt}", ja=f"受領証: {receipt}"))
    return {"pushed": True, "receipt": str(receipt)}, _DONE
