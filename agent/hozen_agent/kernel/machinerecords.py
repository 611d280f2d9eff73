"""Hardware as the firmware and the bus drivers describe it, as one record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hozen_agent.proc.sweep import FILE
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hozen_agent.proc.sweep import Entry

_EFI: Final = b"sys/firmware/efi/efivars/"
_GLOBAL: Final = b"-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_DMI: Final = b"sys/class/dmi/id/"
# What vendors of virtual machines write into DMI; the guest cannot prove it, nor can we.
_CLOUDS: Final = (
    (b"amazon ec2", "aws"), (b"google", "gcp"), (b"microsoft corporation", "azure or hyper-v"),
    (b"openstack", "openstack"), (b"digitalocean", "digitalocean"), (b"hetzner", "hetzner"),
    (b"alibaba", "alibaba"), (b"oracle", "oracle"), (b"vmware", "vmware"), (b"innotek", "virtualbox"),
    (b"qemu", "qemu"), (b"xen", "xen"), (b"sakura", "sakura"),
)  # fmt: skip


def machine_record(entries: Sequence[Entry]) -> dict[str, object]:
    """Return the record made of the raw texts; what could not be read is None or not there."""
    texts = {name: data for name, kind, data, _ in entries if kind == FILE}
    dmi = {name[len(_DMI) :]: data for name, data in texts.items() if name.startswith(_DMI)}
    return {
        "dmi": {percent_encode(name): _word(data) for name, data in sorted(dmi.items())},
        "platform": platform_of(dmi),
        "firmware": "uefi" if any(n.startswith(b"sys/firmware/efi/") for n in texts) else "bios or unknown",
        "secure_boot": _switch(texts.get(_EFI + b"SecureBoot" + _GLOBAL)),
        "setup_mode": _switch(texts.get(_EFI + b"SetupMode" + _GLOBAL)),
        "hardware_clock": _word(texts.get(b"sys/class/rtc/rtc0/since_epoch")),
        "uptime": _word(texts.get(b"proc/uptime")),
        "usb": _devices(texts, b"sys/bus/usb/devices/"),
        "pci": _devices(texts, b"sys/bus/pci/devices/"),
        "disks": _devices(texts, b"sys/block/"),
        "tpm": _word(texts.get(b"sys/class/tpm/tpm0/tpm_version_major")),
    }  # fmt: skip


def platform_of(dmi: Mapping[bytes, bytes]) -> str | None:
    """Return which virtual machine or cloud the firmware's texts name."""
    words = b" ".join(
        dmi.get(name, b"")
        for name in (b"sys_vendor", b"product_name", b"bios_vendor", b"board_vendor", b"chassis_asset_tag")
    ).lower()  # fmt: skip
    return next((name for mark, name in _CLOUDS if mark in words), None)


def _switch(data: bytes | None) -> bool | None:
    """Return the value of an EFI variable: four bytes of attributes, then one of value (efivarfs)."""
    if data is None or len(data) != 5:  # noqa: PLR2004
        return None
    return data[4] == 1


def _devices(texts: Mapping[bytes, bytes], prefix: bytes) -> list[dict[str, str | None]]:
    """Return one mapping for each device: its name in sysfs and what its files say."""
    found: dict[bytes, dict[str, str | None]] = {}
    for name, data in texts.items():
        if name.startswith(prefix):
            device, _, field = name[len(prefix) :].partition(b"/")
            one = found.setdefault(device, {"device": percent_encode(device)})
            one[percent_encode(field)] = _word(data)
    return [found[device] for device in sorted(found)]


def _word(data: bytes | None) -> str | None:
    return None if data is None else percent_encode(data.strip())
