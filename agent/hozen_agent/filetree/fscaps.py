"""File capabilities as the kernel stores them (capabilities(7), struct vfs_cap_data of linux/capability.h)."""

from __future__ import annotations

import struct
from typing import Final

_NAMES: Final = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin "
    "sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override "
    "mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"
)
NAMES: Final = tuple(_NAMES.split())
_WORDS: Final = {0x01000000: 1, 0x02000000: 2, 0x03000000: 2}
_WITH_ROOT: Final = 0x03000000
_EFFECTIVE: Final = 1


def names(mask: int) -> list[str]:
    """Return the capability names of a mask; unknown bits by number."""
    known = len(NAMES)
    return [
        f"cap_{NAMES[bit]}" if bit < known else f"cap_{bit}"
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    ]


def parse(raw: bytes) -> dict[str, object]:
    """Return what the attribute `security.capability` says, always with its bytes.

    Another revision or length gives the bytes alone: nothing is guessed.
    """
    shown: dict[str, object] = {"raw": raw.hex()}
    if len(raw) < 4:  # noqa: PLR2004 - the magic
        return shown
    magic = int.from_bytes(raw[:4], "little")
    revision = magic & 0xFF000000
    words = _WORDS.get(revision)
    extra = 1 if revision == _WITH_ROOT else 0
    if words is None or len(raw) != 4 * (1 + 2 * words + extra):
        return shown
    values = struct.unpack_from(f"<{2 * words + extra}I", raw, 4)
    permitted = sum(values[2 * n] << 32 * n for n in range(words))
    inherited = sum(values[2 * n + 1] << 32 * n for n in range(words))
    shown |= {
        "permitted": names(permitted),
        "inheritable": names(inherited),
        "effective": bool(magic & _EFFECTIVE),
    }
    return shown | ({"root_uid": values[-1]} if extra else {})
