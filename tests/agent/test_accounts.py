from __future__ import annotations

from typing import Any

from hozen_agent.artifacts import accounts  # noqa: F401 - enters the family
from hozen_agent.items import Outcome

Evidence = Any
HASH = b"$6$rounds=5000$saltsalt$" + b"Q" * 86


def test_accounts_are_captured_and_no_hash_is(evidence: Evidence) -> None:
    evidence.write("/etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n")
    evidence.write("/etc/group", b"root:x:0:\nsudo:x:27:eve\n")
    evidence.write("/etc/shadow", b"root:" + HASH + b":19700:0:99999:7:::\n", 0o640)
    evidence.write("/etc/shadow-", b"root:" + HASH + b":19600:0:99999:7:::\n")
    evidence.write("/etc/gshadow", b"g:" + HASH + b"::\n")
    evidence.write("/etc/sudoers", b"eve ALL=(ALL) NOPASSWD: ALL\n")
    evidence.write("/etc/sudoers.d/x", b"y\n")
    evidence.write("/etc/login.defs", b"UMASK 022\n")
    found = evidence.collect("accounts")
    everything = b"".join(data for entries in found.values() for _, data in entries)
    assert b"QQQQ" not in everything
    assert b"saltsalt" not in everything
    assert b"eve ALL" in everything
    kept, aging = found[b"/etc/shadow"]
    assert (kept[0].kind, kept[0].withheld, kept[0].stat.size) == (
        "metadata",
        "password_hash",
        5 + len(HASH) + 20,
    )
    assert aging[1] == b"root:[set]:19700:0:99999:7:::\n"
    assert found[b"/etc/gshadow"][0][0].withheld == "password_hash"
    assert found[b"/etc/passwd"][0][1] == b"root:x:0:0:root:/root:/bin/bash\n"


def test_an_old_passwd_with_hashes_is_kept_without_them(evidence: Evidence) -> None:
    evidence.write("/etc/passwd", b"root:" + HASH + b":0:0:root:/root:/bin/sh\nu:x:1:1::/:/x\n")
    [(attempt, data)] = evidence.collect("accounts")[b"/etc/passwd"]
    assert (attempt.kind, attempt.withheld) == ("record", "password_hash")
    assert data == b"root:[set]:0:0:root:/root:/bin/sh\nu:x:1:1::/:/x\n"


def test_no_copy_of_passwd_gives_its_hashes_away_whoever_asks(evidence: Evidence) -> None:
    for path in ("/etc/passwd-", "/etc/group", "/var/log/passwd.bak", "/home/u/passwd"):
        evidence.write(path, b"a:" + HASH + b":1:1:::\n")
        [(attempt, data, _)] = evidence.read(path.encode())
        assert (attempt.withheld, data) == ("password_hash", b"a:[set]:1:1:::\n")
    evidence.write("/etc/pam.d/passwd", b"password include common-password\n")
    assert evidence.read(b"/etc/pam.d/passwd")[0][1] == b"password include common-password\n"


def test_what_must_be_there_and_is_not_is_missing(evidence: Evidence) -> None:
    found = evidence.collect("accounts")
    for path in (b"/etc/passwd", b"/etc/group", b"/etc/shadow", b"/etc/sudoers"):
        assert found[path][0][0].outcome is Outcome.MISSING


def test_a_key_or_too_much_under_the_name_of_passwd_is_treated_as_what_it_is(
    evidence: Evidence,
) -> None:
    evidence.write("/srv/passwd", b"-----BEGIN PRIVATE KEY-----\nSECRET")
    [(attempt, data, _)] = evidence.read(b"/srv/passwd")
    assert (attempt.withheld, data) == ("private_key", b"")
    evidence.write("/srv/group", (b"a" * 500 + b":x:1:\n") * 10_000)
    [(attempt, data, failure)] = evidence.read(b"/srv/group")
    assert len(data) == 4 << 20
    assert failure.outcome is Outcome.TRUNCATED
