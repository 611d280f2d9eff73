"""Starts of captures and custody events arrive signed, are logged once, and get a receipt of their own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from hozen_hashes import cms
from hozen_hashes.identity import new_one_capture
from hozen_hashes.note import parse_vkey
from hozen_hashes.receipt import verify_receipt


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def note(signer: Any, **words: object) -> tuple[bytes, bytes]:
    event = json.dumps({"format": "hozen-custody/1", **words}).encode() + b"\n"
    signature = cms.sign_detached(hashlib.sha256(event).digest(), signer, datetime.now(UTC))
    return event, signature


def verified(running: Any, tools: Any, answer: Any, container: bytes, signature: bytes) -> Any:
    assert answer.status == 201, answer
    keys = running.root / "keys"
    return verify_receipt(
        tools.decoded(answer.json["files"]),
        seal=None,
        container=hashlib.sha256(container).hexdigest(),
        signature=hashlib.sha256(signature).hexdigest(),
        at=datetime.now(UTC),
        roots=[x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes())],
        log_keys=[parse_vkey((keys / "log.vkey").read_bytes())],
    )


def test_the_start_of_a_capture_is_logged_once_with_its_first_key(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    segment, signature = bundle.start
    body = {"bundle": bundle.bundle_id, "segment": b64(segment), "signature": b64(signature)}
    answer = client.post_json("/api/v1/starts", body)
    found = verified(running, tools, answer, segment, signature)
    assert found.statement.event == "start"
    assert found.statement.case == "C-1"
    assert found.statement.signer == client.agent_id
    first = json.loads(segment.split(b"\n")[0])
    assert found.statement.first_journal_key_sha256 == first["key"]
    assert found.leaf_index == answer.json["leaf"]
    assert client.post_json("/api/v1/starts", body).json == answer.json
    client.push(bundle)
    ingest = client.receipt(bundle.bundle_id)["receipt.txt"].decode()
    assert f"\nprevious {answer.json['leaf']}\n" in ingest
    assert f"\nstart-sha256 {hashlib.sha256(signature).hexdigest()}\n" in ingest


def test_a_start_that_is_not_signed_or_not_a_first_segment_is_refused(
    client: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    segment, signature = bundle.start
    body = {"bundle": bundle.bundle_id, "segment": b64(segment), "signature": b64(signature)}
    other = tools.make_bundle(client.signer)
    for changed in (
        {"segment": b64(segment + b"x")},
        {"signature": b64(other.start[1])},
        {"signature": "!"},
        {"signature": None},
        {"bundle": other.bundle_id},
        {"bundle": "../x"},
    ):
        assert client.post_json("/api/v1/starts", body | changed).status == 400
    for text in (b"", b"{}\n", b"x\n", b'{"type":"segment","epoch":0}\n'):
        signed = cms.sign_detached(hashlib.sha256(text).digest(), client.signer, datetime.now(UTC))
        words = {"segment": b64(text), "signature": b64(signed)}
        assert client.post_json("/api/v1/starts", body | words).status == 400


def test_a_custody_event_with_a_photo_is_stored_logged_and_receipted(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    client.push(bundle)
    photo = os.urandom(300_000)
    digest = hashlib.sha256(photo).hexdigest()
    event, signature = note(new_one_capture("someone"), text="isolated", attachments=[digest])
    body = {
        "name": "000001.json",
        "event": b64(event),
        "signature": b64(signature),
        "attachments": {digest: b64(photo)},
    }
    path = f"/api/v1/bundles/{bundle.seal}/custody"
    answer = client.post_json(path, body)
    found = verified(running, tools, answer, event, signature)
    assert found.statement.event == "custody"
    assert found.statement.seal == bundle.seal
    assert found.statement.signer == "someone"
    kept = running.root / "attachments" / digest[:2] / digest
    assert kept.read_bytes() == photo
    assert client.post_json(path, body).json == answer.json
    second = note(client.signer, text="other machine, same number")
    other = body | {"event": b64(second[0]), "signature": b64(second[1]), "attachments": {}}
    assert client.post_json(path, other).json["leaf"] == answer.json["leaf"] + 1


def test_a_custody_event_in_another_form_is_refused(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle(client.signer)
    client.push(bundle)
    event, signature = note(client.signer, text="x")
    body = {"name": "000001.json", "event": b64(event), "signature": b64(signature)}
    path = f"/api/v1/bundles/{bundle.seal}/custody"
    for changed in (
        {"name": "../000001.json"},
        {"name": "000001.json/.."},
        {"event": b64(b"{}")},
        {"signature": b64(b"x")},
        {"attachments": {"../x": ""}},
        {"attachments": {"0" * 64: b64(b"x")}},
        {"attachments": [1]},
    ):
        assert client.post_json(path, body | changed).status == 400, changed
    assert client.post_json(f"/api/v1/bundles/{'0' * 64}/custody", body).status == 404
    assert client.post_json("/api/v1/bundles/xyz/custody", body).status == 404
    assert client.post_json(path, body).status == 201
