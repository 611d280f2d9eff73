"""Run inside a synthetic host: leaves the traces an intruder would leave, keeps them alive, says where they are.

    planted_host.py FOLDER LIBRARY

FOLDER receives `plants.json` (what was planted, by name) once everything is in place; LIBRARY is the hiding library.
What this machine does not allow is in `plants.json` with the reason, under `not_planted`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = b"".join(
    b"Nov 23 05:01:%02d web01 sshd: the line that was deleted %d\n" % (n % 60, n)
    for n in range(900)
)
CONTAINER = "3f4e" * 16
PORT = 4444
CAPABILITY = struct.pack(
    "<IIIII", 0x02000001, 1 << 21, 0, 0, 0
)  # cap_sys_admin, effective (linux/capability.h)
_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS, _FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10


class Planter:
    """Plants one thing after another; `facts` says what a bundle must hold."""

    def __init__(self, folder: Path, library: Path) -> None:
        """Work in `/opt`, which is the synthetic host's own; `folder` is the test's."""
        self.folder = folder
        self.library = library
        self.facts: dict[str, Any] = {"not_planted": {}}
        self.place = Path("/opt/evil")
        self.place.mkdir()

    def child(self, action: Callable[[], object]) -> int:
        """Return the number of a process that does `action`, and then waits to be killed."""
        pid = os.fork()
        if pid == 0:
            try:
                action()
                signal.pause()
            finally:
                os._exit(9)
        return pid

    def program(self, name: str) -> Path:
        """Return a program of our own under an intruder's name."""
        path = self.place / name
        shutil.copy("/bin/sleep", path)
        return path

    def sleeping(self, path: Path, **env: str) -> int:
        """Return a process that runs `path` and sleeps."""
        return self.child(lambda: os.execve(path, [path.name, "3600"], env))

    # -- what is planted ------------------------------------------------------------------------------------------

    def deleted_executable(self) -> None:
        """A program that was deleted while it runs."""
        path = self.program("kworkerd")
        pid = self.sleeping(path)
        _when(lambda: os.readlink(f"/proc/{pid}/exe") == str(path))
        path.unlink()
        self.facts["deleted_executable"] = {"pid": pid}

    def memory_executable(self) -> None:
        """A program that never was a file."""

        def run() -> None:
            fd = os.memfd_create("kdmflush")
            os.write(fd, Path("/bin/sleep").read_bytes())
            os.execve(fd, ["kdmflush", "3600"], {})

        pid = self.child(run)
        _when(lambda: os.readlink(f"/proc/{pid}/exe").startswith("/memfd:"))
        self.facts["memory_executable"] = {"pid": pid}

    def deleted_log(self) -> None:
        """A log that was deleted while a process still writes it."""
        path = self.place / "auth.log.1"
        path.write_bytes(LOG)
        file = path.open("ab")
        pid = self.child(lambda: None)
        file.close()
        path.unlink()
        self.facts["deleted_log"] = {"pid": pid}

    def covered_process(self) -> None:
        """A process over whose directory in /proc something is mounted."""
        pid = self.sleeping(self.program("covered"))
        (self.place / "empty").mkdir()
        _run("mount", "--bind", str(self.place / "empty"), f"/proc/{pid}")
        self.facts["covered_process"] = {"pid": pid}

    def listener(self) -> None:
        """A listening port in a network namespace of its own."""

        def listen() -> None:
            import ctypes

            assert ctypes.CDLL(None, use_errno=True).unshare(0x40000000) == 0  # CLONE_NEWNET
            server = socket.socket()
            server.bind(("0.0.0.0", PORT))
            server.listen()
            (self.folder / "listening").touch()
            signal.pause()

        pid = self.child(listen)
        _when((self.folder / "listening").exists)
        self.facts["listener"] = {"pid": pid, "netns": os.readlink(f"/proc/{pid}/ns/net")[5:-1]}

    def container(self) -> None:
        """A process in a control group that is named like a container's."""
        mount = self.folder / "cgroup"
        mount.mkdir()
        done = subprocess.run(
            ["mount", "-t", "cgroup2", "none", mount], capture_output=True, text=True, check=False
        )
        if done.returncode:
            self.facts["not_planted"]["container"] = done.stderr
            return
        own = next(
            x
            for x in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
            if x.startswith("0::")
        )
        group = mount / own[3:].strip("/") / f"hozen-test-docker-{CONTAINER}.scope"
        try:
            group.mkdir()
            pid = self.sleeping(self.program("contained"))
            (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
        except OSError as error:
            self.facts["not_planted"]["container"] = str(error)
            with contextlib.suppress(OSError):
                group.rmdir()
            return
        self.facts["container"] = {"pid": pid, "id": CONTAINER, "group": str(group)}

    def special_files(self) -> None:
        """A file that runs as root, one with a capability, one that nobody can change."""
        place = Path("/opt/tools")  # no name that the library hides
        place.mkdir()
        suid, capable, fixed = place / "suid", place / "capable", place / "fixed"
        for path in (suid, capable):
            shutil.copy("/bin/sleep", path)
        suid.chmod(0o4755)
        os.setxattr(capable, "security.capability", CAPABILITY)
        fixed.write_text("cannot be removed\n", encoding="ascii")
        self.facts["suid"], self.facts["capable"] = str(suid), str(capable)
        fd = os.open(fixed, os.O_RDONLY)
        try:
            flags = bytearray(8)
            fcntl.ioctl(fd, _FS_IOC_GETFLAGS, flags)
            (now,) = struct.unpack_from("=I", flags)
            fcntl.ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("=Q", now | _FS_IMMUTABLE_FL))
            self.facts["fixed"] = str(fixed)
        except OSError as error:
            self.facts["not_planted"]["fixed"] = str(error)
        finally:
            os.close(fd)

    def preloaded(self) -> None:
        """The last: a library for every new program that hides a process, files and itself."""
        shutil.copy(self.library, self.place / "libhide.so")
        pid = self.sleeping(self.program("hidden"), LD_PRELOAD="/opt/evil/other.so")
        time.sleep(0.05)
        Path("/etc/ld.so.preload").write_text("/opt/evil/libhide.so\n", encoding="ascii")
        self.facts["preloaded"] = {"pid": pid, "library": "/opt/evil/libhide.so"}


def _when(there: Callable[[], bool]) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError):
            if there():
                return
        time.sleep(0.01)
    raise SystemExit("a plant never came up")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def main(folder: str, library: str) -> None:
    planter = Planter(Path(folder), Path(library))
    planter.deleted_executable()
    planter.memory_executable()
    planter.deleted_log()
    planter.covered_process()
    planter.listener()
    planter.container()
    planter.special_files()
    planter.preloaded()
    container = planter.facts.get("container", {"pid": "", "group": ""})
    words = f"hidden={planter.facts['preloaded']['pid']} contained={container['pid']} group={container['group']}\n"
    (planter.folder / "plants.sh").write_text(words, encoding="ascii")
    (planter.folder / "plants.tmp").write_text(json.dumps(planter.facts), encoding="ascii")
    (planter.folder / "plants.tmp").rename(planter.folder / "plants.json")
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
