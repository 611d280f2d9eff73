from __future__ import annotations

import os
from typing import Any

from hozen_agent.artifacts import logs  # noqa: F401 - enters the family
from hozen_agent.items import Outcome

Evidence = Any


def test_every_log_is_captured_byte_for_byte_whatever_its_name(evidence: Evidence) -> None:
    wanted = {
        b"/var/log/auth.log": b"Nov 23 sshd\n", b"/var/log/auth.log.1": b"old", b"/var/log/syslog.2.gz": b"\x1f\x8b",
        b"/var/log/nginx/access.log": b"GET /?token=abc", b"/var/log/audit/audit.log": b"type=", b"/var/log/a\nb": b"1",
        b"/var/log/blank ": b"2", b"/var/log/\xff\xfe": b"3", b"/opt/app/logs/x/y.log": b"4",
        b"/var/log/postgresql/p.log": b"5", b"/var/lib/docker/containers/c1/c1-json.log": b"6",
        b"/srv/u/.xsession-errors": b"7",
    }  # fmt: skip
    for path, data in wanted.items():
        evidence.write(path, data)
    evidence.write("/etc/passwd", b"u:x:1000:1000::/srv/u:/bin/sh\n")
    found = evidence.collect("linux_logs")
    assert {path: entries[0][1] for path, entries in found.items()} == wanted
    assert all(len(entries) == 1 for entries in found.values())
    assert found[b"/var/log/auth.log"][0][0].ext == "log"
    assert found[b"/var/log/\xff\xfe"][0][0].ext == "bin"


def test_the_newest_log_is_read_first(evidence: Evidence) -> None:
    for number, name in enumerate(("/var/log/c.log", "/var/log/a.log", "/var/log/d/b.log")):
        os.utime(evidence.write(name), ns=(0, 10**18 + number))
    assert list(evidence.collect("linux_logs")) == [
        b"/var/log/d/b.log",
        b"/var/log/a.log",
        b"/var/log/c.log",
    ]


def test_what_is_no_file_in_var_log_is_recorded_and_nothing_hangs(evidence: Evidence) -> None:
    evidence.write("/var/log/a.log")
    os.mkfifo(evidence.root / "var/log/pipe")
    (evidence.root / "var/log/away").symlink_to("/etc/passwd")
    with (evidence.root / "var/log/lastlog").open("wb") as file:
        file.seek(292 * 1000)
        file.write(b"login")
        file.truncate(1 << 40)
    found = evidence.collect("linux_logs")
    assert found[b"/var/log/pipe"][0][0].reason == "not a regular file: fifo"
    assert found[b"/var/log/away"][0][0].kind == "link"
    attempt, data = found[b"/var/log/lastlog"][0]
    assert attempt.logical_size == 1 << 40
    assert len(data) < 1 << 20
    assert b"/etc/passwd" not in found


def test_a_key_left_in_var_log_is_withheld(evidence: Evidence) -> None:
    evidence.write("/var/log/deploy.key", b"SECRET")
    evidence.write("/var/log/odd", b"-----BEGIN RSA PRIVATE KEY-----\nSECRET")
    found = evidence.collect("linux_logs")
    assert {entry[0][0].withheld for entry in found.values()} == {"private_key"}
    assert all(entry[0][1] == b"" for entry in found.values())
    assert all(entry[0][0].outcome is Outcome.CAPTURED for entry in found.values())


def test_journald_files_are_left_to_their_own_family(evidence: Evidence) -> None:
    evidence.write("/var/log/journal/m/system.journal", b"LPKSHHRH")
    assert evidence.collect("linux_logs") == {}


def test_logins_are_read_first_and_web_servers_last_whatever_is_newer(evidence: Any) -> None:
    for path in (
        "/var/log/nginx/access.log",
        "/var/log/syslog",
        "/var/log/auth.log.1",
        "/var/log/secure-old/a",
    ):
        evidence.write(path)
    order = [source.decode() for source in evidence.collect("linux_logs")]
    assert set(order[:2]) == {"/var/log/auth.log.1", "/var/log/secure-old/a"}
    assert order[2:] == ["/var/log/syslog", "/var/log/nginx/access.log"]
