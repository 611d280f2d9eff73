"""Verify before accept: what is not whole is quarantined with its reasons, and nothing is ever dropped."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from hozen_collector.verdict import parse_verdict
from hozen_collector.verifying import DiedError, Verifier
from hozen_config.settings import CollectorSettings
from hozen_hashes.errors import InternalError
from hozen_hashes.identity import new_one_capture
from hozen_hashes.receipt import parse_statement

if TYPE_CHECKING:
    from pathlib import Path


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def events(root: Path, tools: Any, bundle_id: str) -> list[Any]:
    rows = tools.sql(root, "SELECT text FROM leaf WHERE bundle=? ORDER BY position", bundle_id)
    return [parse_statement(text) for (text,) in rows]


def test_a_flipped_byte_of_evidence_is_quarantined_with_its_reason(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer, payload=os.urandom(5000))
    bundle.data = flipped(bundle.data, bundle.data.index(b"000001.log") + 100)
    state = client.push(bundle)
    assert state["state"] == "quarantined"
    assert state["receipt_url"] is None
    assert any("data/linux_logs/000001.log" in reason for reason in state["reasons"])
    assert any("不一致" in reason for reason in state["reasons_ja"])
    kept = running.root / "quarantine" / bundle.sha256[:2] / bundle.sha256
    assert kept.read_bytes() == bundle.data
    assert client.call("GET", f"/api/v1/receipts/{bundle.sha256}").status == 404
    [statement] = events(running.root, tools, bundle.bundle_id)
    assert (statement.event, statement.verified) == ("quarantine", "failed")
    assert client.agent_id in (statement.signer or "")


def test_other_bytes_than_declared_are_quarantined(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle(client.signer)
    state = client.push(bundle, sha256="0" * 64)
    assert state["state"] == "quarantined"
    assert "declared" in state["reasons"][0]


def test_a_wrongly_declared_bundle_is_accepted_once_it_is_declared_rightly(
    client: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    assert client.push(bundle, seal="0" * 64)["state"] == "quarantined"
    other = "hz-20261123T050000Z-web01-00000000"
    assert client.push(bundle, bundle=other)["state"] == "quarantined"
    assert client.push(bundle)["state"] == "accepted"
    assert client.receipt(bundle.seal)


@pytest.mark.parametrize("data", [b"\0" * 10_000_000, b"PK\x03\x04", b"no bundle at all\n"])
def test_what_is_no_bundle_is_quarantined(client: Any, tools: Any, data: bytes) -> None:
    bundle = tools.make_bundle_claim()
    bundle.data = data
    state = client.push(bundle)
    assert state["state"] == "quarantined"
    assert state["reasons"]


def test_a_signer_that_nobody_vouches_for_is_accepted_and_said_to_be(
    client: Any, running: Any, tools: Any
) -> None:
    stick = new_one_capture("the stick")
    bundle = tools.make_bundle(stick)
    assert client.push(bundle)["state"] == "accepted"
    [[vouched, name, origin]] = tools.sql(
        running.root,
        "SELECT vouched, signer_name, origin FROM container WHERE sha256=?",
        bundle.sha256,
    )
    assert (vouched, name, origin) == (0, "the stick", "not verifiable")
    [statement] = events(running.root, tools, bundle.bundle_id)
    assert statement.signer == "the stick"
    assert statement.sender == client.agent_id
    ours = tools.make_bundle(client.signer)
    client.push(ours)
    query = "SELECT vouched, origin FROM container WHERE sha256=?"
    assert tools.sql(running.root, query, ours.sha256) == [(1, "match")]


def test_the_longest_words_fit_into_a_statement(client: Any, running: Any, tools: Any) -> None:
    case, name = "案" * 133, "署" * 21
    bundle = tools.make_bundle(new_one_capture(name))
    assert client.push(bundle, case=case)["state"] == "accepted"
    [statement] = events(running.root, tools, bundle.bundle_id)
    assert (statement.case, statement.signer) == (case, name)


def test_a_laptop_may_push_what_another_host_has_sealed(
    client: Any, running: Any, tools: Any
) -> None:
    laptop = tools.enrol(running.root, running.port, host="laptop")
    bundle = tools.make_bundle(client.signer)
    assert laptop.push(bundle)["state"] == "accepted"
    [statement] = events(running.root, tools, bundle.bundle_id)
    assert statement.sender == laptop.agent_id
    assert statement.signer == client.agent_id


def test_the_same_container_again_gets_the_same_receipt_and_no_leaf(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    client.push(bundle)
    first = client.receipt(bundle.sha256)
    other = tools.enrol(running.root, running.port, host="other")
    assert other.push(bundle)["state"] == "accepted"
    assert other.receipt(bundle.sha256) == first
    assert len(events(running.root, tools, bundle.bundle_id)) == 1


def test_the_same_container_from_many_at_once_is_one_entry(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    others = [tools.enrol(running.root, running.port, host=f"h{at}") for at in range(3)]
    with ThreadPoolExecutor() as pool:
        states = list(pool.map(lambda one: one.push(bundle)["state"], [client, *others]))
    assert states == ["accepted"] * 4
    assert len({str(one.receipt(bundle.sha256)) for one in others}) == 1
    assert len(events(running.root, tools, bundle.bundle_id)) == 1


def test_the_same_seal_in_another_container_is_kept_as_a_variant(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    client.push(bundle)
    repacked = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(bundle.data)) as old,
        zipfile.ZipFile(repacked, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            new.writestr(zipfile.ZipInfo(entry.filename), old.read(entry))
    variant = tools.Bundle(bundle.bundle_id, repacked.getvalue(), bundle.seal)
    assert client.push(variant)["state"] == "accepted"
    assert [one.event for one in events(running.root, tools, bundle.bundle_id)] == [
        "ingest",
        "variant",
    ]
    query = "SELECT variant_of FROM container WHERE sha256=?"
    assert tools.sql(running.root, query, variant.sha256) == [(bundle.sha256,)]
    assert client.receipt(variant.sha256) != client.receipt(bundle.sha256)
    assert client.receipt(bundle.seal) == client.receipt(bundle.sha256)


def test_an_interrupted_capture_and_an_encrypted_one_are_kept_as_what_they_are(
    client: Any, running: Any, tools: Any
) -> None:
    torn = tools.make_bundle(client.signer)
    torn.data, torn.kind, torn.seal = torn.data[:-2500], "partial", ""
    assert client.push(torn)["state"] == "accepted"
    [statement] = events(running.root, tools, torn.bundle_id)
    assert (statement.event, statement.verified, statement.seal) == ("partial", "partial", None)
    assert statement.signer == client.agent_id
    nothing = tools.make_bundle(client.signer)
    nothing.data, nothing.kind, nothing.seal = nothing.data[:500], "partial", ""
    assert client.push(nothing)["state"] == "quarantined"
    assert client.push(torn, bundle=nothing.bundle_id)["state"] == "accepted"  # it is here already
    other = tools.make_bundle(client.signer)
    other.data, other.kind, other.seal = other.data[:-2500], "partial", ""
    assert client.push(other, bundle=nothing.bundle_id)["state"] == "quarantined"
    secret = tools.make_bundle_claim()
    secret.data, secret.kind = b"age-encryption.org/v1\n" + os.urandom(500), "encrypted"
    assert client.push(secret)["state"] == "accepted"
    [statement] = events(running.root, tools, secret.bundle_id)
    assert (statement.verified, statement.seal_state) == ("sealed-unopened", "claimed")
    wrong = tools.make_bundle_claim()
    assert client.push(wrong, kind="encrypted")["state"] == "quarantined"


def test_a_verifier_that_dies_or_hangs_gives_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\x03\x04" * 100)
    for settings in (
        CollectorSettings(verify_memory=16 << 20),
        CollectorSettings(verify_seconds=0),
    ):
        with pytest.raises(DiedError):
            Verifier(tmp_path / "root.pem", settings).verify(tmp_path / "x", "bundle")


def test_the_verifier_process_reads_no_environment_and_says_one_verdict(
    empty_collector: Path, tools: Any
) -> None:
    bundle = tools.make_bundle()
    path = empty_collector.parent / "bundle.zip"
    path.write_bytes(bundle.data)
    words = [str(path), "bundle", str(empty_collector / "keys" / "ca.pem"), str(1 << 30)]
    done = subprocess.run(
        [sys.executable, "-I", "-m", "hozen_collector.verifier_process", *words],
        capture_output=True,
        env={},
        check=True,
    )
    verdict = parse_verdict(done.stdout)
    assert verdict.container_sha256 == bundle.sha256
    assert verdict.seal == bundle.seal
    assert verdict.integrity == "match"
    assert done.stderr == b""


@pytest.mark.parametrize(
    "changed",
    [
        {"container_sha256": "x"},
        {"integrity": "perfect"},
        {"seal": "../.."},
        {"container_size": "1"},
        {"bundle": "../x"},
        {"reasons": "x"},
        {"more": 1},
    ],
)
def test_a_verdict_in_another_form_is_refused(changed: dict[str, object]) -> None:
    body: dict[str, object] = {
        "container_sha256": "0" * 64,
        "container_size": 1,
        "integrity": "match",
        "reasons": [],
        "signer_name": "x",
    }
    assert parse_verdict(json.dumps(body).encode()).container_size == 1
    with pytest.raises(InternalError):
        parse_verdict(json.dumps(body | changed).encode())
