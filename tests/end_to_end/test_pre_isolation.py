"""`--profile pre-isolation`: the volatile part first and in time, then word about the cable, then the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bundles import Bundle, only_bundle

if TYPE_CHECKING:
    from synthetic_host import Host

_SLOW = """name: cut
version: 1
description: {en: "cut", ja: "遮断"}
artifacts: [sockets, processes, clock, kernel, linux_logs]
isolation: 1s
"""


def test_after_the_volatile_part_the_screen_says_that_the_cable_may_be_pulled_and_why(
    host: Host, case_options: str
) -> None:
    run = host.run(
        f"hozen capture {case_options} --profile pre-isolation --without filesystem --allow-local --out usb"
    )
    assert run.returncode == 0, run.stderr
    talk = run.stderr.splitlines()
    said = [n for n, line in enumerate(talk) if "SAFE TO PULL" in line]
    logs = [n for n, line in enumerate(talk) if line.endswith("] linux_logs")]
    volatile = [n for n, line in enumerate(talk) if line.endswith("] processes")]
    assert len(said) == len(logs) == len(volatile) == 1, run.stderr
    assert volatile < said < logs
    bundle = Bundle(only_bundle(host.work / "usb"))
    [note] = [n for n in bundle.notes if n.startswith("isolation: SAFE TO PULL")]
    assert "durable" in note
    order = list(dict.fromkeys(item["artifact"] for item in bundle.items))
    assert order[0] == "sockets"
    assert order.index("kernel") < order.index("linux_logs")


def test_everything_volatile_is_recorded_within_sixty_seconds_of_the_start(
    host: Host, case_options: str
) -> None:
    run = host.run(
        f"hozen -q capture {case_options} --profile pre-isolation --without filesystem --allow-local --out usb"
    )
    assert run.returncode == 0, run.stderr
    bundle = Bundle(only_bundle(host.work / "usb"))
    plan = json.loads(bundle.members["hozen/plan.json"])
    assert plan["limits"]["volatile_deadline_seconds"] == 60
    ranks = {one["artifact"]: one["rank"] for one in plan["artifacts"]}
    began = int(bundle.about["clock"]["mono_start"])
    ended = [int(i["mono_ended"]) for i in bundle.items if ranks[i["artifact"]] < 50]
    assert max(ended) - began < 60 * 10**9
    # What the message rests on: the epoch that holds the last volatile item is closed before any file is asked for.
    types = [(r["type"], r.get("text", "")) for r in bundle.records]
    note = next(n for n, (_, text) in enumerate(types) if text.startswith("isolation:"))
    last = max(
        n for n, r in enumerate(bundle.records) if r["type"] == "item" and r["item"] <= len(ended)
    )
    assert any(kind == "next" for kind, _ in types[last:note])


def test_what_the_time_does_not_allow_is_put_off_named_and_read_afterwards(
    host: Host, case_options: str
) -> None:
    (host.work / "cut.yaml").write_text(_SLOW, encoding="utf-8")
    slow = """
        mkdir -p /run/x; sleep 301 &
        cat >/run/x/sitecustomize.py <<'END'
import os, sys
if 'capture' in sys.argv:
    import hozen_agent.proc.deep as deep, time
    def slow(self, pids, inner=deep.DeepPass.batches):
        for batch in inner(self, pids):
            time.sleep(1.2)
            yield batch
    deep.DeepPass.batches = slow
END
        """
    run = host.run(
        f"{slow}\nPYTHONPATH=/run/x hozen capture {case_options} --profile ./cut.yaml --allow-local --out usb",
    )
    assert run.returncode == 0, run.stderr
    assert "not yet read: clock, kernel" in run.stderr
    bundle = Bundle(only_bundle(host.work / "usb"))
    late = [i for i in bundle.items if i["artifact"] == "processes" and i["outcome"] == "timed_out"]
    assert late, "the artifact at hand ended with its time"
    assert "1 s of the volatile part were over" in late[0]["reason"]
    order = list(dict.fromkeys(i["artifact"] for i in bundle.items))
    assert order == ["sockets", "processes", "clock", "kernel", "linux_logs"]
    assert sum("was not begun within the volatile part" in n for n in bundle.notes) == 2


def test_the_isolation_is_a_custody_event_with_who_and_when(host: Host, case_options: str) -> None:
    run = host.run(
        f"""hozen -q capture {case_options} --profile pre-isolation --without filesystem --allow-local \\
            --out usb || exit 9
        hozen note usb/*.zip --isolated --by 'Sato Hanako' --at '2026-11-23 14:05 +09:00' --json"""
    )
    assert run.returncode == 0, run.stderr
    event = json.loads(run.stdout[run.stdout.index("{") :])
    assert event["type"] == "ISOLATE"
    [record] = (host.work / "usb").glob("*.proofs/**/*.json")
    written = json.loads(record.read_text(encoding="utf-8"))
    assert "Sato Hanako" in json.dumps(written)
    assert "2026-11-23T05:05:00" in json.dumps(written)
