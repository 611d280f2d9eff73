"""The exports of a real capture, opened by the tools they are for: what these count is what the bundle holds."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import exported_host
import journals
import pytest
from bundles import Bundle, only_bundle
from exporting import export
from synthetic_host import BIN, CASE, ROOT, SMALL, Host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JOURNAL = 50
FUNCTIONS = (
    "hostname", "users", "wtmp", "btmp", "lastlog", "authlog", "cronjobs", "commandhistory", "processes", "environ",
    "cmdline", "sockets.tcp", "sockets.udp", "sockets.unix", "sockets.raw", "journal", "services",
)  # fmt: skip
_SETUP = f"""{SMALL}
for d in /usr/lib/*/; do
  case $d in *linux-gnu*|*systemd*) ;; *) mount -t tmpfs tmpfs "$d" ;; esac
done
python {ROOT}/tests/support/exported_host.py . $(ls made*.journal) >planted.txt 2>&1 & planter=$!
until [ -e plants.json ]; do kill -0 $planter || {{ cat planted.txt >&2; exit 1; }}; sleep 0.02; done
"""


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Capture the host once."""
    host = Host(tmp_path_factory.mktemp("exported"))
    (host.work / "usb").mkdir()
    journals.make(host.work, count=JOURNAL)
    run = host.run(
        f"hozen capture {CASE} --profile standard --packets 1 --allow-local --out usb",
        setup=_SETUP,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    return only_bundle(host.work / "usb")


@pytest.fixture(scope="module")
def bundle(captured: Path) -> Bundle:
    return Bundle(captured)


@pytest.fixture(scope="module")
def made(captured: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Return an export of a kind under a name, made once."""
    folder = tmp_path_factory.mktemp("made")

    def make(kind: str, name: str) -> Path:
        out = folder / name
        if not out.exists():
            ran = export(captured, kind, out)
            assert ran.returncode == 0, ran.stderr.decode()
        return out

    return make


@pytest.fixture(scope="module")
def queried(made: Callable[[str, str], Path]) -> list[dict[str, Any]]:
    """Everything that Dissect reads out of the tree, in one call."""
    command = [
        str(BIN / "target-query"),
        "-q",
        "-j",
        "-f",
        ",".join(FUNCTIONS),
        str(made("uac", "web01.tar")),
    ]
    ran = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert b"Traceback" not in ran.stderr, ran.stderr.decode()
    assert ran.returncode == 0, ran.stderr.decode()
    found = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith(b"{")]
    return [one for one in found if one["_type"] == "record"]


def of(queried: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in queried if one["_recorddescriptor"][0] == kind]


def records(bundle: Bundle, artifact: str, source: str) -> list[dict[str, Any]]:
    (item,) = [i for i in bundle.of(source) if i["artifact"] == artifact and i["kind"] == "record"]
    return [json.loads(line) for line in bundle.content(item).splitlines()]


def test_dissect_finds_the_processes_of_the_bundle(
    queried: list[dict[str, Any]], bundle: Bundle
) -> None:
    want = {
        one["pid"]
        for one in records(bundle, "processes", "/proc")
        if one["in_sweep"] or one["in_deep_pass"]
    }
    assert {one["pid"] for one in of(queried, "linux/proc/processes")} == want
    assert len(of(queried, "linux/proc/cmdline")) == len(want)


def test_dissect_finds_each_socket_with_its_processes(
    queried: list[dict[str, Any]], bundle: Bundle
) -> None:
    sockets = records(bundle, "sockets", "/proc/PID/net")
    net = [one for one in sockets if one["proto"] in {"tcp", "tcp6", "udp", "udp6", "raw", "raw6"}]
    want = Counter(
        (one["local"]["port"], holder["pid"], int(one["inode"]))
        for one in net
        for holder in one["holders"]
    )
    found = of(queried, "linux/proc/socket/net")
    assert Counter((one["local_port"], one["pid"], one["inode"]) for one in found) == want
    assert {6666, 6667, 5353} <= {one["local_port"] for one in found}
    unix = [one for one in sockets if one["proto"] == "unix"]
    assert len(of(queried, "linux/proc/socket/unix")) == len(unix) >= 1


def test_dissect_reads_a_command_line_with_a_byte_that_is_no_text(
    queried: list[dict[str, Any]], captured: Path
) -> None:
    facts = json.loads((captured.parent.parent / "plants.json").read_text())
    (one,) = [p for p in of(queried, "linux/proc/cmdline") if p["pid"] == facts["raw"]]
    assert "sleep\\xff" in json.dumps(one, ensure_ascii=False).replace("\\\\", "\\")


def test_dissect_reads_logins_logs_jobs_and_histories_to_the_last_one(
    queried: list[dict[str, Any]],
) -> None:
    counts = Counter(one["_recorddescriptor"][0] for one in queried)
    assert counts["linux/log/wtmp"] == exported_host.LOGINS
    assert counts["linux/log/btmp"] == exported_host.FAILED
    assert counts["linux/log/lastlog"] == 1
    assert counts["linux/log/auth"] == exported_host.LOG_LINES
    assert counts["linux/log/journal"] == JOURNAL
    assert counts["unix/cronjob"] == len(exported_host.NAMES)
    assert counts["unix/history"] == 3
    assert {one["name"] for one in of(queried, "unix/user")} == {"root", "sato"}


def test_dissect_finds_every_unit_of_the_bundle(
    queried: list[dict[str, Any]], bundle: Bundle
) -> None:
    found = {one["source"] for one in of(queried, "linux/service")}
    units = [
        one["source"] for one in bundle.items
        if one["kind"] == "file" and one["outcome"] == "captured" and one["artifact"] == "persistence"
        and one["source"].startswith(("/etc/systemd/system/", "/usr/lib/systemd/system/"))
        and one["source"].endswith(".service") and one["source"].count("/") <= 5
    ]  # fmt: skip
    assert set(units) - found == set()


def test_target_fs_lists_two_names_that_differ_by_case_alone(
    made: Callable[[str, str], Path],
) -> None:
    tar = str(made("uac", "web01.tar"))
    command = [str(BIN / "target-fs"), "-q", tar, "ls", "/etc/cron.d"]
    shown = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    for name in exported_host.NAMES:
        assert name in shown


@pytest.mark.needs("bsdtar")
def test_stock_tools_unpack_the_tree_whole(
    made: Callable[[str, str], Path], tmp_path: Path
) -> None:
    tar = made("uac", "web01.tar")
    for tool in ("tar", "bsdtar"):
        place = tmp_path / tool
        place.mkdir()
        subprocess.run([tool, "-xf", str(tar), "-C", str(place)], check=True, capture_output=True)
        names = {
            one.name.encode("utf-8", "surrogateescape")
            for one in (place / "[root]/etc/cron.d").iterdir()
        }
        assert names == set(exported_host.NAMES)


def test_plaso_reads_logins_log_and_journal_once_each(
    made: Callable[[str, str], Path], tmp_path: Path
) -> None:
    tar, env = (
        str(made("uac", "web01.tar")),
        {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"},
    )
    quiet = ["--quiet", "--unattended", "--status_view", "none"]
    read = [
        "log2timeline",
        *quiet,
        "--single_process",
        "--archives",
        "tar",
        "--parsers",
        "systemd_journal,utmp,text",
    ]
    sort = ["psort", *quiet, "-o", "json_line", "-w", "events.jsonl", "all.plaso"]
    for name, *words in ([*read, "--storage_file", "all.plaso", tar], sort):
        command = [str(BIN / name), *words]
        subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=200)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_bytes().splitlines()]
    place = "TAR:/[root]/var/log/"
    counts = Counter(
        one["display_name"].removeprefix(place)
        for one in events
        if one["display_name"].startswith(place)
    )
    assert counts == {
        "wtmp": exported_host.LOGINS, "btmp": exported_host.FAILED, "auth.log": exported_host.LOG_LINES,
        "journal/0123456789abcdef0123456789abcdef/system.journal": JOURNAL,
    }  # fmt: skip
    assert not [one for one in events if "/hozen/data/" in one["display_name"]], (
        "nothing is read twice"
    )


@pytest.mark.needs("mactime")
def test_mactime_shows_every_file_of_the_body_file(
    made: Callable[[str, str], Path], bundle: Bundle
) -> None:
    body = made("bodyfile", "web01.body")
    (item,) = bundle.of("filesystem:bodyfile")
    assert body.read_bytes().startswith(bundle.content(item))
    ran = subprocess.run(
        ["mactime", "-b", str(body), "-d", "-y"], capture_output=True, check=True, timeout=120
    )
    shown = {line.rpartition(b',"')[2].rstrip(b'"') for line in ran.stdout.splitlines()[1:]}
    lines = body.read_bytes().splitlines()
    want = {line.split(b"|")[1].replace(b"%7C", b"|").replace(b"%25", b"%") for line in lines}
    assert shown == want
    assert {b"/etc/cron.d/a|b", b"/etc/cron.d/a%41", b"/etc/cron.d/two\\x0alines"} <= shown


def test_timesketch_gets_one_event_for_each_time_process_and_login(
    made: Callable[[str, str], Path], bundle: Bundle
) -> None:
    made_lines = made("timesketch", "web01.jsonl").read_bytes()
    kinds = Counter(one.decode() for one in re.findall(rb'"data_type": "([a-z:]+)"', made_lines))
    body = bundle.content(bundle.one("filesystem:bodyfile")).splitlines()
    times = sum(float(time) != 0 for line in body for time in line.split(b"|")[7:])
    sessions = exported_host.LOGINS + exported_host.FAILED + 1
    want = {
        "hozen:item": len(bundle.items), "hozen:process": len(records(bundle, "processes", "/proc")),
        "hozen:session": sessions, "hozen:file": times,
    }  # fmt: skip
    assert kinds == want
