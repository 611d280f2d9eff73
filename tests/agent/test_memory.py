"""Main memory: why it cannot be read, and (slow, in an emulated computer) that the image is what the emulator saw."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

import guest
import pytest

from hozen_agent.artifacts.memory import collect
from hozen_agent.items import AttemptFailed, Outcome
from hozen_agent.kernel import kcore
from hozen_hashes.age import AgeReader
from hozen_hashes.agekeys import new_identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hozen_agent.context import Context

_MIB = 512
_PROFILE = b"""name: ram
version: 1
description: {en: Main memory only., ja: x}
artifacts: [memory]
limits: {item: 64GiB}
"""


def why(
    proc: Path, root: Path | None = None, *, capabilities: str = "1ffffffffff"
) -> tuple[Outcome, str]:
    at = [os.open(place, os.O_RDONLY | os.O_DIRECTORY) for place in (proc, root or proc)]
    try:
        kcore.look(at[0], at[1], capabilities)
    except AttemptFailed as failed:
        return failed.outcome, str(failed)
    finally:
        for fd in at:
            os.close(fd)
    raise AssertionError("it could be read")


def test_a_kernel_without_kcore_is_denied_by_name(tmp_path: Path) -> None:
    outcome, reason = why(tmp_path)
    assert outcome is Outcome.DENIED
    assert "CONFIG_PROC_KCORE" in reason


def test_an_empty_kcore_is_one_that_something_covers(tmp_path: Path) -> None:
    (tmp_path / "kcore").touch()
    assert why(tmp_path) == (
        Outcome.DENIED,
        "/proc/kcore is empty: something, such as a container, covers it",
    )


def test_something_else_in_place_of_kcore_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "kcore").write_bytes(b"x" * 4096)
    assert why(tmp_path)[0] is Outcome.FAILED


def test_an_iomem_of_zeros_is_denied(tmp_path: Path) -> None:
    head = struct.pack(
        "<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 4, 62, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0
    )
    (tmp_path / "kcore").write_bytes(head)
    (tmp_path / "iomem").write_bytes(b"00000000-00000000 : System RAM\n")
    outcome, reason = why(tmp_path)
    assert outcome is Outcome.DENIED
    assert "CAP_SYS_ADMIN" in reason


@pytest.mark.parametrize(
    ("lockdown", "capabilities", "words"),
    [
        (
            "none integrity [confidentiality]\n",
            "1ffffffffff",
            "locked down for confidentiality (EPERM)",
        ),
        ("[none] integrity confidentiality\n", "0", "CAP_SYS_RAWIO is missing (EPERM)"),
        ("", "1ffffffffff", "the kernel or a security module forbids it (EPERM)"),
    ],
)
def test_the_refusal_of_the_kernel_is_explained(
    lockdown: str, capabilities: str, words: str
) -> None:
    refused = kcore._refused(
        PermissionError(1, "Operation not permitted"), lockdown, int(capabilities, 16)
    )
    assert refused.outcome is Outcome.DENIED
    assert words in str(refused)


def test_the_facts_are_taken_even_where_memory_is_not(
    tmp_path: Path, context_of: Callable[..., Context]
) -> None:
    (tmp_path / "version").write_text("Linux version 6.1\n")
    image, facts = collect(context_of(tmp_path))
    assert (image.outcome, image.data) == (Outcome.DENIED, None)
    assert b"Linux version 6.1" in b"".join(bytes(part) for part in facts.data or ())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.needs("qemu-system-x86_64", "mkfs.ext4", "debugfs", "apt-get")
def test_the_image_is_what_the_emulator_saw(tmp_path: Path) -> None:
    identity = new_identity()
    bundle, truth = _captured(tmp_path, str(identity.recipient))
    clear = io.BytesIO()
    with bundle.open("rb") as file:
        reader = AgeReader(file.read, [identity])
        while part := reader.read(1 << 20):
            clear.write(part)
    with zipfile.ZipFile(clear) as packed:
        name = next(n for n in packed.namelist() if n.endswith(".lime"))
        with packed.open(name) as image, truth.open("rb") as memory:
            equal, pages = _compared(image, memory)
    assert pages * 4096 > 0.99 * _MIB * (1 << 20)
    assert equal / pages >= 0.95, f"{equal} of {pages} pages"


def _captured(work: Path, recipient: str) -> tuple[Path, Path]:
    """Capture in the guest; return the bundle, and the emulator's dump at the moment when the image was complete."""
    stock = guest.kernel(work / "kernel")
    disk, ram, truth = work / "disk", work / "initramfs.gz", work / "truth"
    with disk.open("wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["mkfs.ext4", "-qF", str(disk)], check=True)
    options = {
        "case": "C-1", "operator": "Sato", "organisation": "Example KK", "contact": "x", "authority": "CISO",
        "purpose": "test", "owner": "Example KK", "reason": "test", "profile": "/root/ram.yaml", "out": "/mnt",
        "recipient": recipient,
    }  # fmt: skip
    arguments = [
        "capture",
        *(word for name, value in options.items() for word in (f"--{name}", value)),
    ]
    guest.initramfs(ram, stock, arguments, {"/root/ram.yaml": _PROFILE})
    running = guest.Guest(work, stock, ram, disk, mib=_MIB)
    try:
        running.said("memory: 1 items", 400)
        running.dump(truth, _MIB << 20)
        assert running.wait(300) == 0
    finally:
        running.close()
    subprocess.run(["e2fsck", "-fy", str(disk)], check=False, capture_output=True)
    (work / "out").mkdir()
    subprocess.run(
        ["debugfs", "-R", f"rdump / {work / 'out'}", str(disk)], check=True, capture_output=True
    )
    return next((work / "out").glob("*.zip.age")), truth


def _compared(image: Any, memory: Any) -> tuple[int, int]:
    """Return how many pages of the LiME file equal the dump's, and how many there are."""
    equal = pages = 0
    while head := image.read(32):
        magic, version, first, last, _ = struct.unpack("<IIQQQ", head)
        assert (magic, version) == (0x4C694D45, 1)
        memory.seek(first)
        for at in range(first, last + 1, 4096):
            size = min(4096, last + 1 - at)
            equal += image.read(size) == memory.read(size)
            pages += 1
    return equal, pages
