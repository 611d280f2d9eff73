"""Kernel messages and settings: all that the kernel still has, none consumed, no secret among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hozen_agent.kernel import kmsg
from hozen_agent.kernel.sysctls import settings
from hozen_agent.redaction.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Shown = Any
TWICE = """
from hozen_agent.artifacts import kernel_messages
if os.path.exists("/dev/kmsg") and os.geteuid() == 0:
    with open("/dev/kmsg", "w") as out:
        out.write("<6>hozen test: a message of ours\\n")
for _ in range(2):
    show(kernel_messages.collect(context()))
"""
INSTEAD = """
from hozen_agent.artifacts import kernel_messages
os.mkdir("r"); os.mkdir("r/dev"); os.mkfifo("r/dev/kmsg")
show(kernel_messages.collect(context(root=os.path.abspath(b"r"))))
"""
SETTINGS = """
from hozen_agent.kernel.sysctls import settings
for name, kind, data, _ in settings(proc()):
    print(json.dumps([name.decode("latin-1"), kind, len(data)]))
"""


def test_messages_are_read_twice_and_none_is_consumed(
    collected: Callable[..., list[Shown]],
) -> None:
    first, again = collected(TWICE)
    if first.outcome == "denied":
        assert first.reason
        return
    assert first.source in {"/dev/kmsg", "syslog(2)"}
    assert b"hozen test: a message of ours" in (first.data or b"")
    assert (again.data or b"").startswith((first.data or b"")[:200])


def test_what_stands_in_the_place_of_the_device_is_not_opened(
    collected: Callable[..., list[Shown]],
) -> None:
    (attempt,) = collected(INSTEAD)
    assert attempt.source == "syslog(2)" or attempt.outcome in {"denied", "failed"}


def test_the_boot_line_among_the_messages_is_redacted() -> None:
    records = [b"5,1,0,-;Kernel command line: root=/dev/sda db_password=Zq7pl4nt9\n", b"6,2,0,-;usb 1-1\n"]  # fmt: skip
    counts: dict[str, int] = {}
    clean = kmsg.redacted(records, Redactor(), counts)
    assert b"Zq7pl4nt9" not in clean[0]
    assert clean[1] is records[1]
    assert counts == {"password": 1}


def test_settings_are_all_read_but_secrets_and_triggers(isolated: Callable[..., str]) -> None:
    import json

    found = {name: size for name, _, size in map(json.loads, isolated(SETTINGS).splitlines())}
    assert found["proc/sys/kernel/osrelease"] > 0
    assert len(found) > 300
    ends = ("stable_secret", "tcp_fastopen_key", "stat_refresh", "random/uuid", "route/flush")
    assert not [name for name in found if name.endswith(ends) or "binfmt_misc" in name]


def test_settings_of_many_interfaces_are_bounded(tmp_path: Path) -> None:
    import os

    for number in range(100):
        place = tmp_path / f"sys/net/ipv4/conf/if{number:03}"
        place.mkdir(parents=True)
        (place / "forwarding").write_bytes(b"1\n")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        found = settings(fd)
        assert [kind for _, kind, _, _ in found].count("file") == 64
        assert [name for name, kind, _, _ in found if kind == "error"] == [
            b"proc/sys/net/ipv4/conf"
        ]
    finally:
        os.close(fd)
