"""The collector is killed at each durable step: what was acknowledged is there, the rest goes on, the log grows."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from hozen_collector import faults
from hozen_hashes.checkpoint import verify_checkpoint
from hozen_hashes.errors import UsageError
from hozen_hashes.merkle import leaf_hash, reader_of_leaves, tree_root
from hozen_hashes.note import parse_vkey
from hozen_hashes.receipt import verify_receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GONE = (ConnectionError, http.client.HTTPException, TimeoutError, OSError)


def check_log(root: Path, tools: Any) -> int:
    """Return the checkpoint's size, when it is signed and is the tree of the leaves in the database."""
    key = parse_vkey((root / "keys" / "log.vkey").read_bytes())
    signed = verify_checkpoint((root / "log" / "checkpoint").read_bytes(), [key]).checkpoint
    rows = tools.sql(root, "SELECT text FROM leaf ORDER BY position LIMIT ?", signed.size)
    hashes = [leaf_hash(text) for (text,) in rows]
    assert tree_root(signed.size, reader_of_leaves(hashes)) == signed.root
    return signed.size


def check_receipts(root: Path, tools: Any) -> int:
    """Return how many receipts there are, when each verifies and its container is archived whole."""
    query = "SELECT r.files, c.sha256, c.seal FROM receipt r JOIN container c ON c.leaf = r.leaf"
    keys = root / "keys"
    rows = tools.sql(root, query)
    for files, sha256, seal in rows:
        found = verify_receipt(
            tools.decoded(json.loads(files)),
            seal=seal,
            container=sha256,
            signature=None,
            at=datetime.now(UTC),
            roots=[x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes())],
            log_keys=[parse_vkey((keys / "log.vkey").read_bytes())],
        )
        assert found.anchor == "log key"
        data = (root / "archive" / sha256[:2] / sha256).read_bytes()
        assert hashlib.sha256(data).hexdigest() == sha256
    return len(rows)


class Pusher:
    """An agent that goes on after every loss of the connection, and remembers what it was told."""

    def __init__(self, client: Any, bundle: Any, tools: Any) -> None:
        self.client, self.bundle, self.tools = client, bundle, tools
        self.location = ""
        self.acknowledged = 0
        self.receipt: dict[str, bytes] = {}

    def go_on(self) -> bool:
        """Go on until there is a receipt; False if the connection was lost before."""
        try:
            self._create()
            self._send()
            if self.client.settled(self.location)["state"] != "accepted":
                raise AssertionError(self.client.call("GET", self.location).json)
            self.receipt = self.client.receipt(self.bundle.sha256)
        except GONE:
            return False
        return True

    def _create(self) -> None:
        if not self.location:
            answer = self.client.create(self.bundle)
            assert answer.status == 201, answer
            self.location = answer.headers["location"]

    def _send(self) -> None:
        offset = self.client.offset(self.location)
        assert offset >= self.acknowledged
        data = self.bundle.data
        while offset < len(data):
            piece = data[offset : offset + 60_000]
            answer = self.client.patch(self.location, offset, piece)
            assert answer.status == 204, answer
            offset = self.acknowledged = int(answer.headers["upload-offset"])


@pytest.mark.slow
def test_a_collector_that_is_killed_at_each_step_in_turn_goes_on_where_it_was(
    empty_collector: Path, serve: Any, tools: Any
) -> None:
    running = serve(empty_collector)
    client = tools.enrol(empty_collector, running.port)
    running.stop()
    config = empty_collector.parent / "collector.yaml"
    config.write_text("job_attempts: 100\n")  # a job is cut many times here; it need not wait
    pushers: list[Pusher] = []
    size = 0
    for point in faults.POINTS:
        running = serve(empty_collector, fault=point, config=config)
        client.port = running.port
        bundle = tools.make_bundle(client.signer, payload=os.urandom(100_000))
        pushers.append(Pusher(client, bundle, tools))
        for pusher in [one for one in pushers if not one.receipt]:
            pusher.go_on()
        assert running.wait() == -9, point
        grown = check_log(empty_collector, tools)
        assert grown >= size, point
        size = grown
        given = [pusher for pusher in pushers if pusher.receipt]
        assert check_receipts(empty_collector, tools) >= len(given), point
    running = serve(empty_collector, config=config)
    client.port = running.port
    for pusher in pushers:
        before = dict(pusher.receipt)
        assert pusher.go_on()
        assert before in ({}, pusher.receipt)
    assert running.stop() == 0
    assert check_log(empty_collector, tools) == 1 + len(faults.POINTS)
    assert check_receipts(empty_collector, tools) == len(faults.POINTS)
    # Nobody was told of the upload whose creation was cut off; it expires.
    assert len(list((empty_collector / "uploads").iterdir())) == 1


def test_a_quarantine_that_was_cut_off_is_finished_at_the_next_start(
    empty_collector: Path, serve: Any, tools: Any
) -> None:
    running = serve(empty_collector, fault="leaf-committed")
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle_claim()
    location = client.create(bundle).headers["location"]
    client.patch(location, 0, bundle.data)
    assert running.wait() == -9
    client.port = serve(empty_collector).port
    assert client.settled(location)["state"] == "quarantined"
    [[count]] = tools.sql(empty_collector, "SELECT count(*) FROM leaf WHERE event='quarantine'")
    assert count == 1


def test_kills_at_random_moments_lose_nothing_that_was_acknowledged(
    empty_collector: Path, serve: Any, tools: Any
) -> None:
    chance = random.Random(20261123)
    client = tools.enrol(empty_collector, serve(empty_collector).port)
    sizes = [check_log(empty_collector, tools)]
    done = 0
    for _ in range(3):
        pusher = Pusher(
            client, tools.make_bundle(client.signer, payload=os.urandom(400_000)), tools
        )
        killer = tools.kill_after(serve.started[-1], chance.uniform(0.02, 0.8))
        finished = pusher.go_on()
        killer.join()
        sizes.append(check_log(empty_collector, tools))
        client.port = serve(empty_collector).port
        assert finished or pusher.go_on()
        done += 1
    assert sizes == sorted(sizes)
    serve.started[-1].stop()
    assert check_receipts(empty_collector, tools) == done


def test_a_stop_in_the_middle_of_a_body_keeps_what_came(
    empty_collector: Path, serve: Any, tools: Any
) -> None:
    running = serve(empty_collector)
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle(client.signer, payload=os.urandom(200_000))
    location = client.create(bundle).headers["location"]
    with client.raw() as raw:
        head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\n"
        words = "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n"
        length = f"Content-Length: {len(bundle.data)}\r\n\r\n"
        raw.sendall((head + words + length).encode() + bundle.data[:100_000])
        time.sleep(0.3)
        begun = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - begun < 8
    assert not (empty_collector / "listening.json").exists()
    client.port = serve(empty_collector).port
    assert client.offset(location) == 100_000


def test_only_one_process_serves_a_directory(empty_collector: Path, serve: Any) -> None:
    assert serve(empty_collector).ready
    second = serve(empty_collector)
    assert second.ready == ""
    assert second.wait() != 0


def test_no_fault_is_armed_by_a_word_that_names_none() -> None:
    for words in ("", "nothing", "archived:x", "archived:-1"):
        with pytest.raises(UsageError):
            faults.arm(words)
    faults.reach("archived")


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    assert not faults._armed
