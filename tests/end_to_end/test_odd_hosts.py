"""Hosts that are not tidy: everything odd gets its recorded outcome, nothing hangs, nothing is silent."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from typing import TYPE_CHECKING

import pytest
from bundles import Bundle, only_bundle
from synthetic_host import ROOT

if TYPE_CHECKING:
    import subprocess

    from synthetic_host import Host

_PROFILE = """name: odd
version: 1
description: {en: "odd", ja: "特異"}
artifacts: [NAMES]
epoch: {seconds: 50ms, bytes: 2MiB}
"""


def _profile(host: Host, *artifacts: str) -> None:
    text = _PROFILE.replace("NAMES", ", ".join(artifacts))
    (host.work / "odd.yaml").write_text(text, encoding="utf-8")


def _capture(case: str) -> str:
    return f"hozen capture {case} --profile ./odd.yaml --allow-local --out usb"


def _bundle(host: Host, run: subprocess.CompletedProcess[str]) -> Bundle:
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    check = host.run("hozen verify --json usb/*.zip")
    assert '"integrity": "match"' in check.stdout
    return Bundle(only_bundle(host.work / "usb"))


_NAMES = (
    b"new\nline",
    b"trailing ",
    b"\xff\xfe",
    b"\x1b[31mred",
    "日本語".encode(),
    b"=cmd|'!A1",
    b"-rf",
    b"%41",
)


def test_names_of_any_bytes_are_kept_and_shown_harmlessly(host: Host, case_options: str) -> None:
    _profile(host, "linux_logs")
    maker = (
        "import os\nfor n in " + repr(list(_NAMES)) + ":\n"
        "    open(b'/var/log/' + n, 'wb').write(b'content of ' + n)\n"
    )
    (host.work / "names.py").write_text(maker, encoding="utf-8")
    run = host.run(
        _capture(case_options) + "; code=$?; hozen inspect usb/*.zip >shown.txt; exit $code",
        setup="python names.py",
    )
    bundle = _bundle(host, run)
    for name in _NAMES:
        item = bundle.one(b"/var/log/" + name)
        assert (item["outcome"], bundle.content(item)) == ("captured", b"content of " + name)
    table = b"".join(d for n, d in bundle.members.items() if n.startswith("hozen/items/"))
    shown = (host.work / "shown.txt").read_bytes()
    for text in (table, shown, run.stderr.encode()):
        assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
        text.decode("utf-8")


def test_what_is_no_file_in_var_log_has_its_outcome_and_hangs_nobody(
    host: Host, case_options: str
) -> None:
    _profile(host, "linux_logs")
    setup = """
        mkfifo /var/log/pipe; mknod /var/log/null c 1 3; mknod /var/log/kmem c 1 2; mknod /var/log/loop b 7 0
        python -c 'import socket; socket.socket(socket.AF_UNIX).bind("/var/log/sock")'
        ln -s /etc/shadow /var/log/link; ln -s loop2 /var/log/loop1; ln -s loop1 /var/log/loop2
        mkdir -p /var/log/deep/$(printf 'd%.0s/' $(seq 1 60)); mkdir /var/log/empty.d; : >/var/log/empty.log"""
    bundle = _bundle(host, host.run(_capture(case_options), setup=setup, timeout=60))
    for name in ("pipe", "null", "kmem", "loop", "sock"):
        item = bundle.one(f"/var/log/{name}")
        assert (item["outcome"], item["path"]) == ("failed", None), item
        assert item["reason"]
        assert item["stat"]
    link = bundle.one("/var/log/link")
    assert (link["kind"], link["link_target"]) == ("link", "/etc/shadow")
    assert bundle.content(link) == b"/etc/shadow", "the target's name, not what is behind it"
    assert bundle.one("/var/log/loop1")["kind"] == "link"
    assert bundle.one("/var/log/empty.log")["outcome"] == "empty"


def test_a_lastlog_of_1_tb_is_stored_by_its_extents(host: Host, case_options: str) -> None:
    _profile(host, "sessions", "linux_logs")
    setup = """
        truncate -s 1T /var/log/lastlog
        printf 'HERE' | dd of=/var/log/lastlog bs=1 seek=549755813888 conv=notrunc 2>/dev/null"""
    bundle = _bundle(host, host.run(_capture(case_options), setup=setup, timeout=60))
    items = [i for i in bundle.of("/var/log/lastlog") if i.get("holes")]
    assert len(items) == 2
    for item in items:
        assert (item["outcome"], item["logical_size"], item["method"]) == (
            "captured",
            str(1 << 40),
            "sparse",
        )
        assert int(item["size"]) < 1 << 20
        with tarfile.open(fileobj=io.BytesIO(bundle.content(item))) as archive:
            member = archive.next()
            assert member is not None
            assert member.size == 1 << 40
            file = archive.extractfile(member)
            assert file is not None
            file.seek(1 << 39)
            assert file.read(4) == b"HERE"


def test_a_log_that_grows_while_it_is_read_is_a_prefix_and_marked(
    host: Host, case_options: str
) -> None:
    _profile(host, "linux_logs")
    setup = """
        seq 1 2000000 >/var/log/grow.log
        ( n=2000000; while :; do n=$((n+1)); echo $n; done >>/var/log/grow.log ) & grower=$!"""
    run = host.run(
        _capture(case_options)
        + "; code=$?; kill $grower; cp /var/log/grow.log after.log; exit $code",
        setup=setup,
    )
    bundle = _bundle(host, run)
    item = bundle.one("/var/log/grow.log")
    assert item["outcome"] == "captured", item["reason"]
    assert {"size", "mtime"} <= set(item["changed"])
    content = bundle.content(item)
    assert len(content) == int(item["stat"]["size"])
    assert (host.work / "after.log").read_bytes().startswith(content)


def test_a_file_that_vanishes_and_one_that_is_cut_have_their_outcome(
    host: Host, case_options: str
) -> None:
    _profile(host, "linux_logs")
    # The newest is read first: while the large one goes through, the older ones change.
    setup = """
        for n in $(seq 1 40); do head -c 300000 /dev/zero | tr '\\0' $((n % 10)) >/var/log/old$n.log; done
        touch -d '2020-01-01' /var/log/old*.log
        for n in $(seq 1 12); do head -c 5000000 /dev/urandom >/var/log/new$n.log; done
        ( until ls usb/*.journal/000002.jsonl >/dev/null 2>&1; do sleep 0.005; done
          rm /var/log/old3?.log; for f in /var/log/old1?.log; do : >$f; done ) &"""
    bundle = _bundle(host, host.run(_capture(case_options), setup=setup))
    gone = [i for n in range(30, 40) for i in bundle.of(f"/var/log/old{n}.log")]
    cut = [i for n in range(10, 20) for i in bundle.of(f"/var/log/old{n}.log")]
    assert {i["outcome"] for i in gone} <= {"captured", "missing"}
    assert "missing" in {i["outcome"] for i in gone}
    assert all(i["reason"] for i in gone if i["outcome"] == "missing")
    assert {i["outcome"] for i in cut} & {"empty", "truncated"}
    assert len(gone) == len(cut) == 10


def test_a_process_that_ends_between_sweep_and_deep_pass_has_a_record(
    host: Host, case_options: str
) -> None:
    _profile(host, "processes")
    # The victim ends as soon as the capture opens its journal, which is after the first sweep.
    setup = """
        sleep 301 & victim=$!; echo $victim >pid
        ( until ls -d usb/*.journal >/dev/null 2>&1; do :; done; kill -9 $victim ) & disown"""
    met = False
    for _ in range(4):
        bundle = _bundle(host, host.run(_capture(case_options), setup=setup))
        (records,) = [i for i in bundle.items if i["kind"] == "record"]
        lines = [json.loads(line) for line in bundle.content(records).splitlines()]
        victim = int((host.work / "pid").read_text(encoding="ascii"))
        (line,) = [one for one in lines if one["pid"] == victim]
        assert line["cmdline"] == ["sleep", "301"]
        assert line["in_sweep"]
        met = not line["in_deep_pass"]
        assert met == bool(line["gone"]), line
        only_bundle(host.work / "usb").unlink()
        if met:
            break
    assert met, "the process was never gone in time"


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="no /dev/fuse here")
def test_a_hung_fuse_mount_below_var_log_costs_its_own_items_only(
    host: Host, case_options: str
) -> None:
    _profile(host, "processes", "kernel", "linux_logs")
    setup = f"""
        mkdir /var/log/hung
        python {ROOT}/tests/support/hung_fuse.py /var/log/hung mounted & until [ -s mounted ]; do sleep 0.02; done"""
    run = host.run(f"cat mounted; echo; {_capture(case_options)}", setup=setup, timeout=90)
    if not run.stdout.startswith("mounted"):
        pytest.skip(f"no FUSE mount here: {run.stdout}")
    bundle = _bundle(host, run)
    assert bundle.one("/var/log/auth.log")["outcome"] == "captured"
    said = [*bundle.notes, *(i["reason"] or "" for i in bundle.of("/var/log/hung"))]
    assert [text for text in said if "/var/log/hung" in text or "fuse" in text], bundle.notes


_SCREENS = {
    "console": ({"TERM": "linux", "LANG": "ja_JP.UTF-8"}, "en"),
    "C": ({"TERM": "xterm", "LANG": "C"}, "en"),
    "POSIX": ({"TERM": "xterm", "LC_ALL": "POSIX", "LANG": "ja_JP.UTF-8"}, "en"),
    "eucJP": ({"TERM": "xterm", "LANG": "ja_JP.eucJP"}, "en"),
    "Japanese": ({"TERM": "xterm", "LANG": "ja_JP.UTF-8"}, "ja"),
}


@pytest.mark.parametrize("screen", list(_SCREENS))
def test_a_terminal_gets_words_that_it_can_show(host: Host, case_options: str, screen: str) -> None:
    _profile(host, "clock", "linux_logs")
    env, language = _SCREENS[screen]
    settings = " ".join(f"{name}={value}" for name, value in env.items())
    case = case_options.replace("Sato Hanako", "佐藤 花子")
    plain = f"env -u LANG -u LC_ALL {settings} {_capture(case)}"
    (host.work / "typed.sh").write_text(plain + "\n", encoding="utf-8")
    run = host.run(
        "script -qec 'sh typed.sh' /dev/null </dev/null >screen.txt; true",
        setup="printf x >'/var/log/ログ'",
    )
    assert run.returncode == 0, run.stderr
    shown = (host.work / "screen.txt").read_bytes()
    text = shown.decode("utf-8")
    assert "\N{REPLACEMENT CHARACTER}" not in text
    assert "Traceback" not in text
    if language == "en":
        assert shown.isascii()
        assert "Do not power off" in text
    else:
        assert "電源を切らない" in text
    bundle = Bundle(only_bundle(host.work / "usb"))
    assert bundle.about["case"]["operator"] == "佐藤 花子"
    assert bundle.one("/var/log/ログ")["outcome"] == "captured"
