from __future__ import annotations

import json
import os
from typing import Any

from hozen_agent.artifacts import packages  # noqa: F401 - enters the family
from hozen_agent.artifacts.registry import CATALOGUE

Evidence = Any


def test_the_databases_of_every_package_manager_are_captured(evidence: Evidence) -> None:
    names = [
        "/var/lib/dpkg/status", "/var/log/apt/history.log", "/var/log/apt/history.log.1.gz", "/var/log/dpkg.log",
        "/etc/apt/sources.list", "/etc/apt/sources.list.d/x.sources", "/var/lib/rpm/rpmdb.sqlite",
        "/lib/apk/db/installed",
        "/var/lib/pacman/local/bash-5/desc", "/etc/os-release", "/var/lib/rpm/Packages",
    ]  # fmt: skip
    for name in names:
        evidence.write(name, name.encode())
    found = evidence.collect("packages")
    listed = found.pop(b"packages:installed")
    assert b"rpmdb.sqlite" in listed[0][1]  # which database is damaged or not supported
    assert sorted(found) == sorted(name.encode() for name in names)
    assert all(entries[0][1] == path for path, entries in found.items())


def test_installed_packages_are_listed_with_their_times(evidence: Evidence) -> None:
    evidence.write(
        "/var/lib/dpkg/status", b"Package: nc\nStatus: install ok installed\nVersion: 1\n\n"
    )
    place = evidence.write("/var/lib/dpkg/info/nc:amd64.list", b"/.\n/usr/bin/nc\n")
    os.utime(place, ns=(0, 1_700_000_000_000000001))
    evidence.write("/var/log/dpkg.log", b"2026-11-01 10:00:01 install nc:amd64 <none> 1\n")
    ((_, data),) = evidence.collect("packages")[b"packages:installed"]
    package, logged, last = map(json.loads, data.splitlines())
    assert (package["name"], package["version"], package["state"]) == (
        "nc",
        "1",
        "install ok installed",
    )
    assert package["installed"] == "2023-11-14T22:13:20.000000001Z"
    assert package["installed_by"] == "mtime of its .list"
    assert logged["local_time"] == "2026-11-01 10:00:01"
    assert last["summary"]["packages"] == 1


def test_every_file_family_says_in_both_languages_what_it_proves_and_what_not() -> None:
    from hozen_agent import planning

    planning.load_families()
    for name in (
        "linux_logs",
        "systemd_journal",
        "shell_histories",
        "accounts",
        "ssh_access",
        "persistence",
        "packages",
    ):
        family = CATALOGUE[name]
        assert "not" in family.en.split()
        assert "ません" in family.ja
        assert family.reads
        assert family.personal in {"none", "personal", "sensitive"}
