from __future__ import annotations

from typing import Any

from hozen_agent.artifacts import browser_histories  # noqa: F401 - enters the family

Evidence = Any


def test_histories_are_captured_and_stores_of_secrets_are_not(evidence: Evidence) -> None:
    for path in (
        "/home/u/.mozilla/firefox/a.default/places.sqlite",
        "/home/u/.mozilla/firefox/a.default/places.sqlite-wal",
        "/home/u/.mozilla/firefox/a.default/cookies.sqlite",
        "/home/u/.mozilla/firefox/a.default/logins.json",
        "/home/u/.config/google-chrome/Default/History",
        "/home/u/.config/google-chrome/Default/Login Data",
        "/home/u/.config/google-chrome/Default/Cookies",
    ):
        evidence.write(path, b"content")
    found = evidence.collect("browser_histories")
    kept = {path.rpartition(b"/")[2] for path, entries in found.items() if entries[0][1]}
    assert kept == {b"places.sqlite", b"places.sqlite-wal", b"History"}
