"""kill -9, Ctrl-C, a full medium and a pulled one: what was journalled stays provable, and nothing looks finished."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from hozen_hashes import partials

if TYPE_CHECKING:
    from pathlib import Path

    from synthetic_host import Host

_PROFILE = """name: logs
version: 1
description: {en: "logs only", ja: "ログのみ"}
artifacts: [linux_logs]
limits: {free_space_floor: 1MiB, free_space_floor_share: 0%}
epoch: {seconds: 50ms, bytes: 2MiB}
"""
_LOGS = r"""
for n in $(seq 1 4); do head -c 12000000 /dev/urandom >/var/log/big$n.log; done
for n in $(seq 1 300); do head -c 40000 /dev/urandom >/var/log/small$n.log; done
for n in $(seq 5 8); do head -c 12000000 /dev/urandom >/var/log/big$n.log; done
"""


@pytest.fixture
def profile(host: Host) -> Path:
    path = host.work / "logs.yaml"
    path.write_text(_PROFILE, encoding="utf-8")
    return path


def capture(case: str, out: str = "usb", more: str = "") -> str:
    return f"hozen -q capture {case} --profile ./logs.yaml --allow-local --out {out} {more}"


def _judge(folder: Path) -> tuple[int, int]:
    """Return (proved epochs, items named by them) of what one kill left; nothing may contradict a proved record."""
    journals = list(folder.glob("*.journal"))
    if not journals:
        return 0, 0
    report = partials.locate(journals[0]).report()
    assert report.contradictions == ()
    # The tables for people are renderings of `files`, whose lines the sidecar holds; only they may be lost.
    lost = [one.path for one in report.unproved if one.reason == "lost"]
    assert all(path.startswith("hozen/items/") for path in lost), (
        "a durable record names bytes that are not there"
    )
    closed = {
        path.stem for path in journals[0].glob("*.jsonl") if not path.name.endswith("files.jsonl")
    }
    # The newest segment may have been killed between its files; all before it must be proved.
    assert report.journal.proved >= len(closed) - 1
    named = [
        entry
        for stem in sorted(closed)[: report.journal.proved]
        for line in (journals[0] / f"{stem}.jsonl").read_text(encoding="ascii").splitlines()
        if (entry := json.loads(line))["type"] == "item" and entry["path"]
    ]
    proved = {one.path for one in report.proved}
    assert {entry["path"] for entry in named} <= proved
    return report.journal.proved, len(named)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("points", [10, pytest.param(32, marks=pytest.mark.slow)])
def test_kill_9_at_any_point_loses_at_most_one_epoch(
    host: Host, profile: Path, case_options: str, points: int
) -> None:
    assert profile.exists()
    chance = random.Random(points)
    # A point is an epoch and some milliseconds more, so that a slow machine is hit where a fast one is.
    spread = (0, *range(22, 0, -max(1, 24 // points)))  # a late one always: 20 epochs are proved
    epochs = [*spread, *(chance.randrange(24) for _ in range(points))][:points]
    wanted = " ".join(f"{epoch:06d}:{chance.uniform(0, 0.06):.3f}" for epoch in epochs)
    script = f"""
        {capture(case_options)} || exit 9
        n=0
        for point in {wanted}; do
          n=$((n+1)); mkdir k$n
          {capture(case_options, out="k$n")} & pid=$!
          until ls k$n/*.journal/${{point%:*}}.jsonl >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null
          do sleep 0.005; done
          sleep ${{point#*:}}; kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
        done; true"""
    run = host.run(script, setup=_LOGS, timeout=380)
    assert run.returncode == 0, run.stderr
    whole = next((host.work / "usb").glob("*.zip"))
    assert whole.stat().st_size > 80_000_000
    torn = [n for n in range(1, points + 1) if not list((host.work / f"k{n}").glob("*.zip"))]
    results = [_judge(host.work / f"k{n}") for n in torn]
    assert len(torn) == points, "every kill must hit a running capture"
    assert max(proved for proved, _ in results) >= 20
    assert sum(items for _, items in results) > points


def test_ctrl_c_once_seals_what_there_is(host: Host, profile: Path, case_options: str) -> None:
    assert profile.exists()
    script = f"""
        {capture(case_options, more="--json")} >said.json & pid=$!
        until ls usb/*.journal/000003.jsonl >/dev/null 2>&1; do sleep 0.01; done
        kill -INT $pid; wait $pid; echo "code $?" """
    run = host.run(script, setup=_LOGS)
    assert "code 3" in run.stdout, run.stderr
    said = json.loads((host.work / "said.json").read_text(encoding="utf-8"))
    assert said["reason"] == "interrupted"
    check = host.run("hozen verify --json usb/*.zip; echo; hozen inspect --json usb/*.zip >i.json")
    assert '"integrity": "match"' in check.stdout
    assert not list((host.work / "usb").glob("*.journal"))


def test_hangup_and_a_closed_pipe_do_not_end_a_capture(
    host: Host, profile: Path, case_options: str
) -> None:
    assert profile.exists()
    script = f"""
        {capture(case_options)} 2>&1 | true
        setsid bash -c '{capture(case_options, out="hup").replace("'", '"')}' & pid=$!
        until ls hup/*.journal/000002.jsonl >/dev/null 2>&1; do sleep 0.01; done
        pkill -HUP -f hozen; wait $pid; echo "code $?" """
    run = host.run(f"mkdir hup; {script}", setup=_LOGS)
    assert "code 0" in run.stdout, run.stderr
    assert list((host.work / "usb").glob("*.zip"))
    assert list((host.work / "hup").glob("*.zip"))


def test_a_full_medium_is_an_error_a_provable_partial_and_no_finished_name(
    host: Host, profile: Path, case_options: str
) -> None:
    assert profile.exists()
    setup = _LOGS + "mkdir full; mount -t tmpfs -o size=24m tmpfs full"
    script = f"""
        {capture(case_options, out="full")}; echo "code $?"
        mkdir seen; cp -r full/* seen/ """
    run = host.run(
        script.replace("./logs.yaml", "./nofloor.yaml"),
        setup=setup
        + "\nsed 's/free_space_floor: 1MiB/free_space_floor: 1/' logs.yaml >nofloor.yaml",
    )
    assert "code 73" in run.stdout, run.stderr
    assert "hint:" in run.stderr
    assert "Traceback" not in run.stderr
    seen = host.work / "seen"
    assert not list(seen.glob("*.zip"))
    epochs, _ = _judge(seen)
    assert epochs >= 3


def test_the_free_space_floor_seals_before_the_medium_is_full(
    host: Host, profile: Path, case_options: str
) -> None:
    assert profile.exists()
    setup = (
        _LOGS
        + "mkdir full; mount -t tmpfs -o size=40m tmpfs full\nsed -i 's/floor: 1MiB/floor: 8MiB/' logs.yaml"
    )
    script = f"""
        {capture(case_options, out="full", more="--json")} >said.json; echo "code $?"
        hozen verify --json full/*.zip >verdict.json; true"""
    run = host.run(script, setup=setup)
    assert "code 3" in run.stdout, run.stderr
    assert json.loads((host.work / "said.json").read_text(encoding="utf-8"))["reason"] == "full"
    assert '"integrity": "match"' in (host.work / "verdict.json").read_text(encoding="utf-8")
