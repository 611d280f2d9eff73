"""A disk that fails a sync: the bytes are not acknowledged, and the same sync is never tried again and called good."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from envelopes import pushed, send

from hozen_collector.intake.blockfile import BLOCK, BUFFER, BlockFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def injected(pid: int, words: str) -> Iterator[None]:
    """Make system calls of the process fail within the block."""
    strace = subprocess.Popen(
        [*["strace", "-f", "-o", os.devnull, "-p", str(pid)], "-e", f"inject={words}"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert strace.stderr is not None
    line = strace.stderr.readline()
    if "attach" in line and "ermitted" in line:
        strace.wait()
        pytest.skip("strace may not attach here")
    try:
        yield
    finally:
        strace.terminate()
        strace.communicate()


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_a_failed_write_or_sync_is_not_acknowledged_and_the_upload_goes_on(
    empty_collector: Path, serve: Any, tools: Any, call: str
) -> None:
    running = serve(empty_collector)
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle(client.signer, payload=os.urandom(200_000))
    location = client.create(bundle).headers["location"]
    assert client.patch(location, 0, bundle.data[:10_000]).status == 204
    with injected(running.process.pid, f"{call}:error=EIO"):
        time.sleep(0.2)
        answer = client.patch(location, 10_000, bundle.data[10_000:])
        assert answer.status == 500
        assert answer.json["hint"]
    assert client.offset(location) == 10_000
    assert client.patch(location, 10_000, bundle.data[10_000:]).status == 204
    assert client.settled(location)["state"] == "accepted"


@pytest.mark.slow
@pytest.mark.parametrize("call", ["rename", "link", "fsync"])
def test_an_archive_or_log_that_fails_gives_no_receipt_until_it_does_not(
    empty_collector: Path, serve: Any, tools: Any, call: str
) -> None:
    running = serve(empty_collector)
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle(client.signer)
    location = client.create(bundle).headers["location"]
    with injected(running.process.pid, f"{call}:error=EIO"):
        time.sleep(0.2)
        assert client.patch(location, 0, bundle.data).status == 204
        time.sleep(1.5)
        assert client.call("GET", location).json["state"] == "verifying"
        assert client.call("GET", f"/api/v1/receipts/{bundle.sha256}").status == 404
    assert client.settled(location)["state"] == "accepted"
    assert client.receipt(bundle.sha256)


@pytest.mark.parametrize("call", ["rename", "fsync", "mkdir", "chmod"])
def test_an_envelope_that_cannot_be_kept_is_not_logged_and_comes_again(
    empty_collector: Path, serve: Any, tools: Any, call: str
) -> None:
    running = serve(empty_collector)
    client = tools.enrol(empty_collector, running.port)
    made = pushed(client, tools)
    scratch = empty_collector / "uploads"
    with injected(running.process.pid, f"{call}:error=EIO"):
        time.sleep(0.2)
        answer = send(client, made)
        assert (answer.status, bool(answer.json["hint"])) == (500, True), answer
    assert tools.sql(empty_collector, "SELECT count(*) FROM envelope") == [(0,)]
    assert list(scratch.iterdir()) == []
    assert client.receipt(made.sha256)
    assert send(client, made).status == 201
    assert running.stop() == 0


@pytest.mark.parametrize("start", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 7, BUFFER, BUFFER + 5])
@pytest.mark.parametrize("direct", [True, False])
def test_a_block_file_goes_on_at_any_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int, direct: bool
) -> None:
    path = tmp_path / "x"
    data = os.urandom(2 * BUFFER + 12_345)
    path.write_bytes(data[:start])
    if not direct:
        monkeypatch.setattr("os.O_DIRECT", 0x40000000)  # an unknown flag is passed over: buffered
    file = BlockFile(path, start)
    at = start
    for size in (1, 5000, BUFFER, BLOCK, 99_999_999):
        file.write(data[at : at + size])
        at = min(len(data), at + size)
        flushed = file.flush()
        assert flushed <= at
        assert path.read_bytes()[:flushed] == data[:flushed]
    assert file.finish() == len(data)
    file.close()
    file.close()
    assert path.read_bytes() == data


def test_a_file_that_lost_acknowledged_bytes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"short")
    with pytest.raises(OSError, match="acknowledged"):
        BlockFile(path, BLOCK + 10)
