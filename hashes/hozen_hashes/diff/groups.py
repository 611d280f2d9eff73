"""The groups of facts, in the order in which they are shown, and the group that a captured file belongs to."""

from __future__ import annotations

import re
from typing import Final

GROUPS: Final[dict[str, tuple[str, str]]] = {
    "account": ("Accounts", "アカウント"),
    "password_state": ("Password states (without hashes)", "パスワードの状態(ハッシュ値なし)"),
    "group": ("Groups", "グループ"),
    "ssh_key": ("SSH authorized keys", "SSH 公開鍵の登録"),
    "listener": ("Listening ports", "待ち受けポート"),
    "process": ("Processes", "プロセス"),
    "unit": ("systemd units", "systemd ユニット"),
    "cron": ("Scheduled jobs", "定期実行"),
    "startup": ("Other persistence", "その他の自動起動設定"),
    "special_bit": ("SUID, SGID, capabilities, immutable", "SUID・SGID・ケーパビリティ・変更不可属性"),
    "executable": ("Program hashes", "プログラムのハッシュ値"),
    "kernel_module": ("Kernel modules", "カーネルモジュール"),
    "ebpf_program": ("eBPF programs", "eBPF プログラム"),
    "package": ("Packages", "パッケージ"),
    "setting": ("Settings", "設定ファイル"),
}  # fmt: skip

# Families whose files say how the host is set up. Logs, histories and loot directories always differ.
SETTINGS: Final = frozenset(
    {"persistence", "ssh_access", "accounts", "kernel", "interfaces", "storage", "machine", "kernel_modules"}
)  # fmt: skip
_VOLATILE: Final = re.compile(r"/(?:proc|sys|dev)/")
_CRON: Final = re.compile(
    r"/(?:etc/(?:cron|anacrontab|at\.)|var/spool/(?:cron|at|anacron)|var/cron/)"
)
_UNIT: Final = re.compile(
    r"/systemd/(?:system|user|transient|generator)|\.(?:service|timer|socket|path)$"
)


def of_file(artifact: str, source: str) -> str | None:
    """Return the group of a captured file or link by its path (percent-encoded), or None when it is not compared."""
    if artifact not in SETTINGS or _VOLATILE.match(source):
        return None
    if artifact != "persistence":
        return "setting"
    if _CRON.match(source):
        return "cron"
    return "unit" if _UNIT.search(source) else "startup"
