"""What the examined host says through its own programs is nobody's word, and looking at it leaves no mark."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from bundles import Bundle, only_bundle
from synthetic_host import SMALL

if TYPE_CHECKING:
    from synthetic_host import Host

_PROFILE = """name: trust
version: 1
description: {en: "trust", ja: "信頼"}
artifacts: [NAMES]
"""
_FAMILIES = (
    "processes", "sockets", "sessions", "recovered", "cross_view", "interfaces", "kernel", "machine", "linux_logs",
    "accounts", "persistence", "packages",
)  # fmt: skip
# What other collectors run, and what our own code could be tempted to.
_TOOLS = [
    "ps", "ss", "ls", "netstat", "lsof", "cat", "find", "stat", "lsmod", "id", "who", "w", "last", "dmesg", "ip",
    "ifconfig", "iptables", "nft", "systemctl", "journalctl", "mount", "df", "uname", "hostname", "docker", "rpm",
    "dpkg", "python3", "sh", "modprobe",
]  # fmt: skip
_LIE = "#!/bin/sh\necho $0 $* >>{work}/ran.txt\necho nothing to see here\n"


def _profile(host: Host, *artifacts: str) -> None:
    text = _PROFILE.replace("NAMES", ", ".join(artifacts))
    (host.work / "trust.yaml").write_text(text, encoding="utf-8")


def _capture(case: str, profile: str = "./trust.yaml") -> str:
    return f"hozen capture {case} --profile {profile} --allow-local --out usb"


def _taken(host: Host) -> Bundle:
    path = only_bundle(host.work / "usb")
    bundle = Bundle(path)
    path.unlink()
    return bundle


def _lines(bundle: Bundle, artifact: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for item in bundle.items
        if item["artifact"] == artifact and item["path"] and item["path"].endswith(".jsonl")
        for line in bundle.content(item).splitlines()
    ]


def _outcomes(bundle: Bundle) -> set[tuple[str, str, str]]:
    """What was asked for and how it ended, without the numbers of processes."""
    return {
        (i["artifact"], re.sub(r"(/proc/|net:.)\d+", r"\1N", i["source"]), i["outcome"])
        for i in bundle.items
    }


def _shown(bundle: Bundle) -> dict[str, Any]:
    """What the records say of the traces that the test left."""
    sockets = _lines(bundle, "sockets")
    observed = [x for x in _lines(bundle, "cross_view") if x["line"] == "observation"]
    return {
        "process": any(x["cmdline"] == ["sleep", "4711"] for x in _lines(bundle, "processes")),
        "listener": any((x.get("local") or {}).get("port") == 4711 for x in sockets),
        "observed": [(x["part"], x["what"]) for x in observed],
        "log": bundle.content(bundle.one("/var/log/auth.log")),
        "cron": bundle.content(bundle.one("/etc/cron.d/evil")),
        "passwd": bundle.content(bundle.one("/etc/passwd")),
    }


def test_lying_and_missing_tools_of_the_host_change_no_result(
    host: Host, case_options: str
) -> None:
    _profile(host, *_FAMILIES)
    lies = host.work / "lies"
    lies.mkdir()
    for name in _TOOLS:
        (lies / name).write_text(_LIE.format(work=host.work), encoding="ascii")
        (lies / name).chmod(0o755)
    setup = """
        sleep 4711 &
        python -c 'import socket, signal; s = socket.create_server(("127.0.0.1", 4711)); signal.pause()' &
        until ss -tln | grep -q 4711; do sleep 0.02; done"""
    taken = []
    for path in ("$PATH", f"{lies}:$PATH", str(lies)):
        # The third time nothing of the host is there to be run either.
        hide = (
            ""
            if "$PATH" in path
            else "for d in /usr/bin /usr/sbin; do mount -t tmpfs tmpfs $d; done;"
        )
        run = host.run(
            f'hozen=$(command -v hozen); {hide} PATH="{path}" $hozen {_capture(case_options).partition(" ")[2]}',
            setup=setup,
        )
        assert run.returncode == 0, run.stderr
        taken.append(_taken(host))
    assert not (host.work / "ran.txt").exists(), "no program of the host was run"
    plain, lied, bare = taken
    assert _shown(plain)["process"]
    assert _shown(plain)["listener"]
    assert _shown(plain) == _shown(lied) == _shown(bare)
    assert _outcomes(plain) == _outcomes(lied)


@pytest.mark.needs("strace")
def test_a_capture_runs_no_program_at_all(host: Host, case_options: str) -> None:
    _profile(host, *_FAMILIES, "clock", "ebpf", "audit", "kernel_tracing", "containers")
    run = host.run(
        f"strace -f --seccomp-bpf -qq -e trace=execve,execveat -o exec.txt {_capture(case_options)}"
    )
    assert run.returncode == 0, run.stderr
    calls = (host.work / "exec.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    ran = [line for line in calls if line.rstrip().endswith("= 0")]
    assert len(ran) == 1, ran  # strace's own start of the agent
    assert "hozen" in ran[0]


_TIMES = """
import json, os, sys
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME
found = {}
def walk(path):
    found[os.fsdecode(path).encode("utf-8", "backslashreplace").decode()] = os.lstat(path).st_atime_ns
    fd = os.open(path, FLAGS)
    for name in os.listdir(fd):
        below = path + b"/" + os.fsencode(name)
        st = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if (st.st_mode & 0o170000) == 0o040000:
            if st.st_dev == os.fstat(fd).st_dev:
                walk(below)
        else:
            found[below.decode("utf-8", "backslashreplace")] = st.st_atime_ns
    os.close(fd)
for place in sys.argv[2:]:
    walk(os.fsencode(place))
json.dump(found, open(sys.argv[1], "w"))
"""
_PLACES = "/etc /usr /var/log /home /root"


def _own(path: str) -> bool:
    """Whether a file belongs to the interpreter that runs the agent: it is loaded, and nobody's evidence."""
    prefixes = (f"{sys.base_prefix}/lib/python3", f"{sys.prefix}/")
    return (
        path.startswith(prefixes)
        or re.search(r"/lib/[^/]*linux-gnu/lib[^/]*\.so[^/]*$", path) is not None
    )


def test_no_access_time_changes_on_files_directories_and_links(
    host: Host, case_options: str
) -> None:
    _profile(host, "clock")
    (host.work / "times.py").write_text(_TIMES, encoding="utf-8")
    setup = f"""{SMALL}
        mount --bind /usr /usr
        for d in {_PLACES}; do mount -o remount,bind,strictatime $d; done
        mkdir -p /var/log/deep/er /home/sato/.config; ln -s auth.log /var/log/link; ln -s deep /var/log/dirlink
        ln -s /nowhere /etc/cron.d/dangling; printf x >/var/log/deep/er/file; : >/var/log/empty
        times() {{ python times.py $1 {_PLACES}; }}"""
    run = host.run(
        f"""
        times 0.json; cat /var/log/auth.log >/dev/null; times 1.json
        {_capture(case_options)} || exit 1; rm usb/*; times 2.json
        {_capture(case_options, "standard")} || exit 1; times 3.json""",
        setup=setup,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    looks = [json.loads((host.work / f"{n}.json").read_text(encoding="utf-8")) for n in range(4)]

    def changed(one: int) -> set[str]:
        return {path for path, when in looks[one].items() if looks[one + 1].get(path) != when}

    assert "/var/log/auth.log" in changed(0), "this mount would show it"
    loaded = changed(1)  # by starting the agent at all
    assert {path for path in changed(2) - loaded if not _own(path)} == set()
    assert not {
        path for path in loaded if path.startswith(("/etc/cron", "/var/log", "/home", "/root"))
    }


_ODD = (b"new\nline", b"trailing ", b"\xff\xfe", b"-rf", b"%41", "日本語".encode())


def test_names_of_any_bytes_stay_themselves_in_every_family(host: Host, case_options: str) -> None:
    families = ("accounts", "ssh_access", "persistence", "shell_histories")
    _profile(host, "processes", "recovered", "cross_view", *families)
    maker = f"""
import os, shutil, time
names = {_ODD!r}
with open('/etc/passwd', 'ab') as passwd:
    for number, name in enumerate(names):
        os.makedirs(b'/home/' + name + b'/.ssh')
        open(b'/home/' + name + b'/.ssh/authorized_keys', 'wb').write(b'ssh-ed25519 AAAA ' + name)
        open(b'/home/' + name + b'/.bash_history', 'wb').write(b'echo ' + name)
        open(b'/etc/cron.d/' + name, 'wb').write(b'# ' + name)
        shutil.copy('/bin/sleep', b'/opt/' + name)
        if os.fork() == 0:
            os.execv(b'/opt/' + name, [name, b'3600'])
time.sleep(0.3)
os.unlink(b'/opt/new\\nline')
"""
    (host.work / "names.py").write_text(maker, encoding="utf-8")
    run = host.run(_capture(case_options), setup="python names.py")
    assert run.returncode == 0, run.stderr
    bundle = _taken(host)
    for name in _ODD:
        for source, content in (
            (b"/etc/cron.d/" + name, b"# " + name),
            (b"/home/" + name + b"/.ssh/authorized_keys", b"ssh-ed25519 AAAA " + name),
            (b"/home/" + name + b"/.bash_history", b"echo " + name),
        ):
            item = bundle.one(source)
            assert (item["outcome"], bundle.content(item)) == ("captured", content)
    shown = {_decoded(x["exe"]) for x in _lines(bundle, "processes") if x["exe"]}
    assert {b"/opt/" + n for n in _ODD[1:]} | {b"/opt/new\nline (deleted)"} <= shown
    recovered = [i for i in bundle.items if i["artifact"] == "recovered"]
    targets = {_decoded(i["link_target"]) for i in recovered if i.get("link_target")}
    assert targets == {b"/opt/new\nline (deleted)"}


def _decoded(text: str) -> bytes:
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(text)
