"""Views of the same host against each other: what one leaves out is found, and a busy host gives no finding."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from hiding import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_RUN = """
import time
from dataclasses import replace
from hozen_agent.reading import view
from hozen_agent.artifacts import cross_view
from hozen_agent.filetree.finder import Finder
from hozen_agent.workers.pool import ReaderPool
from hozen_agent.reading.reader import FileReader

def compared():
    # As in a capture: the sweep through /proc as mounted, everything else through the view.
    ctx = context()
    seen = view.prepare()
    pool = ReaderPool.start(root=seen.root, proc=seen.proc, note=print)
    ctx = replace(ctx, proc=seen.proc, root=seen.root, files=FileReader(pool), match=Finder(pool))
    lines = []
    for attempt in cross_view.collect(ctx):
        assert attempt.outcome is None, attempt
        data = b"".join(bytes(piece) for piece in attempt.data)
        if attempt.ext == "jsonl":
            lines += data.decode().splitlines()
    pool.stop()
    print("\\n".join(lines), flush=True)
"""


def _lines(isolated: Callable[..., str], program: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in isolated(_RUN + program).splitlines()]


def _observed(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["line"] == "observation"]


def test_a_quiet_host_gives_no_observation_and_says_what_was_compared(
    isolated: Callable[..., str],
) -> None:
    lines = _lines(isolated, "compared()\n")
    assert _observed(lines) == []
    parts = {line["part"] for line in lines}
    assert parts == {"processes", "ports", "modules", "loader", "directories"}


def test_a_mount_over_a_process_is_written_down_with_the_process(
    isolated: Callable[..., str],
) -> None:
    program = """
        pid = child(lambda: os.execvp("sleep", ["sleep", "300"]))
        os.mkdir("empty")
        subprocess.run(["mount", "--bind", "empty", f"/proc/{pid}"], check=True)
        print(json.dumps({"line": "plant", "pid": pid}))
        compared()
        """
    lines = _lines(isolated, textwrap.dedent(program))
    (seen,) = _observed(lines)
    plant = lines[0]
    assert seen["what"] == "a mount over the directory of a process"
    assert seen["subject"]["pid"] == plant["pid"]
    assert seen["subject"]["name"] == "sleep"
    assert "detached.lookup" in seen["seen"]
    assert seen["may_also_be"]


@pytest.mark.needs("gcc")
def test_what_a_preloaded_library_hides_is_seen_past_the_c_library(
    isolated: Callable[..., str], tmp_path: Path
) -> None:
    build(tmp_path / "libhide.so")
    program = """
        if "LD_PRELOAD" not in os.environ:
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/etc"], check=True)
            open("/etc/evil.conf", "w").close()
            open("/etc/ld.so.preload", "w").close()
            pid = child(lambda: os.execve("/bin/sleep", ["sleep", "300"], {"LD_PRELOAD": "/nowhere/evil.so"}))
            time.sleep(0.2)
            env = {**os.environ, "LD_PRELOAD": os.getcwd() + "/libhide.so", "HIDE_PID": str(pid)}
            os.execve(sys.executable, [sys.executable, "-I", "-W", "error", __file__], env)
        compared()
        pid = int(os.environ["HIDE_PID"])
        print(json.dumps({"line": "plant", "pid": pid, "listed": str(pid) in os.listdir("/proc")}))
        """
    lines = _lines(isolated, textwrap.dedent(program))
    plant = lines.pop()
    assert not plant["listed"], "the library works"
    found = _observed(lines)
    (process,) = [one for one in found if one["part"] == "processes"]
    assert process["subject"]["pid"] == plant["pid"]
    assert set(process["not_seen"]) == {"detached.readdir", "mounted.readdir"}
    assert {"kill", "detached.getdents64", "mounted.getdents64"} <= set(process["seen"])
    names = {one["subject"]["name"] for one in found if one["part"] == "directories"}
    assert names == {"evil.conf", "ld.so.preload"}
    (preload,) = [one for one in found if one["part"] == "loader"]
    assert preload["not_seen"] == ["libc"]
    variables = [line["value"] for line in lines if line.get("what") == "loader variable"]
    assert "/nowhere/evil.so" in variables
    libraries = {
        line["path"]: line["mapped_in"] for line in lines if line.get("what") == "preloaded library"
    }
    assert libraries[str(tmp_path / "libhide.so")] >= 1
    assert libraries["/nowhere/evil.so"] == 0


def test_a_host_where_processes_and_threads_come_and_go_gives_no_observation(
    isolated: Callable[..., str],
) -> None:
    program = """
        import threading
        def forks():
            while True:
                pid = os.fork()
                if pid == 0:
                    os._exit(0)
                os.waitpid(pid, 0)
        def threads():
            while True:
                many = [threading.Thread(target=time.sleep, args=(0.0005,)) for _ in range(20)]
                [t.start() for t in many]
                [t.join() for t in many]
        def ports():
            while True:
                one = socket.create_server(("127.0.0.1", 0))
                two = socket.create_connection(one.getsockname())
                three = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                three.bind(("127.0.0.1", 0))
                for each in (two, one, three):
                    each.close()
        def names():
            while True:
                os.mkdir("/dev/shm/busy")
                os.rmdir("/dev/shm/busy")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        if tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 14):
            # Of this pid namespace alone since 6.14: numbers come again at once.
            with open("/proc/sys/kernel/pid_max", "w") as most:
                most.write("600")
        for action in (forks, forks, threads, ports, names):
            child(action)
        time.sleep(0.2)
        for _ in range(4):
            compared()
        """
    lines = _lines(isolated, textwrap.dedent(program))
    assert _observed(lines) == []
    assert {line["result"] for line in lines if line.get("what") == "process numbers"} == {"agree"}


def test_a_false_proc_over_the_real_one_is_seen_by_what_it_leaves_out(
    isolated: Callable[..., str],
) -> None:
    program = """
        pid = child(lambda: os.execvp("sleep", ["sleep", "300"]))
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True)
        for name in os.listdir("/proc"):
            if name.isdigit() and name != str(pid):
                os.mkdir("/mnt/" + name)
        os.symlink(str(os.getpid()), "/mnt/self")
        subprocess.run(["mount", "--bind", "/mnt", "/proc"], check=True)
        print(json.dumps({"line": "plant", "pid": pid}))
        compared()
        """
    plant, *lines = _lines(isolated, textwrap.dedent(program))
    # The reading helpers are younger than the false list, so it leaves them out as well.
    found = {
        one["subject"]["pid"]: set(one["not_seen"])
        for one in _observed(lines)
        if one["part"] == "processes"
    }
    assert found[plant["pid"]] == {"mounted.readdir", "mounted.getdents64"}
    assert 1 not in found


def test_a_listener_that_no_process_holds_is_written_down_and_a_held_one_is_not(
    isolated: Callable[..., str],
) -> None:
    program = """
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        held = socket.create_server(("127.0.0.1", 4001))
        one, two = socket.socketpair()
        travelling = socket.create_server(("127.0.0.1", 4002))
        socket.send_fds(one, [b"x"], [travelling.fileno()])
        travelling.close()
        other = child(lambda: os.execvp("unshare", ["unshare", "-n", sys.executable, "-c",
            "import socket,signal; s=socket.socket(); s.bind(('0.0.0.0',4003)); s.listen(); signal.pause()"]))
        time.sleep(0.4)
        compared()
        """
    lines = _lines(isolated, textwrap.dedent(program))
    (seen,) = _observed(lines)
    assert seen["what"] == "a bound socket that no process holds"
    assert seen["subject"]["local"] == {"address": "127.0.0.1", "port": 4002}
    owners = next(line for line in lines if line.get("what") == "owners of sockets")
    assert (owners["bound"], owners["namespaces"]) == (3, 2)


def test_a_listener_that_the_table_leaves_out_is_seen_by_sock_diag(
    isolated: Callable[..., str],
) -> None:
    program = """
        from hozen_agent.crossview import ports
        from hozen_agent.crossview.views import Part
        from dataclasses import replace
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        server = socket.create_server(("127.0.0.1", 4002))
        shown = socket.create_server(("127.0.0.1", 4001))
        os.makedirs("false/self/net")
        for table in ("tcp", "tcp6", "udp", "udp6"):
            lines = open(f"/proc/self/net/{table}").readlines()
            open(f"false/self/net/{table}", "w").writelines(x for x in lines if ":0FA2 " not in x)
        ctx = replace(context(), proc=os.open("false", os.O_RDONLY | os.O_DIRECTORY))
        print(ports.compare(ctx).text().decode())
        """
    text = isolated(textwrap.dedent(program))
    lines = [json.loads(line) for line in text.splitlines() if line]
    (seen,) = [one for one in _observed(lines) if one["subject"].get("proto") == "tcp"]
    assert (seen["seen"], seen["not_seen"]) == (["sock_diag.tcp"], ["proc.net.tcp"])
    assert seen["subject"]["local"]["port"] == 4002


def test_a_name_that_exists_and_is_not_listed_is_written_down(isolated: Callable[..., str]) -> None:
    # /proc is such a directory: it answers for the number of every thread and lists only processes.
    program = """
        import threading
        from hozen_agent.workers.jobs import Job
        from hozen_agent.workers.jobwork import DIRECTORIES
        waiting = threading.Thread(target=time.sleep, args=(30,), daemon=True)
        pid = child(lambda: (waiting.start(), time.sleep(30)))
        time.sleep(0.3)
        tid = next(n for n in os.listdir(f"/proc/{pid}/task") if n != str(pid))
        pool = ReaderPool.start(root=os.open("/", os.O_PATH), proc=proc(), note=print)
        job = Job(pool, DIRECTORIES, b"/", {"directories": [["/proc", [tid, "nothing"]]]})
        answers = b"".join(data for stream, data in job if stream == 1)
        pool.stop()
        print(json.dumps({"tid": tid, "answer": json.loads(answers), "lost": job.lost}))
        """
    told = json.loads(isolated(_RUN + textwrap.dedent(program)))
    assert not told["lost"]
    found = told["answer"]["found"]
    assert [one["name"] for one in found["not_listed_but_there"]] == [told["tid"]]
