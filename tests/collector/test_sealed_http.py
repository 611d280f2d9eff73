"""Envelopes of encrypted bundles, and statements of who opened them, over HTTP: checked, kept once, logged, shown."""

from __future__ import annotations

import hashlib
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from envelopes import Encrypted, body_of, claim, encrypt, pushed, send, signed, stated, vendor

from hozen_collector import faults
from hozen_collector.index.engine import Index
from hozen_collector.layout import Layout
from hozen_collector.overview import overview
from hozen_collector.sealed import openings
from hozen_collector.sealed.envelopes import MAX_FROM_ONE
from hozen_hashes import cms
from hozen_hashes.envelope.reading import digest_of
from hozen_hashes.identity import new_one_capture
from hozen_hashes.note import parse_vkey
from hozen_hashes.receipt import parse_statement, verify_receipt

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("people")
    return vendor(folder, "rsa", "first"), vendor(folder, "ec", "second")


def events(running: Any, tools: Any, bundle: str) -> list[Any]:
    query = "SELECT text FROM leaf WHERE bundle = ? ORDER BY position"
    return [parse_statement(text) for (text,) in tools.sql(running.root, query, bundle)]


def place(root: Path, made: Encrypted, files: dict[str, bytes] | None = None) -> Path:
    beside = root / "archive" / made.sha256[:2] / f"{made.sha256}.envelope"
    return beside / digest_of(made.files if files is None else files)


def verified(running: Any, tools: Any, answer: Any, container: str, signature: bytes) -> Any:
    assert answer.status == 201, answer
    keys = running.root / "keys"
    return verify_receipt(
        tools.decoded(answer.json["files"]),
        seal=None,
        container=container,
        signature=hashlib.sha256(signature).hexdigest(),
        at=datetime.now(UTC),
        roots=[x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes())],
        log_keys=[parse_vkey((keys / "log.vkey").read_bytes())],
    )


def test_an_envelope_is_kept_beside_its_ciphertext_and_logged_once(
    client: Any, running: Any, tools: Any, people: tuple[Path, Path]
) -> None:
    made = pushed(client, tools, *people)
    before = (running.root / "archive" / made.sha256[:2] / made.sha256).read_bytes()
    answer = send(client, made)
    found = verified(running, tools, answer, digest_of(made.files), made.files["envelope.p7s"])
    assert found.statement.event == "envelope"
    assert not found.accepted  # it is no acceptance of a bundle
    assert (found.statement.bundle, found.statement.seal) == (made.bundle_id, made.seal)
    assert found.statement.container_size == sum(map(len, made.files.values()))
    assert found.statement.signer == client.agent_id
    kept = place(running.root, made)
    assert {one.name: one.read_bytes() for one in kept.iterdir()} == made.files
    assert {one.stat().st_mode & 0o777 for one in kept.iterdir()} == {0o440}
    assert (kept.stat().st_mode & 0o777) == 0o550
    assert send(client, made).json == answer.json
    assert [one.event for one in events(running, tools, made.bundle_id)] == ["ingest", "envelope"]
    assert (running.root / "archive" / made.sha256[:2] / made.sha256).read_bytes() == before
    [receipt] = [client.receipt(key)["receipt.txt"] for key in (made.bundle_id,)]
    assert b"\nevent ingest\n" in receipt
    assert b"\nverified sealed-unopened\n" in receipt


def test_an_old_verifier_takes_the_receipt_of_an_envelope_for_no_acceptance(
    client: Any, tools: Any
) -> None:
    made = pushed(client, tools)
    answer = send(client, made)
    text = tools.decoded(answer.json["files"])["receipt.txt"]
    lines = text.decode().splitlines()
    labels = [line.partition(" ")[0] for line in lines]
    ingest = client.receipt(made.sha256)["receipt.txt"].decode().splitlines()
    assert labels == [line.partition(" ")[0] for line in ingest]  # no new line, no other order


def hostile(made: Encrypted, other: Encrypted) -> dict[str, tuple[dict[str, Any], int, str]]:
    """Give bodies that must be refused, each with its status and a word of the reason."""
    junk = b"no CMS at all, but as long as one"
    fake = made.facts["keys"][0] | {"sha256": hashlib.sha256(junk).hexdigest()}
    not_cms = made.with_facts(keys=[fake]) | {"key-01.p7m": junk}
    cut = made.files | {"key-01.p7m": made.files["key-01.p7m"][:-7]}
    huge = made.files | {"key-01.p7m": bytes(17 << 10)}
    many = made.files | {f"key-{n}.p7m": b"0" for n in range(100, 300)}
    odd = made.files | {"../../../etc/passwd": b"0"}
    lines = made.files["envelope.json"].decode()
    doubled = lines.replace('"seal"', '"format":"hozen-envelope/1","seal"').encode()
    return {
        "another bundle's": (body_of(other.files), 409, "names another"),
        "another seal": (body_of(made.with_facts(seal="00" * 32)), 400, "another seal"),
        "another name": (body_of(made.with_facts(bundle_id=other.bundle_id)), 409, "names another bundle"),
        "another ciphertext": (body_of(made.with_facts(ciphertext_sha256="11" * 32)), 409, "names another container"),
        "another size": (body_of(made.with_facts(ciphertext_size="7")), 409, "names another size"),
        "another digest": (body_of(made.files, "22" * 32), 409, "not the one that was declared"),
        "no digest": (body_of(made.files) | {"sha256": 7}, 400, "not the digest"),
        "not CMS": (body_of(not_cms), 400, "key-01.p7m is not an enveloped key"),
        "truncated key": (body_of(cut), 400, "contradicts itself"),
        "truncated facts": (body_of(made.files | {"envelope.json": lines[:-9].encode()}), 400, "envelope.json"),
        "a key twice": (body_of(made.with_facts(keys=made.facts["keys"] * 2)), 400, "named twice"),
        "a word twice": (body_of(made.files | {"envelope.json": doubled}), 400, "a key occurs twice"),
        "a huge key": (body_of(huge), 413, "larger than"),
        "many files": (body_of(many), 413, "more than 102 files"),
        "an odd name": (body_of(odd), 400, "not a file of an envelope"),
        "a file missing": (body_of({"envelope.json": lines.encode()}), 400, "there is no envelope.p7s"),
        "not base64": (body_of(made.files) | {"files": {"envelope.json": "%"}}, 400, "not base64"),
        "no files": (body_of(made.files) | {"files": []}, 400, "files is not an object"),
        "another signer": (body_of(made.with_facts(new_one_capture("mallory"))), 400, "different certificates"),
    }  # fmt: skip


def test_each_hostile_envelope_is_refused_for_its_reason_and_nothing_is_lost(
    client: Any, running: Any, tools: Any, people: tuple[Path, Path]
) -> None:
    made, other = pushed(client, tools, people[0]), pushed(client, tools, people[1])
    url = f"/api/v1/containers/{made.sha256}/envelope"
    for name, (body, status, reason) in hostile(made, other).items():
        answer = client.post_json(url, body)
        assert (name, answer.status) == (name, status), answer
        assert answer.headers["content-type"] == "application/problem+json"
        assert reason in answer.json["detail"], name
        assert answer.json["status"] == status
    twice = json.dumps(body_of(made.files)).replace('"files": {', '"files": {"agent.p7s": "AA==",')
    answer = client.call("POST", url, {"Content-Type": "application/json"}, twice.encode())
    assert (answer.status, "a key occurs twice" in answer.json["detail"]) == (400, True)
    answer = client.call("POST", url, {}, b" " * (6 << 20) + b"{}")
    assert (answer.status, "larger than" in answer.json["detail"]) == (413, True)
    assert [one.event for one in events(running, tools, made.bundle_id)] == ["ingest"]
    assert not place(running.root, made).parent.exists()
    assert list((running.root / "uploads").glob("beside-*")) == []
    assert send(client, made).status == 201  # the right one is taken all the same
    assert send(client, other).status == 201


def test_an_envelope_of_nothing_that_is_here_is_refused(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    made = encrypt(bundle.bundle_id, bundle.data, bundle.seal, client.signer)
    assert send(client, made).status == 404
    assert send(client, made, container="x" * 64).status == 404
    assert send(client, made, container="..%2F..%2Fx").status == 404
    assert client.push(bundle)["state"] == "accepted"
    answer = send(client, made, container=bundle.sha256)
    assert (answer.status, "is not encrypted" in answer.json["detail"]) == (409, True)
    stranger = tools.stranger(running.root, running.port)
    assert send(stranger, made, container=bundle.sha256).status == 403


def test_somebody_elses_envelope_replaces_none_and_keeps_none_away(
    client: Any, running: Any, tools: Any, people: tuple[Path, Path]
) -> None:
    made = pushed(client, tools, people[0])
    mallory = tools.enrol(running.root, running.port, host="mallory")
    for number in range(MAX_FROM_ONE + 1):
        signer = new_one_capture(f"mallory {number}")
        seal = cms.sign_detached(bytes.fromhex(made.seal), signer, datetime.now(UTC))
        theirs = made.with_facts(signer) | {"agent.p7s": seal}
        answer = send(mallory, made, theirs)
        assert answer.status == (201 if number < MAX_FROM_ONE else 409), answer
    assert send(client, made).status == 201
    kept = place(running.root, made)
    assert len(list(kept.parent.iterdir())) == MAX_FROM_ONE + 1
    rows = tools.sql(
        running.root, "SELECT signer_name, vouched FROM envelope WHERE container = ?", made.sha256
    )
    assert (client.agent_id, 1) in rows
    assert ("mallory 0", 0) in rows


def test_the_same_envelope_from_many_at_once_is_one_entry(
    client: Any, running: Any, tools: Any
) -> None:
    made = pushed(client, tools)
    others = [tools.enrol(running.root, running.port, host=f"web{n}") for n in range(4)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: send(one, made), [client, *others] * 3))
    assert {one.status for one in answers} == {201}
    assert len({one.json["leaf"] for one in answers}) == 1
    assert [one.event for one in events(running, tools, made.bundle_id)] == ["ingest", "envelope"]
    assert [one.name for one in place(running.root, made).parent.iterdir()] == [
        digest_of(made.files)
    ]
    assert list((running.root / "uploads").glob("beside-*")) == []


@pytest.mark.parametrize("point", faults.ENVELOPE_POINTS)
def test_a_collector_killed_while_it_keeps_an_envelope_keeps_it_at_the_next_call(
    empty_collector: Path, serve: Any, tools: Any, point: str
) -> None:
    running = serve(empty_collector, fault=point)
    client = tools.enrol(empty_collector, running.port)
    made = pushed(client, tools)
    with pytest.raises(OSError):  # noqa: PT011 - the connection ends
        send(client, made)
    assert running.wait() == -9
    (empty_collector / "uploads" / "beside-0123.tmp").mkdir()
    running = serve(empty_collector)
    client.port = running.port
    assert list((empty_collector / "uploads").iterdir()) == []
    answer = send(client, made)
    verified(running, tools, answer, digest_of(made.files), made.files["envelope.p7s"])
    assert [one.event for one in events(running, tools, made.bundle_id)] == ["ingest", "envelope"]
    kept = place(empty_collector, made)
    assert {one.name: one.read_bytes() for one in kept.iterdir()} == made.files
    assert running.stop() == 0


def test_an_envelope_that_was_altered_in_the_archive_is_told(
    client: Any, running: Any, tools: Any
) -> None:
    made = pushed(client, tools)
    assert send(client, made).status == 201
    altered = place(running.root, made) / "envelope.p7s"
    altered.chmod(0o640)
    altered.write_bytes(b"other bytes")
    answer = send(client, made)
    assert (answer.status, "holds other bytes" in answer.json["detail"]) == (500, True)


# -- opened elsewhere -------------------------------------------------------------------------------------------------


def test_a_person_s_claim_to_have_opened_a_bundle_is_logged_as_a_claim(
    client: Any, running: Any, tools: Any
) -> None:
    made, person = pushed(client, tools), new_one_capture("Sato Hanako")
    text, signature = signed(stated(made), person)
    answer = claim(client, made, text, signature)
    digest = hashlib.sha256(text).hexdigest()
    found = verified(running, tools, answer, digest, signature)
    assert not found.accepted
    said = found.statement
    assert (said.event, said.signer, said.sender) == ("opened", "Sato Hanako", client.agent_id)
    assert (said.seal, said.seal_state, said.verified) == (made.seal, "claimed", None)
    assert claim(client, made, text, signature).json == answer.json
    again = claim(client, made, *signed(stated(made, states=""), person))
    assert again.json["leaf"] > answer.json["leaf"]
    receipt = client.receipt(made.sha256)["receipt.txt"]
    assert b"\nverified sealed-unopened\n" in receipt  # what the collector did itself is unchanged
    [row] = tools.sql(running.root, "SELECT word FROM container WHERE sha256 = ?", made.sha256)
    assert row == ("not verifiable",)


def test_a_claim_about_something_else_is_refused(client: Any, running: Any, tools: Any) -> None:
    made, person = pushed(client, tools), new_one_capture("Sato Hanako")
    for changed, reason in (
        ({"seal": "00" * 32}, "names another seal"),
        ({"container_sha256": "00" * 32}, "names another container"),
        ({"container_size": 1}, "names another size"),
        ({"bundle": tools.make_bundle_claim().bundle_id}, "names another bundle"),
    ):
        answer = claim(client, made, *signed(stated(made, **changed), person))
        assert (answer.status, reason in answer.json["detail"]) == (409, True), answer
    text, signature = signed(stated(made), person)
    other, _ = signed(stated(made, states="other words"), person)
    for body in ((other, signature), (text[:-1], signature), (text, b"x"), (b"", b"")):
        assert claim(client, made, *body).status == 400
    wrong = text.replace(b"integrity match", b"integrity mismatch")
    assert claim(client, made, wrong, signature).status == 400
    assert claim(client, made, bytes(17 << 10), signature).status == 413
    clear = tools.make_bundle(client.signer)
    client.push(clear)
    about = replace(made, ciphertext=clear.data, bundle_id=clear.bundle_id, seal=clear.seal)
    answer = claim(client, about, *signed(stated(about), person))
    assert (answer.status, "is not encrypted" in answer.json["detail"]) == (409, True)
    assert [one.event for one in events(running, tools, made.bundle_id)] == ["ingest"]


def test_one_identity_cannot_fill_the_log_with_claims(client: Any, tools: Any) -> None:
    made, person = pushed(client, tools), new_one_capture("Sato Hanako")
    statuses = [
        claim(client, made, *signed(stated(made, time=n), person)).status
        for n in range(openings.MAX_FROM_ONE + 1)
    ]
    assert statuses == [201] * openings.MAX_FROM_ONE + [409]


def test_status_and_page_show_a_claim_as_a_claim(
    client: Any, running: Any, tools: Any, people: tuple[Path, Path]
) -> None:
    made = pushed(client, tools, people[0])
    assert send(client, made).status == 201
    text, signature = signed(stated(made), new_one_capture("Sato <i>Hanako"))
    assert claim(client, made, text, signature).status == 201
    page = page_of(running, "en")
    card = page[page.index(made.sha256) :].split("</li>")[0]
    assert "not opened here" in card
    assert "Sato &lt;i&gt;Hanako" in card
    assert "Opened and verified. &lt;b&gt;" in card
    assert "CN=first" in card
    assert "encrypted (not opened)" in page
    assert "他所で開封・照合したとの申告" in page_of(running, "ja")
    index = Index(running.root / "collector.sqlite")
    found = overview(Layout(running.root), index)
    index.close()
    told = "\n".join(found.lines("en"))
    assert "a person's claim; not opened here): Sato <i>Hanako" in told
    [shown] = [one for one in found.as_json()["accepted"] if one["sha256"] == made.sha256]
    assert shown["word"] == "not verifiable"
    assert [one["signer"] for one in shown["openings"]] == ["Sato <i>Hanako"]
    assert [one["subjects"] for one in shown["envelopes"]] == [["CN=first"]]


def page_of(running: Any, language: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", running.status_port, timeout=10)
    try:
        connection.request("GET", f"/?lang={language}")
        return connection.getresponse().read().decode()
    finally:
        connection.close()
