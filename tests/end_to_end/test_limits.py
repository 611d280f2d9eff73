"""What a capture is bound by, seen from outside: priorities, caps, a stopped terminal, poor surroundings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from bundles import Bundle, only_bundle

if TYPE_CHECKING:
    from synthetic_host import Host

_PROFILE = """name: quick
version: 1
description: {en: "quick", ja: "簡易"}
artifacts: [processes, clock, linux_logs, accounts]
"""
_CAPTURE = "hozen capture --profile ./quick.yaml --allow-local --out usb"


@pytest.fixture(autouse=True)
def quick(host: Host) -> None:
    (host.work / "quick.yaml").write_text(_PROFILE, encoding="utf-8")


def limits(host: Host, text: str) -> None:
    (host.work / "quick.yaml").write_text(_PROFILE + text, encoding="utf-8")


def bundle_of(host: Host) -> Bundle:
    return Bundle(only_bundle(host.work / "usb"))


def test_every_process_of_the_capture_stands_back_while_files_are_read(
    host: Host, case_options: str
) -> None:
    limits(host, "limits: {cpu_share: 2%}\n")  # slow enough to be looked at
    script = f"""
        {_CAPTURE} {case_options} & sleep 0.5
        for n in $(seq 200); do
          for p in $(pgrep -x hozen); do echo "$(ps -o ni= -p $p) $(ionice -p $p | cut -d: -f1)"; done | sort >look.txt
          [ "$(grep -c '19 idle' look.txt)" -ge 3 ] && break; sleep 0.02
        done; wait $!; echo "code $?" """
    run = host.run(script, setup="for n in $(seq 3000); do echo $n >/var/log/l$n; done")
    assert "code 0" in run.stdout, run.stderr
    look = (host.work / "look.txt").read_text(encoding="utf-8").split("\n")
    assert len([one for one in look if one.split() == ["19", "idle"]]) >= 3, look
    obtained = bundle_of(host).about["limits"]["obtained"]
    assert set(obtained["nice"]) == {19}
    assert set(obtained["io_class"]) == {"idle"}
    assert obtained["slept_for_cpu_share_ms"] > 0
    assert obtained["memory_bytes"] == str(512 << 20)


def test_item_and_total_caps_hold_and_the_newest_bytes_are_kept(
    host: Host, case_options: str
) -> None:
    limits(host, "limits: {item: 100KiB, total: 1MiB}\n")
    plant = """seq 1 200000 >/var/log/big.log
        head -c 3000000 /dev/zero >/var/log/old.log; touch -d 2020-01-01 /var/log/old.log"""
    run = host.run(f"{_CAPTURE} {case_options}", setup=plant)
    assert run.returncode == 0, run.stderr
    bundle = bundle_of(host)
    big = bundle.one("/var/log/big.log")
    assert (big["outcome"], int(big["size"])) == ("truncated", 100 << 10)
    assert bundle.content(big).endswith(b"199999\n200000\n")
    size = int(big["stat"]["size"])
    assert big["left_out"] == [["0", str(size - (100 << 10))]]
    assert int(bundle.about["counts"]["bytes"]) <= 1 << 20
    assert bundle.about["limits"]["item_bytes"] == str(100 << 10)


def test_outside_the_window_files_are_listed_with_their_size_and_the_plan_says_so(
    host: Host, case_options: str
) -> None:
    plant = "echo old >/var/log/old.log; touch -d '30 days ago' /var/log/old.log; touch -d '30 days ago' /etc/passwd"
    run = host.run(f"{_CAPTURE} {case_options} --since 7d", setup=plant)
    assert run.returncode == 0, run.stderr
    bundle = bundle_of(host)
    old = bundle.one("/var/log/old.log")
    assert (old["withheld"], old["path"], old["left_out"]) == ("outside_window", None, [["0", "4"]])
    assert bundle.one("/etc/passwd", outcome="captured")["path"], (
        "accounts are taken whatever their age"
    )
    window = json.loads(bundle.members["hozen/plan.json"])["window"]
    assert window["until"] is None
    assert "linux_logs" in window["applies_to"]


def test_with_and_without_choose_artifacts_and_the_plan_keeps_it(
    host: Host, case_options: str
) -> None:
    run = host.run(f"{_CAPTURE} {case_options} --with kernel --without linux_logs")
    assert run.returncode == 0, run.stderr
    bundle = bundle_of(host)
    assert list(dict.fromkeys(i["artifact"] for i in bundle.items)) == [
        "processes",
        "clock",
        "kernel",
        "accounts",
    ]
    plan = json.loads(bundle.members["hozen/plan.json"])
    assert (plan["with"], plan["without"]) == (["kernel"], ["linux_logs"])
    for words in ("--with none_such", "--without kernel"):
        assert host.run(f"{_CAPTURE} {case_options} {words}").returncode == 64


def test_what_goes_deep_needs_a_reason_and_a_recipient(host: Host, case_options: str) -> None:
    limits(host, "redaction: false\n")
    run = host.run(f"{_CAPTURE} {case_options}")
    assert run.returncode == 64
    assert "redaction off" in run.stderr
    limits(host, "")
    for words, what in (
        ("--memory-of 1", "reason"),
        ("--memory-of 1 --reason x", "encrypted"),
    ):
        run = host.run(f"{_CAPTURE} {case_options} {words}")
        assert run.returncode == 64, run.stderr
        assert what in run.stderr
    assert not list((host.work / "usb").iterdir()), "nothing was begun"


@pytest.mark.timeout(120)
def test_a_terminal_that_was_stopped_with_ctrl_s_does_not_hold_the_capture(
    host: Host, case_options: str
) -> None:
    program = """
import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("sh", ["sh", "-c", sys.argv[1]])
os.write(terminal, b"\\x13")  # Ctrl-S, and nobody reads
end = time.monotonic() + 60
while time.monotonic() < end:
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
        print("ended", os.waitstatus_to_exitcode(status)); sys.exit()
    time.sleep(0.05)
print("held")
"""
    (host.work / "stopped.py").write_text(program, encoding="utf-8")
    call = f"{_CAPTURE} {case_options} --json >said.json".replace("'", "'\\''")
    run = host.run(
        f"python stopped.py '{call}'", setup="for n in $(seq 400); do echo $n >/var/log/l$n; done"
    )
    assert "ended 0" in run.stdout, run.stdout + run.stderr
    assert json.loads((host.work / "said.json").read_text(encoding="utf-8"))["reason"] == "complete"


def test_an_error_before_the_start_leaves_nothing_on_the_medium(
    host: Host, case_options: str
) -> None:
    limits(host, "limits: {free_space_floor: 0B, free_space_floor_share: 0%}\n")
    run = host.run(
        f'{_CAPTURE} {case_options}; echo "code $?"; ls -A usb | wc -l',
        setup="mount -t tmpfs -o size=8k tmpfs usb",  # the names fit, the signed start does not
    )
    assert "code 73" in run.stdout, run.stdout + run.stderr
    assert run.stdout.split()[-1] == "0", run.stdout


@pytest.mark.parametrize(
    "kind",
    [
        "setpriv --bounding-set -all,+dac_read_search,+sys_ptrace --inh-caps -all",
        "setpriv --bounding-set -all --inh-caps -all",
        "setpriv --no-new-privs",
        "unshare -Ur --mount-proc -pf",
    ],
)
def test_with_fewer_rights_it_completes_and_records_what_it_had(
    host: Host, case_options: str, kind: str
) -> None:
    run = host.run(f"{kind} {_CAPTURE} {case_options}")
    assert run.returncode == 0, run.stderr
    about = bundle_of(host).about
    effective = int(about["privileges"]["capabilities"], 16)
    if "sys_ptrace" in kind:
        assert effective == 1 << 2 | 1 << 19
    elif "bounding-set -all" in kind:
        assert effective == 0


def test_on_a_read_only_root_only_the_medium_is_written(host: Host, case_options: str) -> None:
    setup = """mount -t tmpfs tmpfs usb
        for m in / /etc /var/log /home /root /tmp /run; do mount -o remount,ro,bind $m; done"""
    run = host.run(
        f"{_CAPTURE} {case_options} && cat usb/*.zip >/dev/null && echo whole", setup=setup
    )
    assert run.returncode == 0, run.stderr
    assert "whole" in run.stdout
