"""The first sweep, on processes of its own namespace and on a procfs made of plain files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hozen_agent.proc import sweep as module
from hozen_agent.proc.sweep import ERROR, FILE, LINK, Sweep, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAT = b"%d (%b) %b 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 500 0 0\n"


def plain(directory: Path, pid: int, *, state: bytes = b"S", cmdline: bytes = b"x\0") -> Path:
    """Make what looks like /proc/PID."""
    here = directory / str(pid)
    (here / "fd").mkdir(parents=True)
    (here / "ns").mkdir()
    (here / "stat").write_bytes(STAT % (pid, b"na) R (me", state))
    (here / "status").write_bytes(b"Name:\tx\nUid:\t0\t0\t0\t0\n")
    (here / "cmdline").write_bytes(cmdline)
    (here / "cgroup").write_bytes(b"0::/\n")
    (here / "ns" / "net").symlink_to("net:[7]")
    (here / "exe").symlink_to("/bin/x")
    (here / "fd" / "3").symlink_to("socket:[55]")
    (here / "fd" / "4").symlink_to("/tmp/kept")
    (here / "fd" / "5").symlink_to("/tmp/gone (deleted)")
    return here


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Callable[..., Sweep]]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)

    def run(**options: object) -> Sweep:
        return sweep(fd, utmp=bytes(tmp_path / "utmp"), **options)  # type: ignore[arg-type]

    yield run
    os.close(fd)


def of(found: Sweep, name: bytes) -> list[tuple[str, bytes, int]]:
    return [(kind, data, number) for n, kind, data, number in found.entries if n == name]


def test_a_process_is_read_whole_and_what_is_missing_is_said(
    tmp_path: Path, look: Callable[..., Sweep]
) -> None:
    plain(tmp_path, 40)
    (tmp_path / "utmp").write_bytes(b"u" * 384)
    found = look()
    assert of(found, b"proc/40/cmdline") == [(FILE, b"x\0", 0)]
    assert of(found, b"proc/40/exe") == [(LINK, b"/bin/x", 0)]
    assert of(found, b"proc/40/cwd") == [(ERROR, b"", errno.ENOENT)]
    assert of(found, b"proc/40/fd/3") == [(LINK, b"socket:[55]", 0)]
    assert of(found, b"proc/40/fd/4") == []
    assert of(found, b"proc/40/fd/5") == [(LINK, b"/tmp/gone (deleted)", 0)]
    assert of(found, b"proc/40/net/tcp") == [(ERROR, b"", errno.ENOENT)]
    assert of(found, bytes(tmp_path / "utmp")[1:]) == [(FILE, b"u" * 384, 0)]
    assert found.processes == 1
    assert found.complete
    assert found.started[1] <= found.ended[1]


def test_the_tables_of_a_network_namespace_are_read_once(
    tmp_path: Path, look: Callable[..., Sweep]
) -> None:
    for pid in (1, 2, 3):
        here = plain(tmp_path, pid)
        (here / "net").mkdir()
        (here / "net" / "tcp").write_bytes(b"head\n")
    (tmp_path / "3" / "ns" / "net").unlink()
    (tmp_path / "3" / "ns" / "net").symlink_to("net:[8]")
    names = [name for name, kind, _, _ in look().entries if name.endswith(b"/tcp") and kind == FILE]
    assert len(names) == 2
    assert b"proc/3/net/tcp" in names


def test_every_stat_is_read_before_the_rest_of_any_process(
    tmp_path: Path, look: Callable[..., Sweep]
) -> None:
    for pid in (1, 2, 3):
        plain(tmp_path, pid)
    names = [name for name, _, _, _ in look().entries]
    last_stat = max(i for i, n in enumerate(names) if n.endswith(b"/stat") and n != b"proc/stat")
    assert last_stat < min(i for i, n in enumerate(names) if n.endswith(b"/cmdline"))


def test_the_command_line_behind_an_uninterruptible_task_is_left_with_a_reason(
    tmp_path: Path, look: Callable[..., Sweep]
) -> None:
    plain(tmp_path, 40, state=b"D")
    found = look()
    assert of(found, b"proc/40/cmdline") == [(ERROR, b"", errno.EBUSY)]
    assert not found.complete


def test_a_file_beyond_its_cap_is_kept_to_the_cap_and_says_so(
    tmp_path: Path, look: Callable[..., Sweep]
) -> None:
    plain(tmp_path, 40, cmdline=b"a" * (module.MAX_CMDLINE + 5))
    found = look()
    first, second = of(found, b"proc/40/cmdline")
    assert first == (FILE, b"a" * module.MAX_CMDLINE, 0)
    assert second == (ERROR, b"", errno.EFBIG)
    assert not found.complete


def test_what_does_not_fit_in_memory_is_named(
    tmp_path: Path, look: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(tmp_path, 40)
    monkeypatch.setattr(module, "MAX_TOTAL", 10)
    found = look()
    assert of(found, b"proc/40/stat") == [(ERROR, b"", errno.ENOBUFS)]
    assert not found.complete


def test_after_the_deadline_processes_are_only_named(
    tmp_path: Path, look: Callable[..., Sweep]
) -> None:
    plain(tmp_path, 40)
    found = look(seconds=-1.0)
    assert of(found, b"proc/40") == [(ERROR, b"", errno.ETIMEDOUT)]
    assert found.processes == 0
    assert not found.complete


def test_more_processes_than_the_cap_are_said(
    tmp_path: Path, look: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in range(1, 5):
        plain(tmp_path, pid)
    monkeypatch.setattr(module, "MAX_PROCESSES", 2)
    monkeypatch.setattr(module, "MAX_FDS", 1)
    found = look()
    assert (b"proc", ERROR, b"", errno.EFBIG) in found.entries
    assert not found.complete


def test_more_processes_than_descriptors_are_read_in_batches(
    tmp_path: Path, look: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in range(1, 151):
        plain(tmp_path, pid)
    held: list[int] = []
    table = module._Run._table

    def counted(run: module._Run, pids: list[bytes], into: list[tuple[bytes, int, bool]]) -> None:
        table(run, pids, into)
        held.append(len(into))

    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    monkeypatch.setattr(module._Run, "_table", counted)
    before = len(os.listdir("/dev/fd"))
    found = look()
    assert len(os.listdir("/dev/fd")) == before
    assert held == [64, 64, 22]
    assert len([n for n, k, _, _ in found.entries if n.endswith(b"/cmdline") and k == FILE]) == 150


def test_a_missing_session_file_is_an_error_entry(
    tmp_path: Path, look: Callable[..., Sweep]
) -> None:
    assert of(look(), bytes(tmp_path / "utmp")[1:]) == [(ERROR, b"", errno.ENOENT)]


def test_stage_0_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.path[:0] = [sys.argv[1]]; import hozen_agent.proc.sweep, hozen_agent.reading.ustar; "
        "heavy = {'re', 'typing', 'dataclasses', 'enum', 'json', 'socket', 'ctypes', 'hashlib'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    path = str(Path(module.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_real_processes_with_odd_names_and_sockets_are_in_the_sweep(
    isolated: Callable[..., str],
) -> None:
    out = isolated(
        """
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
ready_r, ready_w = os.pipe()
def odd():
    with open("/proc/self/comm", "wb") as f:
        f.write(b") R (\\xff x")
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
    u = socket.socket(socket.AF_UNIX); u.bind(b"\\0hidden"); u.listen()
    os.write(ready_w, b"x")
    signal.pause()
pid = child(odd)
def other_net():
    os.unshare(0x40000000) if hasattr(os, "unshare") else __import__("ctypes").CDLL(None).unshare(0x40000000)
    os.write(ready_w, b"x")
    signal.pause()
far = child(other_net)
got = b""
while len(got) < 2:
    got += os.read(ready_r, 2)
found = sweep(proc(), utmp=b"/nonexistent")
late = {}
for name, kind, data, number in found.entries:
    late.setdefault(name.decode(), []).append([kind, data.decode("latin-1"), number])
print(json.dumps({"pid": pid, "far": far, "me": os.getpid(), "processes": found.processes,
                  "complete": found.complete, "entries": late}))
"""
    )
    found = json.loads(out)
    entries, pid, far = found["entries"], found["pid"], found["far"]
    assert ") R (\xff x)" in entries[f"proc/{pid}/stat"][0][1]
    sockets = [v for k, v in entries.items() if k.startswith(f"proc/{pid}/fd/")]
    assert len([s for s in sockets if s[0][1].startswith("socket:[")]) == 2
    assert entries["proc/self"][0][1] == str(found["me"])
    assert "0A" in entries[f"proc/{found['me']}/net/tcp"][0][1]
    assert "@hidden" in entries[f"proc/{found['me']}/net/unix"][0][1]
    assert f"proc/{far}/net/tcp" in entries
    assert f"proc/{pid}/net/tcp" not in entries
    assert found["complete"]
    assert found["processes"] == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_what_another_user_may_not_see_is_denied_not_left_out(isolated: Callable[..., str]) -> None:
    out = isolated(
        """
os.setgid(65534); os.setuid(65534)
found = sweep(proc(), utmp=b"/nonexistent")
print(json.dumps([[n.decode(), k, e] for n, k, d, e in found.entries]))
""".replace("os.setgid", "pid = child(signal.pause); time.sleep(0.1); os.setgid")
    )
    entries = json.loads(out)
    denied = [name for name, kind, number in entries if kind == ERROR and number == errno.EACCES]
    assert any(name.endswith("/exe") for name in denied)
    assert any(name.endswith("/fd") for name in denied)
