"""The process family on planted processes: secrets leave, evidence stays, nothing is dropped."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import tarfile
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.artifacts import processes
from hozen_agent.items import Attempt, Outcome
from hozen_agent.proc import procdir, procparse
from hozen_agent.proc.deep import DeepPass, Seen
from hozen_agent.proc.exehash import ExeHashes
from hozen_agent.proc.procrecords import process_records
from hozen_agent.proc.sweep import Sweep
from hozen_agent.redaction.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import Any as Shown  # conftest.Shown: tests are no package

    from hozen_agent.context import Context, FileRequest


PLANT = "Zq7pl4ntXk93vWm"
COLLECT = "from hozen_agent.artifacts.processes import collect\nshow(collect(ctx))\n"
PLANTED = f"""
import shutil
def secret():
    os.execve(sys.executable, ["x", "-I", "-S", "-c",
        "import sys,time;open(sys.argv[1],'w');time.sleep(60)", "ready1", "--password={PLANT}",
        "https://u:{PLANT}@h/"], {{"DB_PASSWORD": "{PLANT}", "LD_PRELOAD": "", "HOME": "/h", "OTHER": "{PLANT}"}})
def named():
    with open("/proc/self/comm", "w") as f:
        f.write("pwd={PLANT}")
    open("ready2", "w")
    signal.pause()
def deleted():
    shutil.copy("/bin/sleep", "gone")
    os.execv("./gone", ["gone", "60"])
def really_so_named():
    shutil.copy("/bin/sleep", "kept (deleted)")
    os.execv("./kept (deleted)", ["kept", "60"])
def in_memory():
    fd = os.memfd_create("kdmflush")
    with open("/bin/sleep", "rb") as f:
        os.write(fd, f.read())
    os.execve(fd, ["mem", "60"], {{}})
pids = [child(action) for action in (secret, named, deleted, really_so_named, in_memory)]
wait_for("ready1"); wait_for("ready2")
time.sleep(0.3)
os.unlink("gone")
"""


def records(attempts: list[Shown]) -> dict[int, dict[str, Any]]:
    return {record["pid"]: record for record in attempts[-1].records()}


def everything(attempts: list[Shown]) -> bytes:
    return b"\n".join(attempt.data or b"" for attempt in attempts)


def forms(plant: str) -> list[bytes]:
    found = {plant.encode(), quote(plant).encode(), plant.encode().hex().encode()}
    for shift in range(3):
        coded = base64.b64encode(b"_" * shift + plant.encode())
        found.add(coded[4 if shift else 0 : -4])
    return sorted(found)


def test_planted_secrets_leave_and_are_found_with_redaction_off(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(PLANTED + "ctx = context()\n" + COLLECT)
    for form in forms(PLANT):
        assert form not in everything(attempts)
    assert all(attempt.outcome is None for attempt in attempts)
    assert attempts[0].tag == "sweep"
    assert attempts[0].redacted["password"] >= 2
    assert attempts[1].redacted["env"] >= 2
    assert attempts[-1].derived_from == [attempt.tag for attempt in attempts[:-1]]
    for attempt in attempts[:-1]:  # the form for the recipient alone has them
        assert PLANT.encode() in (attempt.unredacted or b"")


def test_redaction_off_shows_the_plants(collected: Callable[..., list[Shown]]) -> None:
    attempts = collected(PLANTED + "ctx = context(redact=False)\n" + COLLECT)
    for attempt in attempts[:-1]:
        assert PLANT.encode() in (attempt.data or b"")
        assert attempt.redacted == {}


def test_programs_are_hashed_and_deleted_ones_known_by_their_links(
    collected: Callable[..., list[Shown]],
) -> None:
    program = PLANTED + "ctx = context()\n" + COLLECT
    found = [r for r in records(collected(program)).values() if r["exe"]]
    by_exe = {r["exe"].rsplit("/", 1)[-1]: r for r in found}
    gone, kept = by_exe["gone%20(deleted)"], by_exe["kept%20(deleted)"]
    memory = by_exe["memfd:kdmflush%20(deleted)"]
    assert gone["exe_deleted"]
    assert not kept["exe_deleted"]
    assert memory["exe_deleted"]
    assert gone["exe_sha256"] == kept["exe_sha256"] == memory["exe_sha256"] is not None
    assert gone["cmdline"] == ["gone", "60"]
    assert gone["kernel_thread"] is False
    assert gone["in_sweep"]
    assert gone["in_deep_pass"]
    assert gone["namespaces"]["net"].startswith("net:[")
    assert gone["uid"] == 0
    assert gone["started"].endswith("Z")


def test_a_process_that_ends_between_the_passes_stays_recorded(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        "pid = child(signal.pause)\nlater = []\n"
        "ctx = context()\nos.kill(pid, 9); os.waitpid(pid, 0)\nlater = child(signal.pause)\n"
        "import hozen_agent.artifacts.processes as p\nshow(p.collect(ctx))\n"
        "print(json.dumps(dict(artifact='x', source=str(pid), kind=str(later), ext='', tag='', outcome=None, reason='',"
        "redacted={}, derived_from=[], data=None, unredacted=None)))"
    )
    ended, later = int(attempts[-1].source), int(attempts[-1].kind)
    found = records(attempts[:-1])
    assert found[ended]["in_sweep"]
    assert not found[ended]["in_deep_pass"]
    assert found[ended]["gone"] == "it ended between the passes"
    assert found[ended]["name"]
    assert not found[later]["in_sweep"]
    assert found[later]["in_deep_pass"]


def test_the_deep_tar_holds_what_vendor_tools_read(collected: Callable[..., list[Shown]]) -> None:
    attempts = collected(
        "import threading\nkeep = open('held', 'w+'); os.unlink('held')\n"
        "t = threading.Thread(target=time.sleep, args=(3,), daemon=True); t.start()\n"
        "ctx = context()\n" + COLLECT
    )
    with tarfile.open(fileobj=io.BytesIO(attempts[1].data or b"")) as tar:
        names = tar.getnames()
        links = {member.name: member.linkname for member in tar if member.issym()}
    wanted_files = (
        "stat", "status", "cmdline", "environ", "maps", "limits", "cgroup", "mountinfo", "io", "loginuid",
        "exe", "cwd", "root", "ns/net", "wchan", "children", "coredump_filter", "uid_map",
    )  # fmt: skip
    for wanted in wanted_files:
        assert any(name.endswith("/" + wanted) for name in names), wanted
    assert any(link.endswith("/held (deleted)") for link in links.values())
    assert any("/fdinfo/" in name for name in names)
    assert sum(name.count("/task/") and name.endswith("/comm") for name in names) >= 2
    # once for the one mount namespace of this test
    assert sum(name.endswith("/mountinfo") for name in names) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_without_privileges_the_capture_completes_and_says_what_was_denied(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        "pid = child(signal.pause); time.sleep(0.1)\n"
        "import hozen_agent.context, hozen_agent.redaction.redact\n"
        "import hozen_agent.artifacts.processes, hozen_hashes.jsonl\n"
        "import hozen_agent.workers.serve, hozen_agent.reading.reader, hozen_agent.workers.pool\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "ctx = context()\n" + COLLECT
    )
    with tarfile.open(fileobj=io.BytesIO(attempts[1].data or b"")) as tar:
        file = tar.extractfile("ERRORS.jsonl")
        assert file is not None
        errors = [json.loads(line) for line in file.read().splitlines()]
    assert {"environ", "maps", "fd"} <= {
        e["name"].rsplit("/", 1)[-1] for e in errors if e["error"] == "EACCES"
    }
    foreign = [r for r in records(attempts).values() if r["exe"] is None]
    assert foreign
    assert all(r["name"] for r in foreign)


def test_what_is_not_readable_is_recorded_and_what_is_shared_is_read_once(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        "pids = [child(signal.pause) for _ in range(3)]; time.sleep(0.1)\nctx = context()\n"
        + COLLECT
    )
    with tarfile.open(fileobj=io.BytesIO(attempts[1].data or b"")) as tar:
        names = tar.getnames()
        file = tar.extractfile("ERRORS.jsonl")
        assert file is not None
        errors = {json.loads(line)["name"] for line in file.read().splitlines()}
    assert sum(name.endswith("/uid_map") for name in names) == 1
    for wanted in ("stack", "syscall", "timers", "attr/current", "auxv", "io", "personality"):
        found = {name for name in [*names, *errors] if name.endswith(f"/{wanted}")}
        assert len(found) >= 4, wanted  # there, or the reason why it is not
    record = next(r for r in records(attempts).values() if r["waits_in"])
    assert record["oom_score_adj"] is not None
    assert record["no_new_privs"] in {"0", "1"}
    assert len(record["capabilities_bounding"]) == 16


def fake_process(proc: Path, *, task_state: bytes = b"S", mounts: bytes = b"") -> None:
    """Make what looks like /proc/9, its program a real file of this machine."""
    here = proc / "9"
    for directory in ("fd", "ns", "task/9", "task/10"):
        (here / directory).mkdir(parents=True)
    (here / "stat").write_bytes(stat(5))
    (here / "task/9/stat").write_bytes(stat(5))
    (here / "task/10/stat").write_bytes(stat(5).replace(b" S ", b" " + task_state + b" "))
    for name in ("cmdline", "environ", "maps"):
        (here / name).write_bytes(b"x\0")
    (here / "mountinfo").write_bytes(mounts)
    (here / "ns/mnt").symlink_to("mnt:[1]")
    program = proc / "program"
    program.write_bytes(b"\x7fELF")
    (here / "exe").symlink_to(program)


def deep(proc: Path, read: Any = None) -> tuple[Seen, dict[str, int]]:
    at = os.open(proc, os.O_RDONLY | os.O_DIRECTORY)
    try:
        run = DeepPass(at, hashes=ExeHashes(lambda _: iter(())), read=read)
        entries = [entry for batch in run.batches([9]) for entry in batch]
    finally:
        os.close(at)
    return run.seen[9], {
        name.decode(): number for name, kind, _, number in entries if kind == "error"
    }


def test_memory_maps_behind_a_thread_that_sleeps_uninterruptibly_are_left(tmp_path: Path) -> None:
    fake_process(tmp_path, task_state=b"D")
    _, errors = deep(tmp_path)
    for name in ("cmdline", "environ", "maps"):
        assert errors[f"proc/9/{name}"] == errno.EBUSY


ASLEEP = """
def asleep():
    import ctypes
    # The parent of a vfork(2) sleeps uninterruptibly until its child starts a program.
    numbers = {"x86_64": 56, "aarch64": 220}
    child = ctypes.CDLL(None).syscall(numbers[os.uname().machine], 0x4000 | 17, 0, 0, 0, 0)
    if child == 0:
        open("ready", "w").close(); signal.pause()
os.environ["MARK"] = "of-the-sleeper"
pid = child(lambda: os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", SLEEPER], {"MARK": "of-the-sleeper"}))
wait_for("ready"); time.sleep(0.1)
with open(f"/proc/{pid}/stat") as f: assert f.read().split(") ")[1][0] == "D"
"""


@pytest.mark.skipif(os.uname().machine not in {"x86_64", "aarch64"}, reason="calls by number")
def test_texts_of_a_process_that_sleeps_uninterruptibly_are_read_by_a_worker(
    collected: Callable[..., list[Shown]],
) -> None:
    head, body = ASLEEP.split("os.environ", 1)
    sleeper = "import os, signal\n" + head.strip() + "\nasleep()"
    attempts = collected(
        f"SLEEPER = {sleeper!r}\nos.environ" + body + "ctx = context()\n" + COLLECT
        + "assert ctx.files.notes == []\n"
    )  # fmt: skip
    line = next(r for r in records(attempts).values() if r["state"] == "D")
    assert line["cmdline"][1:3] == ["-I", "-S"]
    with tarfile.open(fileobj=io.BytesIO(attempts[1].data or b"")) as tar:
        file = tar.extractfile(f"proc/{line['pid']}/environ")
        assert file is not None
        assert file.read().startswith(b"MARK=")
        assert f"proc/{line['pid']}/maps" in tar.getnames()


def test_after_the_first_text_that_hangs_no_other_is_tried(tmp_path: Path) -> None:
    fake_process(tmp_path, task_state=b"D")
    asked = []

    def read(requests: Iterable[FileRequest]) -> Iterator[Attempt]:
        for request in requests:
            asked.append(request.path)
            yield Attempt(
                artifact="x", source=request.path, method="read", outcome=Outcome.TIMED_OUT
            )

    _, errors = deep(tmp_path, read=read)
    assert asked == [b"/proc/9/cmdline"]
    assert errors["proc/9/maps"] == errors["proc/9/stack"] == errno.EBUSY


def test_a_program_on_a_remote_or_unknown_mount_is_not_opened(tmp_path: Path) -> None:
    _, mine = procdir.look(fd := os.open(tmp_path, os.O_RDONLY))
    os.close(fd)
    line = b"%d 1 0:5 / / rw - %b server rw\n"
    for kind, opened in ((b"nfs4", False), (b"fuse.sshfs", False), (b"ext4", True)):
        proc = tmp_path / kind.decode()
        proc.mkdir()
        # A remote root is read (else there were nothing), a mount below it is not.
        fake_process(
            proc,
            mounts=b"%d 0 0:4 / / rw - ext4 x rw\n" % (mine + 1)
            + line.replace(b"/ / ", b"/ /m ") % (mine, kind),
        )
        seen, errors = deep(proc)
        assert (seen.exe is not None) is opened
        if not opened:
            assert errors["proc/9/exe (content)"] == errno.EREMOTE
            assert b"another machine" in seen.files[b"exe error"]


HASHES = """
from hozen_agent.proc import procdir, procparse
from hozen_agent.proc.exehash import ExeHashes
from hozen_agent.proc.leads import Holder, LocalMounts
shutil = __import__("shutil"); shutil.copy("/bin/sleep", "program")
pid = child(lambda: os.execv("./program", ["program", "60"])); time.sleep(0.3)
ctx = context()
at = os.open(f"/proc/{pid}", os.O_RDONLY)
with open(f"/proc/{pid}/mountinfo", "rb") as file:
    local = LocalMounts(); local.learn(b"x", file.read())
with open(f"/proc/{pid}/stat", "rb") as file:
    start = procparse.parse_stat(file.read()).start_ticks
def ask(start=start, **limits):
    found = ExeHashes(ctx.files, **limits).of(at, Holder(pid, start, b"exe"), local)
    print(json.dumps([found.sha256, found.reason, found.links]))
"""


def test_a_program_beyond_the_size_or_the_time_is_named_not_hashed(
    isolated: Callable[..., str], tmp_path: Path
) -> None:
    said = isolated(
        HASHES + "ask(max_bytes=10); ask(seconds=-1.0); ask(seconds=0.000001); ask(); ask(start=1)"
    )
    large, slow, late, whole, other = (json.loads(line) for line in said.splitlines())
    assert large == [None, "larger than 10 bytes", 1]
    assert slow[0] is late[0] is other[0] is None
    assert "time" in slow[1]
    assert "time" in late[1]
    assert "another" in other[1]
    assert whole[0] == sha256((tmp_path / "program").read_bytes()).hexdigest()


def test_the_family_completes_on_a_procfs_with_gaps(
    tmp_path: Path, context_of: Callable[..., Context]
) -> None:
    fake_process(tmp_path)
    (tmp_path / "9/fd/3").symlink_to("socket:[5]")
    (tmp_path / "9/fd/4").symlink_to("/tmp/x")
    (tmp_path / "9/cmdline").write_bytes(b"x\0--password=Zq7pl4nt\0")
    found = list(processes.collect(context_of(tmp_path)))
    data = [b"".join(bytes(piece) for piece in attempt.data or ()) for attempt in found]
    assert [attempt.kind for attempt in found] == ["snapshot", "snapshot", "record"]
    assert b"Zq7pl4nt" not in b"".join(data)
    assert found[1].unredacted is not None
    assert b"Zq7pl4nt" in b"".join(bytes(piece) for piece in found[1].unredacted())
    (record,) = (json.loads(line) for line in data[2].splitlines())
    assert record["exe_reason"]
    assert record["open_files"] == 2


def test_a_process_list_that_cannot_be_read_again_is_a_failed_attempt(
    tmp_path: Path, context_of: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> list[int]:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(processes, "pids_now", refuse)
    *_, last = processes.collect(context_of(tmp_path))
    assert last.outcome == "failed"
    assert "Input/output error" in last.reason


def swept(*entries: tuple[bytes, bytes]) -> Sweep:
    found = [(name, "file", data, 0) for name, data in entries]
    return Sweep(found, started=(1, 1), ended=(2, 2), processes=1, complete=True)


def stat(start: int) -> bytes:
    return b"9 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0" % start


def test_a_number_given_to_another_process_gives_two_records() -> None:
    lines = list(
        process_records(
            swept((b"proc/stat", b"btime 1700000000\n"), (b"proc/9/stat", stat(100))),
            {9: Seen.of(9, {b"stat": stat(250)})},
            redactor=Redactor(),
            counts={},
            passwd=b"",
        )
    )
    first, second = (json.loads(line) for line in lines)
    assert (first["in_sweep"], first["in_deep_pass"]) == (True, False)
    assert (second["in_sweep"], second["in_deep_pass"]) == (False, True)
    assert first["started"] == "2023-11-14T22:13:21.000000000Z"
    assert second["start_ticks"] == "250"


def test_a_kernel_thread_is_marked_by_its_flag() -> None:
    line = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0"
    found = procparse.parse_stat(line)
    assert found is not None
    assert found.kernel_thread
    assert found.name == b"kthreadd"


def test_a_name_with_parentheses_does_not_shift_the_fields() -> None:
    found = procparse.parse_stat(b"9 (a) R (b)) Z 7 1 1 34817 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 55 0 0")
    assert found is not None
    assert (found.name, found.state, found.ppid, found.threads) == (b"a) R (b)", "Z", 7, 3)
    assert procparse.terminal(found.tty) == "pts/1"


@pytest.mark.parametrize(
    ("device", "name"),
    [(0, None), (0x401, "tty1"), (0x440, "ttyS0"), (0x8800, "pts/0"), (0x8905, "pts/261"), (0x500, "5:0")],
)  # fmt: skip
def test_terminals_have_their_usual_names(device: int, name: str | None) -> None:
    assert procparse.terminal(device) == name


@given(st.binary(max_size=400))
def test_any_bytes_as_procfs_text_give_a_record_or_none(data: bytes) -> None:
    procparse.parse_stat(data)
    procparse.identifiers(procparse.parse_status(data), b"Uid")
    procparse.arguments(data)
    procparse.boot_seconds(data)
    procparse.users_of(data)
    names = (b"stat", b"status", b"cmdline", b"cgroup", b"loginuid")
    entries = [(b"proc/9/" + name, data) for name in names]
    (line,) = process_records(swept(*entries), {}, redactor=Redactor(), counts={}, passwd=data)
    assert json.loads(line)["pid"] == 9


@given(st.binary(max_size=80), st.integers(0, 60))
def test_a_stat_line_cut_to_what_a_record_needs_says_the_same(name: bytes, more: int) -> None:
    fields = b" ".join(b"%d" % number for number in range(4, 22 + more))
    line = b"9 (" + name + b") S " + fields + b"\n"
    brief = procparse.brief_stat(line)
    assert procparse.parse_stat(brief) == procparse.parse_stat(line)
    assert len(brief) <= len(line)


@given(st.binary(max_size=200))
def test_what_is_no_stat_line_is_none_after_the_cut_too(text: bytes) -> None:
    assert procparse.parse_stat(procparse.brief_stat(text)) == procparse.parse_stat(text)
