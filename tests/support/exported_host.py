"""Run inside a synthetic host: names, processes and sockets by which tools that read an export have been seen to fail.

    exported_host.py FOLDER [JOURNAL]

FOLDER receives `plants.json` once everything is in place; JOURNAL is a journal file for the host.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = (
    b"Evil.sh", b"evil.sh", b"a|b", b"a%41", b"two\nlines", "日本".encode(), b"=cmd()", "rtl\u202egnp".encode(),
    b"\xffraw", b"back\\slash", b"esc\x1b[31m",
)  # fmt: skip
LOGINS = 5
FAILED = 3
LOG_LINES = 60
_RECORD = struct.Struct("<hxxi32s4s32s256shhiii16s20x")  # utmp(5), x86


def files() -> None:
    """Leave files with every odd name where a capture looks."""
    for name in NAMES:
        Path(os.fsdecode(b"/etc/cron.d/" + name)).write_bytes(b"5 4 * * * root /bin/true\n")
    Path("/etc/hostname").write_text("web01\n", encoding="ascii")
    Path("/etc/cron.d/evil").unlink()
    log = "".join(
        f"Nov 23 05:00:{n:02d} web01 sshd[{n + 1}]: Accepted password for sato from 192.0.2.9 port {4000 + n} ssh2\n"
        for n in range(LOG_LINES)
    )
    Path("/var/log/auth.log").write_text(log, encoding="ascii")
    Path("/home/sato/.bash_history").write_text(
        "ls -la\n=HYPERLINK(1)\n@SUM(A1)\n", encoding="ascii"
    )


def logins() -> None:
    """Leave records of logins, and a sparse lastlog."""
    good = b"".join(_login(b"pts/%d" % n, 1_795_000_000 + n) for n in range(LOGINS))
    bad = b"".join(_login(b"ssh:notty", 1_795_000_100 + n) for n in range(FAILED))
    Path("/var/log/wtmp").write_bytes(good)
    Path("/var/log/btmp").write_bytes(bad)
    with Path("/var/log/lastlog").open("wb") as file:
        file.seek(70_000 * 292)  # large enough to be stored as a sparse file
        file.write(struct.pack("<I32s256s", 1_795_000_004, b"pts/4", b"192.0.2.9"))


def _login(line: bytes, when: int) -> bytes:
    address = socket.inet_aton("192.0.2.9") + bytes(12)
    return _RECORD.pack(7, 77, line, b"ts/0", b"sato", b"192.0.2.9", 0, 0, 77, when, 0, address)


def child(action: Callable[[], object]) -> int:
    """Return the number of a process that did `action` and waits."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kept = action()
            os.write(told, b"x")
            signal.pause()
            del kept
        finally:
            os._exit(9)
    os.close(told)
    os.read(ready, 1)
    os.close(ready)
    return pid


def raw_words() -> int:
    """Return the number of a process with 0xFF in its words: traced, so that no program acts on them."""
    libc = ctypes.CDLL(None, use_errno=True)
    pid = os.fork()
    if pid == 0:
        words = (ctypes.c_char_p * 4)(b"sleep\xff", b"\xe6\x97\xa5=1+1", b"\xe2\x80\xaertl", None)
        env = (ctypes.c_char_p * 2)(b"HOSTILE=\xfe\xff", None)
        libc.ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
        libc.execve(b"/bin/true", words, env)
        os._exit(1)
    os.waitpid(pid, 0)
    return pid


def listening() -> list[socket.socket]:
    """Return a listener with a connection to it, and UNIX sockets with odd names."""
    server = socket.create_server(("127.0.0.1", 6666))
    near = socket.create_connection(("127.0.0.1", 6666))
    far, _ = server.accept()
    six = socket.create_server(("::1", 6667), family=socket.AF_INET6)
    udp = socket.socket(type=socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 5353))
    odd = socket.socket(socket.AF_UNIX)
    odd.bind("\0blank in the name \udcff\n".encode("utf-8", "surrogateescape"))
    odd.listen()
    held = [server, near, far, six, udp, odd]
    with contextlib.suppress(OSError):
        packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88CC))
        held.append(packet)
    return held


def talking() -> None:
    """Send a datagram every few milliseconds, so that a window of packets has some."""
    if os.fork() == 0:
        sender = socket.socket(type=socket.SOCK_DGRAM)
        while True:
            sender.sendto(b"beacon", ("127.0.0.1", 5353))
            time.sleep(0.01)


def main(folder: str, journal: str = "") -> None:
    """Plant everything, say so, and wait to be killed."""
    files()
    logins()
    if journal:
        place = Path("/var/log/journal/0123456789abcdef0123456789abcdef")
        place.mkdir(parents=True)
        shutil.copy(journal, place / "system.journal")
    facts = {"listener": child(listening), "raw": raw_words(), "talker": child(talking)}
    Path(folder, "plants.tmp").write_text(json.dumps(facts), encoding="ascii")
    Path(folder, "plants.tmp").rename(Path(folder, "plants.json"))
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
