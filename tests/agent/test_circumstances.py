"""What a person is told: a recent start, a lonely administrator, and whether the cable may be pulled."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from hozen_agent.administrators import administrators, login_of_operator
from hozen_agent.circumstances import point_out_reboot
from hozen_agent.destination import Destination, open_destination
from hozen_agent.isolation import advice, over_the_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWD = b"""root:x:0:0:root:/root:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
sato:x:1000:1000:Sato:/home/sato:/bin/bash
ito:x:1001:27:Ito:/home/ito:/bin/bash
broken line
"""


@dataclass
class Screen:
    said: list[tuple[str, str]] = field(default_factory=list)

    def point_out(self, *, en: str, ja: str) -> None:
        self.said.append((en, ja))


@pytest.mark.parametrize(
    ("uptime", "words", "ja"),
    [("185.3", "3 min before", "3分前"), ("15000", "4.2 h before", "4.2時間前")],
)
def test_a_recent_start_is_pointed_out_with_its_time(uptime: str, words: str, ja: str) -> None:
    screen, notes = Screen(), list[str]()
    point_out_reboot({"uptime_seconds": uptime}, talk=screen, note=notes.append)
    [(said, said_ja)] = screen.said
    assert words in said
    assert ja in said_ja
    assert notes == [said]


@pytest.mark.parametrize("uptime", ["90000.0", None, "x"])
def test_an_older_or_unknown_start_is_not(uptime: str | None) -> None:
    screen = Screen()
    point_out_reboot({"uptime_seconds": uptime}, talk=screen, note=lambda _: None)
    assert screen.said == []


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (b"sudo:x:27:sato\n", {"sato", "ito"}),  # ito by the primary group
        (b"sudo:x:99:sato\n", {"sato"}),
        (b"wheel:x:10:sato,ito\nsudo:x:99:\n", {"sato", "ito"}),
        (b"sudo:x:99:\n", {"root"}),
        (b"", {"root"}),
    ],
)
def test_administrators_are_the_members_of_the_group_else_root(
    group: bytes, expected: set[str]
) -> None:
    assert administrators(PASSWD, group) == expected


def test_the_operators_login_is_the_one_before_sudo() -> None:
    assert login_of_operator(PASSWD, {"SUDO_USER": "sato"}) == "sato"
    if os.geteuid() == 0:
        assert login_of_operator(PASSWD, {}) in {"root", "sato", "ito", ""}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Destination]:
    made = open_destination(tmp_path, allow_local=True, volume_size=None, floor=0)
    yield replace(made, mount="ext4 /dev/sdb1 /mnt/usb")
    os.close(made.fd)


def test_with_the_evidence_on_a_medium_the_cable_may_be_pulled_and_the_screen_says_why(
    local: Destination,
) -> None:
    said = advice(local, seconds=12.4, put_off=())
    assert said.safe
    assert "SAFE TO PULL" in said.lines[0].en
    assert "after 12 s" in said.lines[0].en
    assert "durable" in said.lines[0].en
    assert "遮断できます" in said.lines[0].ja
    assert "--isolated --by NAME" in said.lines[1].en
    assert "Hozen isolates nothing" in said.lines[1].en


def test_what_was_put_off_is_named(local: Destination) -> None:
    assert (
        "not yet read: cross_view, audit"
        in advice(local, seconds=60, put_off=("cross_view", "audit")).lines[0].en
    )


@pytest.mark.parametrize(
    "mount", ["nfs4 10.0.0.1:/x /mnt/x", "cifs //a/b /mnt/x", "fuse.sshfs a:/ /mnt/x"]
)
def test_with_nothing_local_the_screen_says_not_yet_and_why(local: Destination, mount: str) -> None:
    remote = replace(local, mount=mount)
    said = advice(remote, seconds=3, put_off=())
    assert not said.safe
    assert "do NOT pull the network cable yet" in said.lines[0].en
    assert over_the_network(remote) == mount.split(maxsplit=1)[0]
    assert "まだネットワークを遮断しないで" in said.lines[0].ja


def test_a_stick_with_the_file_system_of_cameras_is_local(local: Destination) -> None:
    assert over_the_network(replace(local, mount="fuseblk /dev/sdb1 /mnt/usb")) == ""
