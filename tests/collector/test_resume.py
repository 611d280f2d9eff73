"""The connection is cut at many bytes: what was acknowledged stays, the upload goes on, the bytes are the same."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

CUTS = (0, 1, 100, 4095, 4096, 4097, 8191, 65_535, 65_536, 65_537, 131_073, 200_000)


@contextlib.contextmanager
def patching(client: Any, location: str, offset: int, length: int) -> Iterator[ssl.SSLSocket]:
    """Begin a PATCH of `length` bytes; the connection is reset at the end of the block."""
    with client.raw() as raw:
        raw.sendall(
            (
                f"PATCH {location} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\n"
                f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n"
                f"Content-Length: {length}\r\n\r\n"
            ).encode()
        )
        yield raw
        # A reset, as a pulled cable gives it, and no orderly end of TLS.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_an_upload_that_is_cut_at_many_bytes_arrives_whole(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle(client.signer, payload=os.urandom(1_500_000))
    location = client.create(bundle).headers["location"]
    offset = sent_in_all = 0
    for cut in CUTS:
        left = len(bundle.data) - offset
        with patching(client, location, offset, left) as raw:
            raw.sendall(bundle.data[offset : offset + cut])
            time.sleep(0.03)
        reached = client.offset(location)
        assert offset <= reached <= offset + cut
        sent_in_all += cut
        offset = reached
    assert offset > 0
    assert client.patch(location, offset, bundle.data[offset:]).status == 204
    assert client.settled(location)["state"] == "accepted"
    archived = client.root / "archive" / bundle.sha256[:2] / bundle.sha256
    assert hashlib.sha256(archived.read_bytes()).hexdigest() == bundle.sha256


def test_what_came_before_a_quiet_cut_is_kept(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle(client.signer, payload=os.urandom(300_000))
    location = client.create(bundle).headers["location"]
    with patching(client, location, 0, len(bundle.data)) as raw:
        raw.sendall(bundle.data[:150_001])
        time.sleep(0.3)
    assert client.offset(location) == 150_001


def test_a_later_request_stops_a_writer_whose_client_is_gone(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle(client.signer, payload=os.urandom(300_000))
    location = client.create(bundle).headers["location"]
    with patching(client, location, 0, len(bundle.data)) as dead:
        dead.sendall(bundle.data[:100_000])
        time.sleep(0.3)
        begun = time.monotonic()
        assert client.offset(location) == 100_000
        assert time.monotonic() - begun < 5
        assert client.patch(location, 100_000, bundle.data[100_000:]).status == 204
        assert dead.recv(20).startswith(b"HTTP/1.1 409")
    assert client.settled(location)["state"] == "accepted"


def test_two_live_writers_of_one_upload_never_mix_their_bytes(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle(client.signer, payload=os.urandom(300_000))
    location = client.create(bundle).headers["location"]
    half = len(bundle.data) // 2
    with patching(client, location, 0, half) as first:
        first.sendall(bundle.data[: half - 1])
        time.sleep(0.2)
        second = client.patch(location, 0, b"\xee" * half)
        assert second.status == 409  # the first one's bytes were made durable meanwhile
    offset = client.offset(location)
    assert offset == half - 1
    assert client.patch(location, offset, bundle.data[offset:]).status == 204
    assert client.settled(location)["state"] == "accepted"


@pytest.fixture
def impatient(empty_collector: Path, serve: Any, tools: Any) -> Any:
    config = empty_collector.parent / "collector.yaml"
    config.write_text("header_timeout: 1s\nidle_timeout: 1s\nkeep_alive: 1s\nupload_ttl: 60s\n")
    running = serve(empty_collector, config=config)
    return tools.enrol(empty_collector, running.port)


def test_a_client_that_falls_silent_is_told_so_and_keeps_what_it_sent(
    impatient: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(impatient.signer, payload=os.urandom(50_000))
    location = impatient.create(bundle).headers["location"]
    with patching(impatient, location, 0, len(bundle.data)) as raw:
        raw.sendall(bundle.data[:30_001])
        assert raw.recv(20).startswith(b"HTTP/1.1 408")
    assert impatient.offset(location) == 30_001
    with impatient.raw() as raw:
        raw.sendall(b"GET /api/v1/time HTTP/1.1\r\nHost:")
        assert raw.recv(20) == b""
    with impatient.raw() as raw:
        assert raw.recv(20) == b""


def test_an_upload_that_nobody_goes_on_with_expires(
    impatient: Any, empty_collector: Path, serve: Any, tools: Any
) -> None:
    location = impatient.create(tools.make_bundle_claim()).headers["location"]
    tools.sql(empty_collector, "UPDATE upload SET touched = 1")
    serve.started[-1].stop()
    running = serve(empty_collector)
    impatient.port = running.port
    deadline = time.monotonic() + 10
    while (status := impatient.call("HEAD", location, tools.TUS).status) != 410:
        assert status == 200
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not list((empty_collector / "uploads").iterdir())
