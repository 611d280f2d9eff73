"""`hozen diff` on real captures: each planted change is found and nothing else, and nothing unread is called new."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from synthetic_host import BIN, CASE, SMALL, Host

if TYPE_CHECKING:
    from pathlib import Path

# Small trees of our own, a package database with one package of two programs, and a listener that stays.
SETUP = (
    SMALL
    + r"""
for d in /usr/lib/*/; do
  case $d in *linux-gnu*) ;; *) mount -t tmpfs tmpfs "$d" ;; esac
done
mount -t tmpfs tmpfs /usr/local; mkdir -p /usr/local/bin /var/lib/dpkg/info
printf 'tool 1\n' >/usr/local/bin/tool; printf 'kept 1\n' >/usr/local/bin/kept; chmod 755 /usr/local/bin/*
package() {
  printf 'Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: %s\n\n' $1 >/var/lib/dpkg/status
  (cd /; md5sum usr/local/bin/tool usr/local/bin/kept) >/var/lib/dpkg/info/tool.md5sums
  printf '/usr/local/bin/tool\n/usr/local/bin/kept\n' >/var/lib/dpkg/info/tool.list
}
package 1.0
"""
)
CAPTURE = f"hozen capture {CASE} --profile standard --out usb --allow-local -q || exit 1\n"
CHANGE = r"""
printf 'eve:x:0:0::/home/eve:/bin/sh\n' >>/etc/passwd
printf 'ssh-ed25519 AAAAnew new@attacker\n' >>/root/.ssh/authorized_keys
printf '* * * * * root /tmp/second\n' >/etc/cron.d/second
printf '[Service]\nExecStart=/tmp/other\n' >/etc/systemd/system/evil.service
rm /etc/cron.d/evil
printf 'root shell\n' >/usr/local/bin/rootsh; chmod 4755 /usr/local/bin/rootsh
printf 'tool 2\n' >/usr/local/bin/tool; package 2.0
printf 'replaced beside the upgrade\n' >/usr/local/bin/kept
python3 -c "import socket,time; s=socket.socket(); s.bind(('127.0.0.1',4444)); s.listen(); time.sleep(300)" &
until grep -q :115C /proc/net/tcp; do :; done
"""


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three bundles of one host: twice as it was, then changed."""
    work = tmp_path_factory.mktemp("diff")
    (work / "usb").mkdir()
    probe = subprocess.run(["unshare", "-pfmnu", "--mount-proc", "true"], check=False)
    if probe.returncode != 0:
        pytest.skip("namespaces of our own cannot be made here")
    script = f"{CAPTURE}sleep 1\n{CAPTURE}{CHANGE}sleep 1\n{CAPTURE}"
    script += CAPTURE.replace("standard", "minimal").replace("usb", "usb/minimal")
    (work / "usb" / "minimal").mkdir()
    ran = Host(work).run(script, setup=SETUP, timeout=240)
    assert ran.returncode == 0, ran.stderr
    one, same, changed = sorted((work / "usb").glob("*.zip"))
    (minimal,) = (work / "usb" / "minimal").glob("*.zip")
    return {"one": one, "same": same, "changed": changed, "minimal": minimal}


def diff(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "hozen"), "--lang", "en", "diff", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def document(*words: object) -> dict[str, Any]:
    ran = diff("--json", *words)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_two_captures_of_an_unchanged_host_have_no_difference(captures: dict[str, Path]) -> None:
    found = document(captures["one"], captures["same"])
    sure = [one for one in found["differences"] if one["state"] != "not_comparable"]
    assert sure == []
    assert found["notes"] == []


def test_each_planted_change_is_found_and_nothing_else(captures: dict[str, Path]) -> None:
    found = document(captures["same"], captures["changed"])
    sure = {
        (one["state"], one["group"], one["key"].partition(" [")[0])
        for one in found["differences"]
        if one["state"] != "not_comparable"
    }
    python = next(key for state, group, key in sure if group == "process")
    assert sure == {
        ("new", "account", "eve"),
        ("new", "ssh_key", "/root/.ssh/authorized_keys: ssh-ed25519 AAAAnew new@attacker"),
        ("new", "listener", "tcp 127.0.0.1:4444"),
        ("new", "process", python),
        ("changed", "unit", "/etc/systemd/system/evil.service"),
        ("new", "cron", "/etc/cron.d/second"),
        ("gone", "cron", "/etc/cron.d/evil"),
        ("new", "special_bit", "/usr/local/bin/rootsh"),
        ("new", "executable", "/usr/local/bin/rootsh"),
        ("changed", "executable", "/usr/local/bin/kept"),
        ("changed", "package", "dpkg tool all"),
    }


def test_an_upgraded_program_is_in_its_packages_line_and_a_replaced_one_is_not(
    captures: dict[str, Path],
) -> None:
    found = document(captures["same"], captures["changed"])
    (package,) = [one for one in found["differences"] if one["group"] == "package"]
    assert package["folded"] == 1
    assert package["before"]["values"] == ["1.0 install ok installed"]
    assert package["after"]["values"] == ["2.0 install ok installed"]


def test_the_items_that_show_a_difference_hold_it(captures: dict[str, Path]) -> None:
    found = document(captures["same"], captures["changed"])
    (cron,) = [one for one in found["differences"] if one["key"] == "/etc/cron.d/second"]
    (item,) = cron["after"]["items"]
    shown = subprocess.run(
        [str(BIN / "hozen"), "inspect", str(captures["changed"]), str(item)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "/tmp/second" in shown.stdout


def test_what_the_smaller_profile_does_not_ask_for_is_not_comparable_and_never_gone(
    captures: dict[str, Path],
) -> None:
    found = document(captures["changed"], captures["minimal"])
    assert [note["note"] for note in found["notes"]] == ["profile"]
    programs = [
        one for one in found["differences"] if one["group"] in {"executable", "special_bit"}
    ]
    assert programs
    assert {one["state"] for one in programs} == {"not_comparable"}
    assert "not in the later capture" in programs[0]["reason"]
    assert diff("--strict", captures["changed"], captures["minimal"]).returncode == 3


def test_a_changed_bundle_ends_with_one_and_says_that_its_differences_prove_nothing(
    captures: dict[str, Path], tmp_path: Path
) -> None:
    work = tmp_path / "opened"
    subprocess.run(["unzip", "-q", str(captures["changed"]), "-d", str(work)], check=True)
    (bag,) = work.iterdir()
    log = next((bag / "data" / "linux_logs").iterdir())
    log.write_bytes(log.read_bytes() + b"one line more\n")
    ran = diff(captures["same"], bag)
    assert ran.returncode == 1
    assert "prove nothing" in ran.stderr
    assert "+ eve" in ran.stdout


def test_a_record_that_was_exchanged_is_bad_data(captures: dict[str, Path], tmp_path: Path) -> None:
    work = tmp_path / "opened"
    subprocess.run(["unzip", "-q", str(captures["changed"]), "-d", str(work)], check=True)
    (bag,) = work.iterdir()
    records = sorted((bag / "data" / "sockets").glob("*.jsonl"))
    records[-1].write_bytes(records[-1].read_bytes().replace(b"4444", b"4445"))
    ran = diff(captures["same"], bag)
    assert ran.returncode == 65
    assert "does not have the hash that its row states" in ran.stderr


def test_a_pipe_is_refused_with_a_hint(captures: dict[str, Path]) -> None:
    ran = diff(captures["one"], "-")
    assert ran.returncode == 64
    assert "give two files" in ran.stderr


def test_the_page_is_written_once_and_holds_no_script(
    captures: dict[str, Path], tmp_path: Path
) -> None:
    page = tmp_path / "differences.html"
    assert diff(captures["same"], captures["changed"], "--html", page).returncode == 0
    text = page.read_text("utf-8")
    assert "/etc/cron.d/second" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert diff(captures["same"], captures["changed"], "--html", page).returncode == 64
