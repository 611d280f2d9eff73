"""A host on which an intruder left everything that issue after issue speaks of: one capture finds every trace."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bundles import Bundle, only_bundle
from hiding import build
from planted_host import CONTAINER, LOG, PORT
from synthetic_host import BIN, CASE, ROOT, SMALL, Host

if TYPE_CHECKING:
    Planted = tuple[Bundle, dict[str, Any]]

_SETUP = f"""{SMALL}
python {ROOT}/tests/support/planted_host.py . libhide.so >planted.txt 2>&1 & planter=$!
until [ -e plants.json ]; do kill -0 $planter || {{ cat planted.txt >&2; exit 1; }}; sleep 0.02; done
. ./plants.sh
undo() {{
    [ -z "$contained" ] || kill -9 $contained
    for n in 1 2 3 4 5; do [ -z "$group" ] || ! [ -d "$group" ] || rmdir "$group" 2>/dev/null || sleep 0.1; done
}}
trap undo EXIT
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Capture the planted host once, with the profile most captures are made with."""
    host = Host(tmp_path_factory.mktemp("planted"))
    (host.work / "usb").mkdir()
    build(host.work / "libhide.so")
    run = host.run(
        f"HIDE_PID=$hidden hozen capture {CASE} --profile standard --allow-local --out usb",
        setup=_SETUP,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    plants = json.loads((host.work / "plants.json").read_text(encoding="ascii"))
    plants["bundle"] = only_bundle(host.work / "usb")
    return Bundle(plants["bundle"]), plants


def _records(bundle: Bundle, artifact: str, ext: str = "jsonl") -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for item in bundle.items
        if item["artifact"] == artifact and item["path"] and item["path"].endswith(ext)
        for line in bundle.content(item).splitlines()
    ]


def _observed(bundle: Bundle, part: str) -> list[dict[str, Any]]:
    lines = _records(bundle, "cross_view")
    return [x for x in lines if x["line"] == "observation" and x["part"] == part]


pytestmark = pytest.mark.needs("gcc")


def test_the_deleted_and_the_fileless_program_come_back_whole(planted: Planted) -> None:
    bundle, plants = planted
    for name in ("deleted_executable", "memory_executable"):
        item = bundle.one(f"/proc/{plants[name]['pid']}/exe", artifact="recovered")
        assert item["outcome"] == "captured"
        assert bundle.content(item) == Path("/bin/sleep").read_bytes()


def test_the_deleted_log_that_a_process_writes_comes_back_whole(planted: Planted) -> None:
    bundle, _ = planted
    items = [i for i in bundle.items if i["artifact"] == "recovered" and i["path"]]
    assert LOG in [bundle.content(item) for item in items]


def test_the_process_under_a_mount_is_recorded_and_the_mount_observed(planted: Planted) -> None:
    bundle, plants = planted
    pid = plants["covered_process"]["pid"]
    (seen,) = [x for x in _observed(bundle, "processes") if x["what"].startswith("a mount over")]
    assert seen["subject"]["pid"] == pid
    record = next(x for x in _records(bundle, "processes") if x["pid"] == pid)
    assert record["cmdline"] == ["covered", "3600"]


def test_the_process_hidden_by_the_library_is_observed(planted: Planted) -> None:
    bundle, plants = planted
    (seen,) = [
        x for x in _observed(bundle, "processes") if not x["what"].startswith("a mount over")
    ]
    assert seen["subject"]["pid"] == plants["preloaded"]["pid"]
    assert set(seen["not_seen"]) == {"detached.readdir", "mounted.readdir"}
    assert {"kill", "detached.getdents64"} <= set(seen["seen"])
    record = next(x for x in _records(bundle, "processes") if x["pid"] == seen["subject"]["pid"])
    assert record["cmdline"] == ["hidden", "3600"], "what was hidden is recorded like any other"
    assert (record["in_sweep"], record["in_deep_pass"]) == (True, True)


def test_the_preload_file_is_read_past_the_library_that_hides_it(planted: Planted) -> None:
    bundle, plants = planted
    (seen,) = _observed(bundle, "loader")
    assert seen["not_seen"] == ["libc"]
    raw = next(i for i in bundle.of("cross-view:loader") if i["kind"] == "snapshot")
    library = plants["preloaded"]["library"]
    assert bundle.tar(raw)["loader/1/ld.so.preload.syscall"] == f"{library}\n".encode()
    facts = [x for x in _records(bundle, "cross_view") if x["line"] == "fact"]
    assert [x["value"] for x in facts if x.get("pid") == plants["preloaded"]["pid"]] == [
        "/opt/evil/other.so"
    ]
    assert next(x["mapped_in"] for x in facts if x.get("path") == library) >= 1


def test_names_that_the_library_hides_are_observed_and_read_all_the_same(planted: Planted) -> None:
    bundle, _ = planted
    names = {
        (x["subject"]["directory"], x["subject"].get("name"))
        for x in _observed(bundle, "directories")
    }
    assert {
        ("/etc", "ld.so.preload"), ("/etc/cron.d", "evil"), ("/etc/systemd/system", "evil.service"), ("/opt", "evil"),
    } <= names  # fmt: skip
    assert b"/tmp/evil" in bundle.content(bundle.one("/etc/cron.d/evil"))
    assert b"/tmp/evil" in bundle.content(bundle.one("/etc/systemd/system/evil.service"))


def test_the_listener_in_the_second_network_namespace_is_recorded(planted: Planted) -> None:
    bundle, plants = planted
    sockets = [x for x in _records(bundle, "sockets") if (x.get("local") or {}).get("port") == PORT]
    (listener,) = [x for x in sockets if x.get("state") == "LISTEN"]
    assert str(listener["netns"]) == plants["listener"]["netns"]
    assert plants["listener"]["pid"] in {holder["pid"] for holder in listener["holders"]}


def test_the_process_of_a_container_is_known_by_its_control_group(planted: Planted) -> None:
    bundle, plants = planted
    if "container" in plants["not_planted"]:
        pytest.skip(f"no control group of our own: {plants['not_planted']['container']}")
    record = next(
        x for x in _records(bundle, "processes") if x["pid"] == plants["container"]["pid"]
    )
    assert any(CONTAINER in line for line in record["cgroup"])


def test_the_bundle_of_such_a_host_verifies(planted: Planted) -> None:
    _, plants = planted
    verify = [str(BIN / "hozen"), "verify", "--json", str(plants["bundle"])]
    check = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert '"integrity": "match"' in check.stdout, check.stderr
