from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import journals

from hozen_agent.artifacts import journal  # noqa: F401 - enters the family

if TYPE_CHECKING:
    from pathlib import Path

Evidence = Any


def test_every_journal_file_is_captured_whole(evidence: Evidence) -> None:
    names = [
        "/var/log/journal/m/system.journal", "/var/log/journal/m/user-1000@0.journal~",
        "/run/log/journal/m/system.journal",
        "/var/log/journal/remote/remote-x.journal", "/etc/systemd/journald.conf",
    ]  # fmt: skip
    for name in names:
        evidence.write(name, b"LPKSHHRH" + name.encode() * 10_000)
    found = evidence.collect("systemd_journal")
    del found[b"/var/log/journal"]  # the records of their headers
    assert sorted(found) == sorted(name.encode() for name in names)
    for path, [(_, data)] in found.items():
        assert data == b"LPKSHHRH" + path * 10_000


def test_the_key_that_seals_the_journal_stays_on_the_host(evidence: Evidence) -> None:
    evidence.write("/var/log/journal/m/fss", b"LPKSHHRH" + bytes(100))
    ((attempt, data),) = evidence.collect("systemd_journal")[b"/var/log/journal/m/fss"]
    assert (attempt.withheld, data) == ("private_key", b"")


def test_without_journald_there_is_nothing(evidence: Evidence) -> None:
    assert evidence.collect("systemd_journal") == {}


def test_each_journal_file_has_a_record_of_its_header(evidence: Evidence, tmp_path: Path) -> None:
    made = journals.make(tmp_path).read_bytes()
    evidence.write("/var/log/journal/m/system.journal", made)
    evidence.write("/var/log/journal/m/cut.journal", made[: len(made) // 2])
    evidence.write("/var/log/journal/m/no.journal", b"something else")
    found = evidence.collect("systemd_journal")
    assert found[b"/var/log/journal/m/system.journal"][0][1] == made
    ((attempt, data),) = found[b"/var/log/journal"]
    records = {r["source"].rpartition("/")[2]: r for r in map(json.loads, data.splitlines())}
    whole = records["system.journal"]
    assert (whole["entries"], whole["findings"], whole["checked"]) == (200, [], "header")
    assert "more bytes" in records["cut.journal"]["findings"][0]
    assert "begins otherwise" in records["no.journal"]["findings"][0]
    assert len(attempt.derived_from) == 3
