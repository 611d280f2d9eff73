"""An emulated computer with a stock Debian kernel and this tree's `hozen`, for what no test may do to its own machine.

The kernel comes from Debian's archive (`apt-get download`), the rest of the guest is one initramfs made of this
interpreter and these packages. QEMU runs it without hardware help, so it needs no privilege and no /dev/kvm.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hozen_agent
import hozen_config
import hozen_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PACKAGES = ("click", "cryptography", "cffi", "yaml", "_yaml", "isal")
_UNNEEDED = {
    "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "distutils",
}  # fmt: skip
_MODULES = ("virtio_pci", "virtio_blk")
_INIT = r"""#!{python}
import ctypes, os, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
for source, place, kind in ((b"proc", b"/proc", b"proc"), (b"sys", b"/sys", b"sysfs"), (b"dev", b"/dev", b"devtmpfs")):
    libc.mount(source, place, kind, 0, None)
libc.mount(b"sec", b"/sys/kernel/security", b"securityfs", 0, None)
console = os.open("/dev/ttyS0", os.O_RDWR)
for fd in (0, 1, 2):
    os.dup2(console, fd)
for module in {modules!r}:
    fd = os.open(module, os.O_RDONLY)
    if libc.syscall(313, fd, b"", 0):
        print("insmod", module, os.strerror(ctypes.get_errno()))
    os.close(fd)
if libc.mount(b"/dev/vda", b"/mnt", b"ext4", 0, None):
    print("mount:", os.strerror(ctypes.get_errno()))
os.environ.update(PATH="/usr/bin:/bin", HOME="/root", PYTHONPATH="/site", LANG="C.UTF-8", PYTHONDONTWRITEBYTECODE="1")
done = subprocess.run([sys.executable, "-c", "from hozen_hashes.front import main; main()", *{arguments!r}])
print("GUEST-ENDED", done.returncode, flush=True)
while True:
    time.sleep(60)
"""


@dataclass(frozen=True)
class Kernel:
    """An unpacked Debian kernel."""

    image: Path
    modules: Path


def kernel(work: Path) -> Kernel:
    """Download and unpack the stock kernel for virtual machines."""
    work.mkdir(parents=True, exist_ok=True)
    shown = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.search(r"linux-image-[0-9][\w.+-]*-cloud-amd64", shown)
    assert found, shown
    if not list(work.glob("*.deb")):
        subprocess.run(["apt-get", "-qq", "download", found[0]], cwd=work, check=True, timeout=120)
    subprocess.run(["dpkg", "-x", str(next(work.glob("*.deb"))), "."], cwd=work, check=True)
    return Kernel(next(work.glob("boot/vmlinuz-*")), next(work.glob("lib/modules/*")))


def initramfs(file: Path, stock: Kernel, arguments: list[str], more: dict[str, bytes]) -> None:
    """Write the guest's root file system; `more` are files by absolute path."""
    modules = _with_needed(stock, _MODULES)
    python = os.path.realpath(sys.executable)
    contents = {}
    for place, source in _tree(python):  # with its time, or the compiled modules would not count
        contents[place] = (source.read_bytes(), int(source.stat().st_mtime))
    contents |= {f"/modules/{path.name}": (path.read_bytes(), 0) for path in modules}
    contents |= {place: (data, 0) for place, data in more.items()}
    names = [f"/modules/{path.name}" for path in modules]
    init = _INIT.format(python=python, modules=names, arguments=arguments)
    contents["/init"] = (init.encode(), 0)
    with gzip.open(file, "wb", compresslevel=1) as packed:
        for piece in _cpio(contents):
            packed.write(piece)


def _with_needed(stock: Kernel, names: Iterable[str]) -> list[Path]:
    """Return the modules and what they need, in the order of loading."""
    text = subprocess.run(
        ["find", str(stock.modules), "-name", "*.ko"], check=True, capture_output=True, text=True
    ).stdout
    by_name = {Path(line).stem.replace("-", "_"): Path(line) for line in text.splitlines()}
    wanted: list[Path] = []

    def add(name: str) -> None:
        path = by_name[name]
        needs = re.search(rb"\0depends=([^\0]*)\0", b"\0" + path.read_bytes())
        for other in (needs[1].decode() if needs else "").split(","):
            if other:
                add(other.replace("-", "_"))
        if path not in wanted:
            wanted.append(path)

    for name in names:
        add(name)
    return wanted


def _tree(python: str) -> Iterator[tuple[str, Path]]:
    yield python, Path(python)
    stdlib = sysconfig.get_path("stdlib")
    yield from _below(Path(stdlib), stdlib)
    packages = Path(sysconfig.get_path("platlib"))
    for name in _PACKAGES:
        if (packages / name).is_dir():
            yield from _below(packages / name, f"/site/{name}")
    for path in (*packages.glob("_cffi_backend*.so"), *packages.glob("hozen-*.dist-info/*.txt")):
        yield f"/site/{path.relative_to(packages)}", path
    for path in packages.glob("hozen-*.dist-info/METADATA"):
        yield f"/site/{path.relative_to(packages)}", path
    for package in (hozen_agent, hozen_config, hozen_hashes):
        home = Path(package.__file__ or "").parent
        yield from _below(home, f"/site/{home.name}")
    yield from _libraries(
        [python, *(str(p) for p in (*packages.glob("*.so"), Path(stdlib)))], stdlib
    )


def _below(directory: Path, place: str) -> Iterator[tuple[str, Path]]:
    for here, directories, files in os.walk(directory):
        directories[:] = [
            d for d in directories if d not in _UNNEEDED and not d.startswith("config-")
        ]
        for name in files:
            path = Path(here, name)
            if not name.endswith(".a"):
                yield f"{place}/{path.relative_to(directory)}", path


def _libraries(programs: list[str], stdlib: str) -> Iterator[tuple[str, Path]]:
    """Yield what the interpreter and its extensions are linked to."""
    site = sysconfig.get_path("platlib")
    loaded = [programs[0], *map(str, Path(stdlib).glob("lib-dynload/*.so"))]
    loaded += [str(p) for name in _PACKAGES for p in Path(site, name).rglob("*.so")]
    text = subprocess.run(["ldd", *loaded], check=False, capture_output=True, text=True).stdout
    for place in sorted(set(re.findall(r"(/[\w./+-]+) \(0x", text))):
        yield place, Path(os.path.realpath(place))


def _cpio(contents: dict[str, tuple[bytes, int]]) -> Iterator[bytes]:
    """Yield a newc archive (cpio(5)) of the files and the directories above them."""
    places = {str(parent) for place in contents for parent in Path(place).parents} - {"/"}
    places |= {"/proc", "/sys", "/dev", "/mnt", "/root", "/tmp", "/run"}
    entries = [(place, 0o040755, b"", 0) for place in sorted(places)]
    entries += [(place, 0o100755, data, when) for place, (data, when) in contents.items()]
    for number, (place, mode, data, when) in enumerate([*entries, ("/TRAILER!!!", 0, b"", 0)], 1):
        name = place[1:].encode() + b"\0"
        fields = (number, mode, 0, 0, 1, when, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        yield head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


class Guest:
    """A running emulator, spoken to over its machine protocol."""

    def __init__(
        self, work: Path, stock: Kernel, ram: Path, disk: Path, *, mib: int = 512, append: str = ""
    ) -> None:
        self._control = work / "qmp"
        self.console = work / "console.txt"
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max,la57=off",
            "-m", str(mib), "-smp", "1", "-display", "none", "-nodefaults",
            "-kernel", str(stock.image), "-initrd", str(ram), "-append", f"console=ttyS0 quiet panic=-1 {append}",
            "-serial", f"file:{self.console}", "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe",
            "-qmp", f"unix:{self._control},server=on,wait=off", "-no-reboot",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE)

    def wait(self, seconds: float) -> int:
        """Return the exit code of the command in the guest."""
        return int(self.said(r"GUEST-ENDED (-?\d+)", seconds)[1])

    def said(self, pattern: str, seconds: float) -> re.Match[str]:
        """Return when the guest has written this to its console."""
        deadline = time.monotonic() + seconds
        text = ""
        while time.monotonic() < deadline and self._process.poll() is None:
            text = self.console.read_text(errors="replace") if self.console.exists() else ""
            found = re.search(pattern, text)
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"the guest did not end: {text[-3000:]}")

    def dump(self, file: Path, size: int) -> None:
        """Stop the guest, have the emulator write its main memory, and let it go on."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(120)
            control.connect(str(self._control))
            stream = control.makefile("rw")
            stream.readline()
            for name, arguments in (
                ("qmp_capabilities", {}),
                ("stop", {}),
                ("pmemsave", {"val": 0, "size": size, "filename": str(file)}),
                ("cont", {}),
            ):
                stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                stream.flush()
                answer: dict[str, Any] = {}
                while "return" not in answer:
                    answer = json.loads(stream.readline())
                    assert "error" not in answer, answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
