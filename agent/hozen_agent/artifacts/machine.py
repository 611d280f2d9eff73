"""The machine itself: firmware's description, buses, clock, secure and measured boot, cloud facts from local files."""

from __future__ import annotations

import os
from errno import ENOENT
from typing import TYPE_CHECKING, Final

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.items import Attempt
from hozen_agent.kernel.machinerecords import machine_record
from hozen_agent.proc.entries import listing_or_error, read_entries
from hozen_agent.proc.sweep import ERROR, FILE
from hozen_agent.reading import files
from hozen_agent.reading.ustar import tar_stream
from hozen_agent.recorder import outcome_of
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.proc.sweep import Entry

_NAME: Final = "machine"
_MOST: Final = 4096
_CAP: Final = 4 << 20
_DMI: Final = (
    b"bios_date bios_release bios_vendor bios_version board_asset_tag board_name board_serial board_vendor "
    b"board_version chassis_asset_tag chassis_serial chassis_type chassis_vendor chassis_version product_family "
    b"product_name product_serial product_sku product_uuid product_version sys_vendor"
).split()
# Each is a value that the kernel keeps; none asks the device, none of a camera or disk is opened.
_DEVICES: Final = (
    (b"sys/bus/usb/devices", b"idVendor idProduct manufacturer product serial bcdDevice busnum devnum authorized "
     b"bDeviceClass bInterfaceClass removable power/connected_duration".split()),
    (b"sys/bus/pci/devices", b"vendor device subsystem_vendor subsystem_device class revision enable".split()),
    (b"sys/block", b"size ro removable device/vendor device/model device/serial device/wwid wwid".split()),
    (b"sys/bus/thunderbolt/devices", b"vendor_name device_name unique_id authorized".split()),
)  # fmt: skip
_SYS: Final = (
    *(b"firmware/efi/efivars/%b-8be4df61-93ca-11d2-aa0d-00e098032b8c" % name for name in (b"SecureBoot", b"SetupMode")),
    b"firmware/efi/fw_platform_size", b"firmware/efi/systab", b"firmware/dmi/tables/smbios_entry_point",
    b"firmware/dmi/tables/DMI", b"firmware/devicetree/base/model", b"firmware/devicetree/base/serial-number",
    *(b"class/rtc/rtc0/" + name for name in b"name date time since_epoch hctosys".split()),
    b"class/tpm/tpm0/tpm_version_major", b"hypervisor/type", b"hypervisor/uuid",
    b"devices/system/cpu/vulnerabilities/meltdown",
)  # fmt: skip
_PROC: Final = b"uptime stat cpuinfo meminfo".split()
_MEASURED: Final = (
    b"sys/kernel/security/tpm0/binary_bios_measurements",
    b"sys/kernel/security/ima/binary_runtime_measurements",
)
_MEASURED_CAP: Final = 16 << 20


@artifact(
    name=_NAME,
    rank=26,
    personal="none",
    en="Firmware's description, buses and devices present now, hardware clock, boot time, secure boot and the log "
    "of the measured boot, cloud facts from local files: proves what the machine said of itself; a virtual machine "
    "says what its host wants, and devices that were unplugged appear only in logs.",
    ja="ファームウェアの記述、現在接続されている機器、ハードウェア時計、起動時刻、セキュアブート及び計測起動の記録、"
    "ローカルのクラウド情報。機器自身の申告を示す。仮想マシンはホストの望む値を示し、取り外された機器はログにのみ残る。",
    reads=(
        "/sys/class/dmi/id", "/sys/firmware", "/sys/bus", "/sys/block", "/sys/class/rtc", "/proc/uptime",
        *definitions.own("HozenMachine"),
    ),
)  # fmt: skip
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the raw texts, one record made of them, the logs of measured boot, and files of the cloud's tools."""
    started = now()
    entries = [
        *_present(read_entries(ctx.root, b"sys/class/dmi/id", _DMI, name=b"")),
        *_present(read_entries(ctx.root, b"sys", _SYS, name=b"", cap=_CAP)),
        *_devices(ctx.root),
        *read_entries(ctx.proc, b"", _PROC, name=b"proc/"),
    ]
    yield Attempt(
        artifact=_NAME,
        source=b"/sys,/proc",
        method="procfs",
        kind="snapshot",
        ext="tar",
        data=tar_stream(entries, seconds=started[0] // 1_000_000_000),
        started=started,
        ended=now(),
        tag="machine-raw",
    )
    yield Attempt(
        artifact=_NAME,
        source=b"/sys,/proc",
        method="derived",
        ext="json",
        data=(dump_line(machine_record(entries)),),
        derived_from=("machine-raw",),
    )
    yield from _measurements(ctx)
    yield from files.capture(ctx, artifact=_NAME, definition="HozenMachine", personal="none")


def _devices(root: int) -> Iterator[Entry]:
    for directory, fields in _DEVICES:
        names, lacking = listing_or_error(root, directory, most=_MOST)
        yield from lacking
        for name in names:
            yield from _present(read_entries(root, directory + b"/" + name, fields, name=b""))


def _present(entries: list[Entry]) -> Iterator[Entry]:
    """Which files there are depends on the machine; one that is not there is no failure."""
    return (entry for entry in entries if entry[1] == FILE or entry[3] != ENOENT)


def _measurements(ctx: Context) -> Iterator[Attempt]:
    """Yield the logs that a TPM's registers vouch for, where there are any."""
    for path in _MEASURED:
        for name, kind, data, number in read_entries(ctx.root, b"", (path,), name=b"", cap=_MEASURED_CAP):  # fmt: skip
            if kind == FILE and data:
                yield Attempt(artifact=_NAME, source=b"/" + name, method="read", kind="file", data=(data,))  # fmt: skip
            elif kind == ERROR and number != ENOENT:
                outcome, reason = outcome_of(OSError(number, os.strerror(number)))
                yield Attempt(
                    artifact=_NAME,
                    source=b"/" + name,
                    method="read",
                    kind="file",
                    outcome=outcome,
                    reason=reason,
                )
