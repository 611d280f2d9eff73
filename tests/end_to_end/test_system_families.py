"""Kernel, machine and containers in one capture: everything planted is in the bundle, within the processor's bound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bundles import Bundle, only_bundle
from synthetic_host import CASE, ROOT, Host

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = (
    "ebpf kernel_messages kernel_tracing audit kernel machine containers systemd_journal kernel_modules "
    "ssh_access persistence"
)
PROFILE = f"""name: system
version: 1
description: {{en: "system", ja: "システム"}}
artifacts: [{", ".join(FAMILIES.split())}]
"""
ID = "3f" * 32
SETUP = f"""
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/docker/containers/{ID} /etc/.git/hooks /run/user/0
echo '{{"ID":"{ID}","Name":"/web","Config":{{"Env":["DB_PASSWORD=Zq7pl4nt9"]}}}}' \\
    >/var/lib/docker/containers/{ID}/config.v2.json
echo '#!/bin/sh' >/etc/.git/hooks/post-commit
python - {ROOT}/tests/support <<'END' & holder=$!
import signal, sys
sys.path.append(sys.argv[1])
import bpfobjects
try:
    program = bpfobjects.load(b"planted")
except OSError:
    open("refused", "w")
open("ready", "w")
signal.pause()
END
until [ -e ready ]; do sleep 0.05; done
"""


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    host = Host(tmp_path_factory.mktemp("system"))
    (host.work / "usb").mkdir()
    (host.work / "system.yaml").write_text(PROFILE, encoding="utf-8")
    run = host.run(
        f"hozen capture {CASE} --profile ./system.yaml --allow-local --out usb; code=$?; kill $holder; exit $code",
        setup=SETUP,
    )
    assert run.returncode in {0, 2}, run.stderr
    return host.work, Bundle(only_bundle(host.work / "usb"))


def test_every_family_ends_in_recorded_outcomes(captured: tuple[Path, Bundle]) -> None:
    _, bundle = captured
    seen = {item["artifact"] for item in bundle.items}
    assert set(FAMILIES.split()) - seen <= {"systemd_journal", "kernel_modules"}
    assert not [i for i in bundle.items if i["outcome"] == "failed" and not i.get("reason")]


def test_what_was_planted_is_there(captured: tuple[Path, Bundle]) -> None:
    work, bundle = captured
    sources = {item["source"] for item in bundle.items}
    assert "/etc/.git/hooks/post-commit" in sources
    (container,) = _records(bundle, "containers", "/proc/*/cgroup")
    assert (container["id"], container["name"]) == (ID, "/web")
    if not (work / "refused").exists():
        names = {r.get("name") for r in _records(bundle, "ebpf", "bpf(2)")}
        assert "planted" in names


def test_no_planted_secret_left_the_host(captured: tuple[Path, Bundle]) -> None:
    _, bundle = captured
    for item in bundle.items:
        if item.get("path"):
            assert b"Zq7pl4nt9" not in bundle.content(item), item["source"]


def _records(bundle: Bundle, artifact: str, source: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for item in bundle.items
        if (item["artifact"], item["source"], item["kind"]) == (artifact, source, "record")
        for line in bundle.content(item).splitlines()
    ]
