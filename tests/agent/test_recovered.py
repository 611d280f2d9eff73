"""Deleted files that real processes hold: whole, once each, with their process, and nothing that must not be opened."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hozen_agent.proc import leadscan
from hozen_agent.proc.leads import MAX_HOLDERS, Holder, Leads

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any as Shown  # conftest.Shown: tests are no package

SUPPORT = Path(__file__).resolve().parents[1] / "support"
SLEEP = Path("/bin/sleep").read_bytes()
START = """
import shutil, threading
def held(path, data=b"", then=lambda fd: None):
    def action():
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.write(fd, data); then(fd)
        os.unlink(path)
        open("ready-" + os.path.basename(path), "w").close()
        signal.pause()
    pid = child(action); wait_for("ready-" + os.path.basename(path)); return pid
"""
DEEP = """
from hozen_agent.artifacts import processes, recovered
def both(ctx):
    for attempt in processes.collect(ctx):
        for piece in attempt.data or ():
            pass
    show(recovered.collect(ctx))
"""
BOTH = DEEP + "both(context())\n"
ALONE = "from hozen_agent.artifacts import recovered\nshow(recovered.collect(context()))\n"


def by_target(attempts: list[Shown]) -> dict[str, Shown]:
    return {os.path.basename(a.target).split(" (")[0]: a for a in attempts if a.target}


@pytest.mark.parametrize("collect", [BOTH, ALONE])
def test_deleted_and_memory_only_programs_and_open_logs_come_back_whole(
    collected: Callable[..., list[Shown]], collect: str
) -> None:
    attempts = collected(
        START + "log = held('evil.log', b'line\\n' * 8800)\n"
        "def memory():\n"
        "    fd = os.memfd_create('kdmflush'); os.write(fd, open('/bin/sleep', 'rb').read())\n"
        "    os.execve(fd, ['mem', '60'], {})\n"
        "shutil.copy('/bin/sleep', 'gone'); shutil.copy('/bin/sleep', 'kept (deleted)')\n"
        "gone = child(lambda: os.execv('./gone', ['gone', '60']))\n"
        "kept = child(lambda: os.execv('./kept (deleted)', ['kept', '60']))\n"
        "mem = child(memory); time.sleep(0.3); os.unlink('gone')\n" + collect
    )
    found = by_target(attempts)
    assert set(found) == {"evil.log", "gone", "memfd:kdmflush"}
    assert found["evil.log"].data == b"line\n" * 8800
    assert found["gone"].data == found["memfd:kdmflush"].data == SLEEP
    assert found["gone"].source == f"/proc/{found['gone'].process[0]}/exe"
    assert found["evil.log"].source.endswith("/fd/" + found["evil.log"].source.rsplit("/", 1)[1])
    lines = {line["source"]: line for line in attempts[-1].records()}
    assert len(lines) == 3
    line = lines[found["evil.log"].source]
    assert (line["what"], line["size"], line["withheld"]) == ("open_file", "44000", None)
    holder = next(h for h in line["holders"] if h["pid"] == found["evil.log"].process[0])
    assert holder["start_ticks"] == str(found["evil.log"].process[1])
    assert attempts[-1].derived_from == [a.tag for a in attempts[:-1]]


def test_a_file_that_many_processes_hold_is_read_once(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        START + "fd = os.open('shared', os.O_RDWR | os.O_CREAT); os.write(fd, b'x' * 100)\n"
        "os.unlink('shared'); twice = os.dup(fd)\n"
        "pids = [child(signal.pause) for _ in range(3)]\n" + BOTH
    )
    assert [a.target.rsplit("/", 1)[-1] for a in attempts if a.target] == ["shared (deleted)"]
    (line,) = attempts[-1].records()
    assert len(line["holders"]) == 8


def test_a_deleted_library_comes_from_the_memory_map(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        START + "import mmap\n"
        "def action():\n"
        "    fd = os.open('lib.so', os.O_RDWR | os.O_CREAT); os.write(fd, b'L' * 9000)\n"
        "    m = mmap.mmap(fd, 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE)\n"
        "    os.close(fd); os.unlink('lib.so')\n"
        "    shared = mmap.mmap(-1, 4096)\n"  # /dev/zero (deleted): memory, no file
        "    open('ready', 'w').close(); signal.pause()\n"
        "child(action); wait_for('ready')\n" + BOTH
    )
    found = by_target(attempts)
    # mmap keeps a duplicate of the descriptor, so that the file is found on both ways and read once
    assert set(found) == {"lib.so"}
    assert found["lib.so"].data == b"L" * 9000
    assert any("map_files/" in h["through"] for h in attempts[-1].records()[0]["holders"])


def test_special_files_are_never_opened(collected: Callable[..., list[Shown]]) -> None:
    attempts = collected(
        START + "os.mkfifo('pipe'); fd = os.open('pipe', os.O_RDWR); os.unlink('pipe')\n"
        "s = socket.socket(socket.AF_UNIX); s.bind('sock'); os.unlink('sock')\n"
        "os.mkdir('dir'); d = os.open('dir', os.O_RDONLY); os.rmdir('dir')\n" + BOTH
    )
    assert [a for a in attempts if a.target] == []


def test_a_huge_sparse_file_costs_its_data_and_a_limit_names_its_ranges(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        START + "held('sparse', b'begin', lambda fd: os.pwrite(fd, b'end', 1 << 40))\n"
        "held('long.log', b'', lambda fd: os.write(fd, b'old' * 100000 + b'new' * 100000))\n"
        "held('text', b'short')\n" + DEEP + "ctx = context()\n"
        "ctx.room = lambda artifact: 300000\n"
        "both(ctx)\n"
    )
    found = by_target(attempts)
    sparse, log = found["sparse"], found["long.log"]
    assert sparse.holes
    assert len(sparse.data or b"") < 100_000
    with tarfile.open(fileobj=io.BytesIO(sparse.data or b"")) as tar:
        assert [member.size for member in tar] == [(1 << 40) + 3]
    assert log.data == b"new" * 100000
    assert log.failure == ["truncated", "bytes 0 to 300000 of 600000 are left out by the limit"]
    first = next(a.target for a in attempts if a.target)
    assert first.endswith("text (deleted)")  # small ones first


def test_secrets_stay_out_by_name_and_by_content(collected: Callable[..., list[Shown]]) -> None:
    attempts = collected(
        START + "os.makedirs('.ssh')\n"
        "held('.ssh/id_rsa', b'PLANT47'); held('shadow', b'root:PLANT47:1:::::')\n"
        "held('notes', b'-----BEGIN OPENSSH PRIVATE KEY-----\\nPLANT47')\n"
        "held('passwd', b'root:$6$abc$PLANT47PLANT47:0:0::/:/bin/sh\\n')\n" + BOTH
    )
    found = by_target(attempts)
    assert b"PLANT47" not in b"".join(a.data or b"" for a in attempts)
    assert (found["id_rsa"].withheld, found["shadow"].withheld) == ("private_key", "password_hash")
    assert found["notes"].withheld == "private_key"
    assert found["id_rsa"].outcome == "captured"
    assert found["id_rsa"].kind == "metadata"
    assert b"root:[set]:0:0" in (found["passwd"].data or b"")


def test_a_process_that_is_gone_or_another_is_missing(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        START + DEEP + "pid = held('evil.log', b'x' * 10)\n"
        "ctx = context()\n"
        "for attempt in processes.collect(ctx): pass\n"
        "os.kill(pid, 9); os.waitpid(pid, 0)\n"
        "open('/proc/sys/kernel/ns_last_pid', 'w').write(str(pid - 1))\n"
        "assert child(lambda: (os.open('/dev/null', 0), signal.pause())) == pid\n"  # the same number
        "show(recovered.collect(ctx))\n"
    )
    (only,) = [a for a in attempts if a.target]
    assert only.outcome == "missing"
    assert only.data is None
    assert "another" in only.reason


LATE = (
    START
    + f"""
os.mkdir("late")
fuse = subprocess.Popen([sys.executable, {str(SUPPORT / "late_fuse.py")!r}, "late", "ready", "/bin/sleep"])
wait_for("ready"); time.sleep(0.1)
with open("ready") as f: assert f.read() == "mounted", "no FUSE"
runs = child(lambda: os.execv("late/program", ["program", "60"])); time.sleep(0.3)
def hang():
    fuse.send_signal(signal.SIGUSR1); time.sleep(0.1)
def timed(what):
    begun = time.monotonic(); what(); took = time.monotonic() - begun
    assert took < 12, took
"""
)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_deleted_program_of_a_hung_remote_mount_is_named_and_not_opened(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        LATE
        + "os.unlink('late/program'); held('fine', b'fine'); hang()\n"
        + DEEP
        + "ctx = context()\n"
        "timed(lambda: both(ctx)); assert ctx.files.notes == [], ctx.files.notes\n"
        "os.kill(runs, 9); fuse.kill()\n"
    )
    found = by_target(attempts)
    assert found["fine"].data == b"fine"
    assert found["program"].outcome == "failed"
    assert "another machine" in found["program"].reason


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_local_disk_that_hangs_costs_one_worker_and_its_own_files(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        LATE
        + "held('fine', b'fine'); os.unlink('late/program'); hang()\n"
        + DEEP
        + "ctx = context()\n"
        # As of a local file system: its mount is taken for one that cannot wait for another machine.
        "with open('/proc/self/mountinfo') as f:\n"
        "    dead = next(int(line.split()[0]) for line in f if ' fuse ' in line)\n"
        "class Local(set):\n"
        "    def __contains__(self, one): return one == dead or set.__contains__(self, one)\n"
        "class Mounts(type(ctx.leads.local)):\n"
        "    __slots__ = ()\n"
        "    def learn(self, *a): super().learn(*a); self.ids = Local(self.ids)\n"
        "ctx.leads.local = Mounts()\n"
        "timed(lambda: both(ctx)); assert len(ctx.files.notes) == 1, ctx.files.notes\n"
        "os.kill(runs, 9); fuse.kill()\n"
    )
    found = by_target(attempts)
    assert found["fine"].data == b"fine"
    # The hash was asked for first and hung; the device is not asked again.
    assert found["program"].outcome == "timed_out"
    assert found["program"].reason == "its device did not answer before"


def test_leads_are_bounded_and_the_rest_is_counted() -> None:
    leads = Leads()
    for number in range(20_000):
        leads.descriptor(Holder(1, 1, b"fd/%d" % number), b"/x (deleted)", b"")
    for pid in range(100):
        leads.program(Holder(pid, 1, b"exe"), b"/y (deleted)", (1, 1))
    assert len(list(leads)) == 16_384
    assert leads.left_out == 20_000 - 16_384 + 100
    shared = Leads()
    for pid in range(100):
        shared.program(Holder(pid, 1, b"exe"), b"/y (deleted)", (1, 1))
    (lead,) = shared
    assert (len(lead.holders), lead.more) == (MAX_HOLDERS, 100 - MAX_HOLDERS)


def test_what_only_looks_like_a_deleted_file_is_no_lead() -> None:
    leads = Leads()
    for target in (b"/SYSV00000000 (deleted)", b"/dev/zero (deleted)", b"/[aio] (deleted)", b"/x"):
        leads.descriptor(Holder(1, 1, b"fd/1"), target, b"")
    leads.mapped(
        1, 1, b"00400000-00401000 r-xp 00000000 08:01 0 /x (deleted)\nnonsense (deleted)\n"
    )
    assert list(leads) == []
    leads.mapped(1, 1, b"00400000-00401000 r-xp 00000000 08:01 7     /a\\012b (deleted)\n")
    (lead,) = leads
    assert (lead.target, lead.holders[0].name) == (b"/a\nb (deleted)", b"map_files/400000-401000")


def test_what_a_scan_passes_over_is_told(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        START + "held('a.log', b'x')\nfrom hozen_agent.proc import leadscan\n"
        "leadscan.MAX_FDS, leadscan._MAPS = 2, 100\n" + ALONE
    )
    reasons = [a.reason for a in attempts if a.outcome == "truncated"]
    assert any("open files beyond the first 2" in reason for reason in reasons), reasons
    assert any("the memory map beyond" in reason for reason in reasons), reasons


def test_a_program_that_cannot_be_read_costs_no_open_file(tmp_path: Path) -> None:
    place = tmp_path / "7"
    for name in ("ns", "fd", "fdinfo"):
        (place / name).mkdir(parents=True)
    (place / "stat").write_text(f"7 (x) S 1 {'1 ' * 40}\n", encoding="ascii")
    (place / "ns/mnt").symlink_to("mnt:[1]")
    (place / "fd/3").symlink_to("/var/log/gone (deleted)")
    (place / "fdinfo/3").write_text("pos:\t0\nmnt_id:\t9\nino:\t4\n", encoding="ascii")
    (place / "exe").touch()  # readlink(2) gives EINVAL
    proc, leads = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY), Leads()
    try:
        leadscan.scan(proc, leads, tick=lambda: None)
    finally:
        os.close(proc)
    assert [lead.target for lead in leads] == [b"/var/log/gone (deleted)"]
    assert leads.not_seen == {"their program (Invalid argument)": (1, [7])}
