"""The words of the status page in both languages (law §7: the left form exactly)."""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = ("ja", "en")

WORDS: Final[dict[str, dict[str, str]]] = {
    "title": {"ja": "Hozen 収集サーバー", "en": "Hozen collector"},
    "language": {"ja": "English", "en": "日本語"},
    "bundles": {"ja": "受領したバンドル", "en": "Bundles received"},
    "quarantine": {"ja": "隔離中(受領していないもの)", "en": "Quarantine (not accepted)"},
    "uploads": {"ja": "受信中・検証中", "en": "Being received or verified"},
    "log": {"ja": "透明性ログ", "en": "Transparency log"},
    "none": {"ja": "なし", "en": "none"},
    "case": {"ja": "案件番号", "en": "Case"},
    "bundle": {"ja": "バンドル", "en": "Bundle"},
    "seal": {"ja": "ルート値", "en": "Seal"},
    "container": {"ja": "ファイルのハッシュ値(SHA-256)", "en": "Container (SHA-256)"},
    "result": {"ja": "照合結果", "en": "Result"},
    "integrity": {"ja": "完全性", "en": "Integrity"},
    "origin": {"ja": "作成者", "en": "Origin"},
    "signer": {"ja": "署名者", "en": "Signer"},
    "sender": {"ja": "送付者", "en": "Sender"},
    "sealed_at": {"ja": "封印日時(署名者の申告)", "en": "Sealed at (signer's claim)"},
    "arrived_at": {"ja": "到着日時", "en": "Arrived at"},
    "size": {"ja": "サイズ", "en": "Size"},
    "receipt": {"ja": "受領証", "en": "Receipt"},
    "download": {"ja": "ダウンロード", "en": "download"},
    "reasons": {"ja": "理由", "en": "Reasons"},
    "state": {"ja": "状態", "en": "State"},
    "progress": {"ja": "受信済み", "en": "Received"},
    "touched": {"ja": "最終受信", "en": "Last bytes"},
    "vouched": {
        "ja": "この収集サーバーが発行した証明書",
        "en": "certificate issued by this collector",
    },
    "not_vouched": {"ja": "署名者を保証する者がいません", "en": "signer not vouched for"},
    "custody": {"ja": "取扱履歴", "en": "Handling history"},
    "envelope": {"ja": "エンベロープ", "en": "Envelope"},
    "recipients": {"ja": "受信者数(署名者の申告)", "en": "recipients (signer's claim)"},
    "openings": {
        "ja": "他所で開封・照合したとの申告(この収集サーバーは開封していません)",
        "en": "Stated to be opened and verified elsewhere (a person's claim; not opened here)",
    },
    "variant": {"ja": "同じルート値の別ファイル", "en": "another container of the same seal"},
    "kind": {"ja": "種別", "en": "Kind"},
    "leaves": {"ja": "記録数", "en": "Entries"},
    "root": {"ja": "ログのルートハッシュ", "en": "Root hash"},
    "checkpoint": {"ja": "チェックポイント", "en": "Checkpoint"},
    "witnesses": {"ja": "ログの立会サーバー", "en": "Witnesses of the log"},
    "cosigned": {"ja": "連署済みの記録数", "en": "cosigned size"},
    "failures": {"ja": "連続した失敗", "en": "failures in a row"},
    "agents": {"ja": "登録済みの送付元", "en": "Enrolled identities"},
    "revoked": {"ja": "失効", "en": "revoked"},
    "failed": {"ja": "処理できなかった作業", "en": "Work that failed"},
    "stamps": {"ja": "タイムスタンプ", "en": "Time stamps"},
    "stamped": {"ja": "取得済み", "en": "kept"},
    "waiting": {"ja": "取得待ち", "en": "waiting"},
    "oldest": {"ja": "最も古い待ち", "en": "the oldest since"},
    "next_renewal": {"ja": "次の更新", "en": "next renewal"},
    "lapsed": {"ja": "更新前に期限切れ", "en": "ended before a renewal"},
    "shown": {"ja": "新しい順に最大500件", "en": "the newest 500 at most"},
    "as_of": {"ja": "表示時点(UTC)", "en": "As of (UTC)"},
    "match": {"ja": "一致", "en": "match"},
    "mismatch": {"ja": "不一致", "en": "mismatch"},
    "not verifiable": {"ja": "検証不能", "en": "not verifiable"},
    "receiving": {"ja": "受信中", "en": "receiving"},
    "verifying": {"ja": "検証中", "en": "verifying"},
    "kind_bundle": {"ja": "全部", "en": "bundle"},
    "kind_partial": {"ja": "一部(中断した取得)", "en": "partial (interrupted capture)"},
    "kind_encrypted": {"ja": "暗号化(未開封)", "en": "encrypted (not opened)"},
    "meaning": {
        "ja": "照合結果は、到着時にこの収集サーバーが確かめた範囲での「一致・不一致・検証不能」です。",
        "en": "A result is match, mismatch or not verifiable, as this collector checked it on arrival.",
    },
}


def words_in(language: str) -> dict[str, str]:
    """Give every word in `language`, which is one of LANGUAGES."""
    return {name: both[language] for name, both in WORDS.items()}


def preferred(accept_language: str) -> str:
    """Give the language that a browser's Accept-Language asks for; Japanese where it asks for neither (RFC 9110)."""
    best, chosen = 0.0, "ja"
    for part in accept_language[:1000].split(","):
        tag, _, parameters = part.strip().partition(";")
        language = tag.partition("-")[0].lower()
        weight = _weight(parameters)
        if language in LANGUAGES and weight > best:
            best, chosen = weight, language
    return chosen


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0
