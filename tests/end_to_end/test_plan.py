"""What `hozen plan` shows is what a capture then attempts: nobody consents to less than is read (law B12)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bundles import Bundle, only_bundle

if TYPE_CHECKING:
    from collections.abc import Collection

    from synthetic_host import Host

_ODD = (
    r"printf x >'/var/log/a b'; printf x >$'/var/log/new\nline'; printf x >$'/var/log/\xff'; mkfifo /var/log/pipe;"
    "mkdir -p /run/mount; echo SRC=x >/run/mount/utab"
)


def _both(host: Host, case: str, profile: str = "standard") -> tuple[dict[str, Any], Bundle]:
    """Return the plan and the capture that followed it at once."""
    # The medium of these tests lies in /tmp, and others look at files they do not keep.
    moving = "" if profile == "minimal" else "--without temporary_files"
    script = f"""
        hozen plan --profile {profile} {moving} --files --json >plan.json || exit 9
        hozen -q capture {case} --profile {profile} {moving} --allow-local --out usb"""
    run = host.run(script, setup=_ODD)
    assert run.returncode == 0, run.stderr
    plan = json.loads((host.work / "plan.json").read_text(encoding="utf-8"))
    return plan, Bundle(only_bundle(host.work / "usb"))


@pytest.mark.parametrize("profile", ["standard", "minimal"])
def test_a_capture_attempts_the_planned_artifacts_in_the_planned_order(
    host: Host, case_options: str, profile: str
) -> None:
    plan, bundle = _both(host, case_options, profile)
    planned = [one["artifact"] for one in plan["artifacts"]]
    attempted = list(dict.fromkeys(item["artifact"] for item in bundle.items))
    assert attempted == planned
    order = [planned.index(item["artifact"]) for item in bundle.items]
    assert order == sorted(order)
    ranks = [one["rank"] for one in plan["artifacts"]]
    assert ranks == sorted(ranks), "the most volatile first"
    assert json.loads(bundle.members["hozen/plan.json"])["artifacts"] == plan["artifacts"]


def test_a_capture_asks_for_the_planned_files_and_for_no_other(
    host: Host, case_options: str
) -> None:
    plan, bundle = _both(host, case_options)
    # bundle-v1 §7: `items/*.csv` has the same readable form of a source as the plan.
    for artifact, planned in plan["files"].items():
        attempted = {_readable(item["source"]) for item in _files(bundle, artifact)}
        if not planned:  # nothing matches: one item says so; or it walks, and opens no file
            walks = all(source.startswith(f"{artifact}:") for source in attempted)
            assert len(attempted) <= 1 or walks, artifact
            continue
        assert attempted == set(_recorded(planned, attempted)), artifact
    assert {"/var/log/a b", "/var/log/new\\x0aline", "/var/log/\\xff", "/var/log/pipe"} <= set(
        plan["files"]["linux_logs"]
    )
    assert "/run/mount/utab" in plan["files"]["storage"]
    assert sum(map(len, plan["files"].values())) > 100


def test_files_are_read_in_the_planned_order(host: Host, case_options: str) -> None:
    plan, bundle = _both(host, case_options)
    for artifact, planned in plan["files"].items():
        if not planned:
            continue
        sources = [_readable(i["source"]) for i in _files(bundle, artifact)]
        assert list(dict.fromkeys(sources)) == _recorded(planned, sources), artifact


def test_a_plan_reads_no_content_and_leaves_access_times_alone(host: Host) -> None:
    script = """
        look() { find /var/log /etc /home -type f -printf '%p %A@\\n' | sort; }
        look >before; hozen plan --files >/dev/null || exit 9; look >after"""
    run = host.run(
        script, setup="for d in /var/log /home /etc; do mount -o remount,strictatime $d; done"
    )
    assert run.returncode == 0, run.stderr
    before, after = ((host.work / n).read_text(encoding="utf-8") for n in ("before", "after"))
    # The homes are named by /etc/passwd, which is looked at without leaving a trace either.
    assert set(before.splitlines()) - set(after.splitlines()) == set()
    assert before.count("\n") > 10


def test_the_plan_is_shown_in_words_in_both_languages(host: Host) -> None:
    run = host.run("hozen plan --lang en; hozen plan --lang ja")
    assert run.returncode == 0, run.stderr
    for word in ("most volatile first", "揮発性の順序", "linux_logs", "/var/log/**"):
        assert word in run.stdout


def _recorded(planned: list[str], attempted: Collection[str]) -> list[str]:
    """Return the planned files without the list of modules, which is read to find files and is no item."""
    return [path for path in planned if path in attempted or not path.endswith("/modules.dep")]


def _files(bundle: Bundle, artifact: str) -> list[dict[str, Any]]:
    """Return the artifact's items that are files; some families also record what the kernel says."""
    items = [item for item in bundle.items if item["artifact"] == artifact]
    return [i for i in items if i["kind"] not in {"record", "snapshot"}]


def _readable(source: str) -> str:
    from urllib.parse import unquote_to_bytes

    text = unquote_to_bytes(source).decode("utf-8", "surrogateescape")
    return "".join(
        "\\\\"
        if c == "\\"
        else c
        if c.isprintable()
        else f"\\x{c.encode('utf-8', 'surrogateescape')[0]:02x}"
        for c in text
    )


def test_a_bundle_that_is_written_below_tmp_is_told_and_not_in_itself(
    host: Host, case_options: str
) -> None:
    script = f"""
        mkdir /tmp/out; echo loot >/tmp/out/loot; echo old >/tmp/out/hz-20260101T000000Z-old-00000000.zip
        hozen -q capture {case_options} --profile standard --allow-local --out /tmp/out || exit 9
        cp /tmp/out/hz-*web01*.zip usb"""
    run = host.run(script)
    assert run.returncode == 0, run.stderr
    bundle = Bundle(only_bundle(host.work / "usb"))
    items = [item for item in bundle.items if item["source"].startswith("/tmp/out/")]
    taken = {item["source"] for item in items if item["path"]}
    assert taken == {"/tmp/out/loot", "/tmp/out/hz-20260101T000000Z-old-00000000.zip"}
    ours = {item["source"].rpartition(".")[2]: item for item in items if not item["path"]}
    assert set(ours) == {"journal", "partial"}
    for item in ours.values():
        assert (item["outcome"], item["kind"]) == ("captured", "metadata")
        assert item["withheld"] == "own_output"
