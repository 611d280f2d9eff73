"""The machine: firmware, buses, secure boot; what it lacks is no failure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.kernel.machinerecords import machine_record, platform_of
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hozen_agent.context import Context

Shown = Any
VARIABLE = "-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def plant(root: Path) -> None:
    for name, data in {
        "sys/class/dmi/id/sys_vendor": b"Amazon EC2\n",
        "sys/class/dmi/id/product_serial": b"ec2-1\n",
        f"sys/firmware/efi/efivars/SecureBoot{VARIABLE}": b"\x06\0\0\0\x01",
        "sys/firmware/efi/fw_platform_size": b"64\n",
        "sys/bus/usb/devices/1-1/idVendor": b"0781\n",
        "sys/bus/usb/devices/1-1/serial": b"4C530001\n",
        "sys/bus/pci/devices/0000:00:01.0/vendor": b"0x8086\n",
        "sys/class/rtc/rtc0/since_epoch": b"1795000000\n",
        "sys/kernel/security/tpm0/binary_bios_measurements": b"\0" * 64,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def test_a_planted_machine_is_described(tmp_path: Path, context_of: Callable[..., Context]) -> None:
    from hozen_agent.artifacts import machine

    plant(tmp_path)
    raw, parsed, measured = machine.collect(context_of(tmp_path, tmp_path))
    (line,) = parsed.data or ()
    record = json.loads(bytes(line))
    assert record["platform"] == "aws"
    assert (record["secure_boot"], record["setup_mode"], record["firmware"]) == (True, None, "uefi")
    assert record["usb"] == [{"device": "1-1", "idVendor": "0781", "serial": "4C530001"}]
    assert record["pci"][0]["vendor"] == "0x8086"
    assert record["hardware_clock"] == "1795000000"
    assert measured.source == b"/sys/kernel/security/tpm0/binary_bios_measurements"
    assert raw.tag == "machine-raw"


def test_this_machine_is_described_whatever_it_has(
    collected: Callable[..., list[Shown]],
) -> None:
    _, parsed, *_ = collected(
        "from hozen_agent.artifacts import machine\nshow(machine.collect(context()))"
    )
    (record,) = parsed.records()
    assert record["uptime"]
    assert isinstance(record["pci"], list)


def test_platforms_are_told_by_the_words_of_the_firmware() -> None:
    assert platform_of({b"sys_vendor": b"QEMU", b"product_name": b"Standard PC"}) == "qemu"
    assert platform_of({b"sys_vendor": b"Google", b"product_name": b"Google Compute Engine"}) == "gcp"  # fmt: skip
    assert platform_of({b"sys_vendor": b"Dell Inc."}) is None


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_any_bytes_give_a_record_that_can_be_written(data: bytes, name: bytes) -> None:
    names = (
        b"sys/class/dmi/id/" + name, b"sys/bus/usb/devices/" + name, b"sys/class/rtc/rtc0/since_epoch",
        f"sys/firmware/efi/efivars/SecureBoot{VARIABLE}".encode(),
    )  # fmt: skip
    dump_line(machine_record([(one, "file", data, 0) for one in names]))
