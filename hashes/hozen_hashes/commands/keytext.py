"""What `hozen key` prints of a key."""

from __future__ import annotations

from hozen_hashes import cli

_LABELS = {
    "file": "ファイル", "kind": "種類", "encrypted": "暗号化", "recipients": "受信者 (age)", "subject": "主体者",
    "certificate_sha256": "証明書 SHA-256", "issuer": "発行者", "uris": "URI", "serial": "シリアル番号",
    "not_before": "有効期間開始", "not_after": "有効期間終了", "validity": "有効性", "key": "鍵",
    "self_signed": "自己署名", "chain": "上位証明書",
}  # fmt: skip
_WIDTH = 20


def print_key(shown: dict[str, object], *, as_json: bool) -> None:
    """Print what `keyview` found, one line a value, or as JSON."""
    if as_json:
        cli.emit_json(shown)
        return
    for name, value in shown.items():
        label = cli.pick(en=f"{name.replace('_', ' '):<{_WIDTH}}", ja=f"{_LABELS[name]}: ")
        for line in _lines(value):
            cli.say(label + cli.safe_text(line))


def _lines(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    if isinstance(value, bool):
        return [cli.pick(en="yes", ja="はい") if value else cli.pick(en="no", ja="いいえ")]
    return [] if value is None else [str(value)]
