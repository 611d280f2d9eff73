"""A bundle goes up over mutual TLS and comes back as a receipt; everything else is refused by its right status."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from hozen_hashes.note import parse_vkey
from hozen_hashes.receipt import verify_receipt


def test_a_pushed_bundle_comes_back_as_a_receipt_that_a_stranger_can_check(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    state = client.push(bundle)
    assert state["state"] == "accepted", state
    files = client.receipt(bundle.bundle_id)
    assert files == client.receipt(bundle.seal) == client.receipt(bundle.sha256)
    keys = running.root / "keys"
    found = verify_receipt(
        files,
        seal=bundle.seal,
        container=bundle.sha256,
        signature=None,
        at=datetime.now(UTC),
        roots=[x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes())],
        log_keys=[parse_vkey((keys / "log.vkey").read_bytes())],
        bundle=bundle.bundle_id,
    )
    assert found.anchor == "log key"
    assert found.accepted
    assert found.statement.sender == client.agent_id
    archived = running.root / "archive" / bundle.sha256[:2] / bundle.sha256
    assert hashlib.sha256(archived.read_bytes()).hexdigest() == bundle.sha256
    assert archived.stat().st_mode & 0o777 == 0o440
