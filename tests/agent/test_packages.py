from __future__ import annotations

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
    assert sorted(found) == sorted(name.encode() for name in names)
    assert all(entries[0][1] == path for path, entries in found.items())


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
