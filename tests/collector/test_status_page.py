"""The status page shows what is here in both languages, escapes all of it, and answers this machine only."""

from __future__ import annotations

import html.parser
import http.client
import io
import os
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_collector.access import check_accesses, record_access
from hozen_collector.index.engine import Index
from hozen_collector.server import Address, check_loopback, parse_address
from hozen_collector.web.words import LANGUAGES, WORDS, preferred
from hozen_hashes.errors import MismatchError, UsageError
from hozen_hashes.identity import new_one_capture
from hozen_hashes.verifier_page import verifier_html

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>"


def get(
    running: Any, path: str = "/", *, host: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", running.status_port, timeout=10)
    try:
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{running.status_port}")
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


class Tags(html.parser.HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def filled(client: Any, tools: Any) -> Any:
    """A collector with an accepted bundle, one not vouched for, a quarantined one and an upload."""
    client.bundle = tools.make_bundle(client.signer, case=f"C-1 {HOSTILE}")
    client.push(client.bundle)
    client.push(tools.make_bundle(new_one_capture(HOSTILE)))
    broken = tools.make_bundle(client.signer)
    broken.data = broken.data[:-30]
    client.push(broken)
    waiting = tools.make_bundle(client.signer, payload=os.urandom(50_000))
    location = client.create(waiting).headers["location"]
    client.patch(location, 0, waiting.data[:20_000])
    return client


def test_the_page_speaks_both_languages_with_the_three_words(filled: Any, running: Any) -> None:
    status, _, body = get(running, "/?lang=ja")
    japanese = body.decode()
    assert status == 200
    assert filled.bundle.seal in japanese
    words = ("一致", "不一致", "検証不能", "受領証", "案件番号", "ルート値", "取扱履歴")
    for word in (*words, "署名者を保証する者がいません"):
        assert word in japanese
    english = get(running, Accept_Language="en-GB,ja;q=0.5")[2].decode()
    for word in ("match", "mismatch", "not verifiable", "signer not vouched for", "Quarantine"):
        assert word in english
    assert '<html lang="en">' in english
    assert '<html lang="ja">' in get(running, Accept_Language="fr")[2].decode()


@pytest.mark.usefixtures("filled")
def test_what_was_sent_is_escaped_and_nothing_is_loaded_from_elsewhere(running: Any) -> None:
    _, headers, body = get(running)
    page = Tags(body.decode())
    assert HOSTILE in page.text
    assert not {"script", "img", "iframe", "form", "input", "style"} & set(page.found)
    assert all(link.startswith("/") for link in page.links)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_the_offline_verifier_is_served_with_a_policy_of_its_own(running: Any) -> None:
    status, headers, body = get(running, "/verifier")
    assert (status, body) == (200, verifier_html())
    policy = headers["content-security-policy"]
    for rule in ("default-src 'none'", "connect-src 'none'", "frame-ancestors 'none'", "'sha256-"):
        assert rule in policy
    assert "unsafe" not in policy
    assert get(running, "/verifier", host="evil.example")[0] == 421


def test_a_receipt_is_downloaded_as_its_files(filled: Any, running: Any) -> None:
    status, headers, body = get(running, f"/receipts/{filled.bundle.sha256}.zip")
    assert status == 200
    assert headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files == filled.receipt(filled.bundle.sha256)
    assert get(running, "/receipts/" + "0" * 64 + ".zip")[0] == 404
    assert get(running, "/receipts/..%2f..%2fkeys%2fca.key.zip")[0] == 404


def test_a_request_by_another_name_is_refused(running: Any) -> None:
    port = running.status_port
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1:{port + 1}", "127.0.0.1"):
        assert get(running, host=host)[0] == 421
    for host in (f"localhost:{port}", f"LOCALHOST:{port}"):
        assert get(running, host=host)[0] == 200


def test_the_page_is_never_served_to_a_network() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "example.org"):
        with pytest.raises(UsageError):
            check_loopback(Address(host, 80))
    for text in ("127.0.0.1:80", "[::1]:80", "localhost:80"):
        check_loopback(parse_address(text))
    for text in ("", "80", ":80", "a:b", "a:99999"):
        with pytest.raises(UsageError):
            parse_address(text)


def test_every_word_is_there_in_both_languages() -> None:
    assert all(set(both) == set(LANGUAGES) and all(both.values()) for both in WORDS.values())


@given(st.text())
def test_any_accept_language_gives_a_language(header: str) -> None:
    assert preferred(header) in LANGUAGES
    assert preferred("en;q=0.1, ja;q=0.9") == "ja"
    assert preferred("en") == "en"


def test_every_view_and_export_is_in_the_access_log_which_shows_tampering(
    empty_collector: Path, tools: Any
) -> None:
    index = Index(empty_collector / "collector.sqlite")
    for subject in ("a", "b", "c"):
        record_access(index, actor="x", address="127.0.0.1", action="view", subject=subject)
    with index.read() as session:
        assert check_accesses(session) == 3
    tools.sql(empty_collector, "UPDATE access SET subject='z' WHERE id=1")
    with index.read() as session, pytest.raises(MismatchError):
        check_accesses(session)
    index.close()


def test_a_download_is_recorded(filled: Any, running: Any, tools: Any) -> None:
    get(running, f"/receipts/{filled.bundle.sha256}.zip")
    query = "SELECT count(*) FROM access WHERE action='export' AND subject LIKE ?"
    [[count]] = tools.sql(running.root, query, f"%{filled.bundle.sha256}")
    assert count == 1


@pytest.mark.slow
@pytest.mark.usefixtures("filled")
def test_chromium_shows_the_page_without_a_complaint(running: Any, tmp_path: Path) -> None:
    for language in LANGUAGES:
        shot = tmp_path / f"{language}.png"
        call = [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path / language}", "--window-size=1200,1600",
            f"--screenshot={shot}", "--enable-logging=stderr",
            f"http://127.0.0.1:{running.status_port}/?lang={language}",
        ]  # fmt: skip
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = subprocess.run(call, capture_output=True, env=env, timeout=120, check=True)
        assert b"Content Security Policy" not in done.stderr
        assert shot.stat().st_size > 20_000
