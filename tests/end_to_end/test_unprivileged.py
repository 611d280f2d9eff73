"""A capture without root completes, says so first and last, and its bundle is as good as any other."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from bundles import Bundle, only_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from synthetic_host import Host

_SETUP = """
chown -R 1000:1000 /home/sato; mkdir -m 700 /home/sato/usb; chown 1000:1000 /home/sato/usb
chmod 640 /var/log/auth.log; chmod 700 /var/log/audit; cd /home/sato
sleep 302 & echo $! >/run/other; chmod 644 /run/other
as_sato() { setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all env HOME=/home/sato "$@"; }
"""


@pytest.fixture
def without_root(host: Host, case_options: str) -> tuple[Path, list[str], str]:
    """The bundle, the lines of talk, and what verify says, of a run by an ordinary user."""
    script = f"""
        as_sato hozen capture {case_options} --allow-local --out usb --json >said.json 2>talk.txt; echo "code $?"
        as_sato hozen verify --json usb/*.zip >verdict.json
        cp usb/*.zip said.json talk.txt verdict.json {host.work}/usb/; cp /run/other {host.work}/other"""
    run = host.run(script, setup=_SETUP)
    folder = host.work / "usb"
    talk = (folder / "talk.txt").read_text(encoding="utf-8").splitlines()
    assert "code 0" in run.stdout, run.stdout + run.stderr + "\n".join(talk)
    return only_bundle(folder), talk, (folder / "verdict.json").read_text(encoding="utf-8")


def test_an_unprivileged_run_completes_and_says_so_first_and_last(
    without_root: tuple[Path, list[str], str],
) -> None:
    path, talk, verdict = without_root
    bundle = Bundle(path)
    assert '"integrity": "match"' in verdict
    assert "without root" in talk[0]
    assert "without root" in talk[-1]
    lacking = [i for i in bundle.items if i["outcome"] not in ("captured", "empty", "missing")]
    said = re.search(r"without root: (\d+) attempts were not obtained \((.*)\)", talk[-1])
    assert said is not None, talk[-1]
    assert int(said[1]) == len(lacking)
    denied = sum(i["outcome"] == "denied" for i in lacking)
    assert denied > 0
    assert f"{denied} denied" in said[2]
    assert json.loads((path.parent / "said.json").read_text())["not_obtained"] == len(lacking)


def test_what_an_ordinary_user_may_not_read_is_denied_with_a_reason(
    without_root: tuple[Path, list[str], str],
) -> None:
    bundle = Bundle(without_root[0])
    item = bundle.one("/var/log/auth.log")
    assert (item["outcome"], item["path"]) == ("denied", None)
    assert item["reason"]
    assert bundle.one("/etc/shadow", outcome="denied")["reason"]
    # Names in a closed directory cannot be known; that there is one is said.
    assert bundle.one("/var/log/audit")["outcome"] == "denied"
    assert bundle.one("/home/sato/.bash_history")["outcome"] == "captured"
    assert bundle.about["privileges"]["root"] is False
    assert bundle.about["agent"]["uid"] == 1000
    hidden = [n for n in bundle.notes if "private view" in n or "namespace" in n]
    assert hidden, bundle.notes


def test_processes_of_others_are_listed_with_what_was_denied(
    without_root: tuple[Path, list[str], str],
) -> None:
    path, _, _ = without_root
    bundle = Bundle(path)
    (records,) = [i for i in bundle.items if (i["artifact"], i["kind"]) == ("processes", "record")]
    lines = [json.loads(line) for line in bundle.content(records).splitlines()]
    other = int((path.parent.parent / "other").read_text())
    (line,) = [one for one in lines if one["pid"] == other]
    assert (line["uid"], line["cmdline"]) == (0, ["sleep", "302"])
    assert line["exe_sha256"] is None
    sweep = next(
        i for i in bundle.items if i["artifact"] == "processes" and i["kind"] == "snapshot"
    )
    errors = bundle.tar(sweep)["ERRORS.jsonl"].decode()
    assert f"proc/{other}/" in errors


def test_a_run_by_root_does_not_speak_of_missing_rights(host: Host, case_options: str) -> None:
    run = host.run(f"hozen capture {case_options} --allow-local --out usb")
    assert run.returncode == 0, run.stderr
    assert "without root" not in run.stderr
    bundle = Bundle(only_bundle(host.work / "usb"))
    assert bundle.about["privileges"]["root"] is True
    # The kernel tells its audit rules to root of the first namespaces only, and these are others.
    denied = [i for i in bundle.items if i["outcome"] == "denied"]
    assert {i["artifact"] for i in denied} <= {"audit"}
    assert all("first pid and user namespace" in i["reason"] for i in denied)
    assert "may be removed" in run.stderr


def test_root_of_a_user_namespace_completes_and_names_what_was_denied(
    host: Host, case_options: str
) -> None:
    script = f"""
        as_sato unshare -Ur hozen capture {case_options} --allow-local --out usb 2>talk.txt; code=$?
        hozen verify --json usb/*.zip >verdict.json; cp usb/*.zip talk.txt verdict.json {host.work}/usb/
        exit $code"""
    run = host.run(script, setup=_SETUP)
    folder = host.work / "usb"
    talk = (folder / "talk.txt").read_text(encoding="utf-8")
    if "unshare failed" in talk:
        pytest.skip("no user namespaces for users here")
    assert run.returncode == 0, talk + run.stderr
    assert '"integrity": "match"' in (folder / "verdict.json").read_text(encoding="utf-8")
    bundle = Bundle(only_bundle(folder))
    denied = [i for i in bundle.items if i["outcome"] == "denied"]
    assert denied
    assert f"{len(denied)} denied" in talk.splitlines()[-1]
