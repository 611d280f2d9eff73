"""A whole capture on a host where processes hold what is deleted, and where the memory of one is asked for."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from bundles import Bundle, only_bundle

if TYPE_CHECKING:
    from synthetic_host import Host

_PLANTED = """
mkdir -p /srv/x; cp /bin/sleep /srv/x/evil; /srv/x/evil 300 & echo $! >/srv/x/pid; sleep 0.2; rm /srv/x/evil
yes 'one line of a log that is gone' | head -n 40000 >/srv/x/evil.log
exec 7<>/srv/x/evil.log; rm /srv/x/evil.log
"""


def test_what_is_deleted_and_still_held_is_in_the_standard_bundle(
    host: Host, case_options: str
) -> None:
    run = host.run(
        f"hozen capture {case_options} --allow-local --out usb && cp /srv/x/pid usb/",
        setup=_PLANTED,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    bundle = Bundle(only_bundle(host.work / "usb"))
    pid = int((host.work / "usb/pid").read_text())
    items = [i for i in bundle.items if i["artifact"] == "recovered"]
    assert not [i for i in items if i["outcome"] not in ("captured", "empty")]
    program = next(i for i in items if i["source"] == f"/proc/{pid}/exe")
    assert program["process"]["pid"] == pid
    assert program["link_target"] == "/srv/x/evil%20(deleted)"
    with open("/bin/sleep", "rb") as file:
        assert bundle.content(program) == file.read()
    log = next(i for i in items if i.get("link_target", "").startswith("/srv/x/evil.log"))
    assert log["size"] == str(40000 * 31)
    assert log["stat"]["nlink"] == 0
    (record,) = [i for i in items if i["kind"] == "record"]
    assert {program["item"], log["item"]} <= set(record["derived_from"])


def test_the_memory_of_a_process_needs_a_reason_and_a_recipient(
    host: Host, case_options: str
) -> None:
    run = host.run(
        f"""hozen key new --age --out key >/dev/null; age=$(grep -o 'age1[0-9a-z]*' key | head -n 1)
        hozen capture {case_options} --allow-local --out usb --memory-of evil; echo "bare $?"
        hozen capture {case_options} --allow-local --out usb --memory-of evil --reason R; echo "reason $?"
        hozen capture {case_options} --allow-local --out usb --memory-of evil --reason R --recipient "$age"
        echo "both $?"; cp key usb/""",
        setup=_PLANTED,
    )
    assert {"bare 64", "reason 64", "both 0"} <= set(run.stdout.splitlines()), (
        run.stdout + run.stderr
    )
    folder = host.work / "usb"
    sealed = only_bundle(folder, ".zip.age")
    plain = host.work / "plain.zip"
    subprocess.run(
        ["age", "-d", "-i", str(folder / "key"), "-o", str(plain), str(sealed)], check=True
    )
    bundle = Bundle(plain)
    (core,) = [i for i in bundle.items if i["artifact"] == "process_memory"]
    assert (core["outcome"], core["class"], core["kind"]) == ("captured", "sensitive", "snapshot")
    assert bundle.content(core).startswith(b"\x7fELF")
