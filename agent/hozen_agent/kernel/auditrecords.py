"""Structures of the audit system (linux/audit.h) as records; bytes of any length are accepted."""

from __future__ import annotations

import struct
from typing import Final

from hozen_hashes.names import percent_encode

_STATUS: Final = (
    "mask", "enabled", "failure", "pid", "rate_limit", "backlog_limit", "lost", "backlog", "features",
    "backlog_wait_time", "backlog_wait_time_actual",
)  # fmt: skip
_FILTERS: Final = ("user", "task", "entry", "watch", "exit", "exclude", "filesystem", "uring")
_ACTIONS: Final = ("never", "possible", "always")
_WORDS: Final = 64
_RULE: Final = struct.Struct(f"=3I{_WORDS}I{_WORDS}I{_WORDS}I{_WORDS}II")
_APPEND: Final = 0x10  # AUDIT_FILTER_PREPEND, set beside the list's number
_FIELDS: Final = {
    0: "pid", 1: "uid", 2: "euid", 3: "suid", 4: "fsuid", 5: "gid", 6: "egid", 7: "sgid", 8: "fsgid", 9: "auid",
    10: "pers", 11: "arch", 12: "msgtype", 13: "subj_user", 14: "subj_role", 15: "subj_type", 16: "subj_sen",
    17: "subj_clr", 18: "ppid", 19: "obj_user", 20: "obj_role", 21: "obj_type", 22: "obj_lev_low",
    23: "obj_lev_high", 24: "loginuid_set", 25: "sessionid", 26: "fstype", 100: "devmajor", 101: "devminor",
    102: "inode", 103: "exit", 104: "success", 105: "path", 106: "perm", 107: "dir", 108: "filetype",
    109: "obj_uid", 110: "obj_gid", 111: "field_compare", 112: "exe", 113: "saddr_fam", 200: "a0", 201: "a1",
    202: "a2", 203: "a3", 210: "key",
}  # fmt: skip
_TEXTS: Final = frozenset({*range(13, 18), *range(19, 24), 105, 107, 112, 210})
_OPERATORS: Final = {
    0x40000000: "=", 0x30000000: "!=", 0x10000000: "<", 0x20000000: ">", 0x50000000: "<=", 0x60000000: ">=",
    0x08000000: "&", 0x48000000: "&=",
}  # fmt: skip


def status_record(data: bytes) -> dict[str, object]:
    """Return struct audit_status by name; `pid` is the audit daemon's, 0 for none."""
    numbers = struct.unpack(f"={len(data) // 4}I", data[: len(data) // 4 * 4])
    return dict(zip(_STATUS, numbers, strict=False))


def rule_record(data: bytes) -> dict[str, object]:
    """Return struct audit_rule_data as auditctl(8) thinks of it: list, action, system calls, conditions."""
    raw = data.ljust(_RULE.size, b"\0")
    numbers = _RULE.unpack_from(raw)
    flags, action, count = numbers[:3]
    mask, fields, values, operators = (
        numbers[3 + _WORDS * i : 3 + _WORDS * (i + 1)] for i in range(4)
    )
    texts = raw[_RULE.size : _RULE.size + numbers[-1]]
    return {
        "list": _word(_FILTERS, flags & ~_APPEND),
        "action": _word(_ACTIONS, action),
        "syscalls": _calls(mask),
        "conditions": _conditions(fields[:count], values, operators, texts),
    }


def _word(table: tuple[str, ...], number: int) -> str:
    return table[number] if number < len(table) else str(number)


def _calls(mask: tuple[int, ...]) -> list[int] | str:
    """Return the numbers of the system calls, or `all`; their names depend on `arch`."""
    if all(word == 0xFFFF_FFFF for word in mask[:-1]):  # noqa: PLR2004 - every bit
        return "all"
    return [32 * at + bit for at, word in enumerate(mask) for bit in range(32) if word >> bit & 1]


def _conditions(
    fields: tuple[int, ...], values: tuple[int, ...], operators: tuple[int, ...], texts: bytes
) -> list[dict[str, object]]:
    """Return field, operator and value of each condition; texts stand one after the other behind the rule."""
    found: list[dict[str, object]] = []
    at = 0
    for field, value, operator in zip(fields, values, operators, strict=False):
        one: dict[str, object] = {
            "field": _FIELDS.get(field, str(field)),
            "operator": _OPERATORS.get(operator, f"0x{operator:x}"),
            "value": value,
        }
        if field in _TEXTS:
            one["value"] = percent_encode(texts[at : at + value])
            at += value
        found.append(one)
    return found
