from __future__ import annotations

from typing import Any

from hozen_agent.artifacts import journal  # noqa: F401 - enters the family

Evidence = Any


def test_every_journal_file_is_captured_whole(evidence: Evidence) -> None:
    names = [
        "/var/log/journal/m/system.journal", "/var/log/journal/m/user-1000@0.journal~",
        "/run/log/journal/m/system.journal",
        "/var/log/journal/remote/remote-x.journal", "/var/log/journal/m/fss", "/etc/systemd/journald.conf",
    ]  # fmt: skip
    for name in names:
        evidence.write(name, b"LPKSHHRH" + name.encode() * 10_000)
    found = evidence.collect("systemd_journal")
    assert sorted(found) == sorted(name.encode() for name in names)
    for path, [(_, data)] in found.items():
        assert data == b"LPKSHHRH" + path * 10_000


def test_without_journald_there_is_nothing(evidence: Evidence) -> None:
    assert evidence.collect("systemd_journal") == {}
