"""A full disk: 507 before anything is written, nothing acknowledged is lost, and it goes on when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from envelopes import pushed, send

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a small tmpfs of its own"),
]
SIZE = 40 << 20
MAIN = "from hozen_collector.commands.collector import collector; collector()"


class Disk:
    """A tmpfs of 40 MiB that only a mount namespace of ours sees."""

    def __init__(self, inner: Path) -> None:
        self.inner = inner
        mount = f"mount -t tmpfs -o size={SIZE} none {inner} && echo && cat"
        self._holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", mount], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"\n"
        self.within = ("nsenter", "-m", "-t", str(self._holder.pid))
        self.seen = Path(f"/proc/{self._holder.pid}/root{inner}")

    def collector(self, *words: str) -> str:
        call = [*self.within, sys.executable, "-c", MAIN, *words]
        env = {"PATH": os.environ["PATH"]}
        return subprocess.run(call, env=env, capture_output=True, check=True, text=True).stdout

    def close(self) -> None:
        self._holder.communicate()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk with an initialised collector on it."""
    inner = tmp_path / "disk"
    inner.mkdir()
    found = Disk(inner)
    found.collector("init", str(inner / "collector"))
    yield found
    found.close()


def started(disk: Disk, serve: Any, tools: Any, settings: str) -> tuple[Any, Any]:
    """Serve the collector with these settings and give process and client."""
    (disk.seen / "collector.yaml").write_text(settings)
    root = disk.inner / "collector"
    running = serve(root, config=disk.inner / "collector.yaml", within=disk.within)
    token = disk.collector("token", "new", str(root), "--out", "-").strip()
    return running, tools.enrol(disk.seen / "collector", running.port, token=token)


def fill(disk: Path, keep: int) -> Path:
    """Leave only `keep` bytes free."""
    ballast = disk / "ballast"
    room = os.statvfs(disk)
    with ballast.open("wb") as file:
        file.truncate(0)
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - keep)
    return ballast


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(
    disk: Disk, serve: Any, tools: Any
) -> None:
    running, client = started(disk, serve, tools, "free_space_floor: 4MiB\n")
    root = disk.seen / "collector"
    bundle = tools.make_bundle(client.signer, payload=os.urandom(8 << 20))
    begun = tools.make_bundle(client.signer, payload=os.urandom(3 << 20))
    location = client.create(begun).headers["location"]
    assert client.patch(location, 0, begun.data[: 1 << 20]).status == 204

    ballast = fill(disk.seen, 6 << 20)
    answer = client.create(bundle)
    assert answer.status == 507
    assert answer.headers["retry-after"]
    assert answer.json["hint"]
    assert len(list((root / "uploads").iterdir())) == 1
    # Room for what was begun has been set aside: it goes on although the disk is full.
    with ballast.open("ab") as file:
        os.posix_fallocate(file.fileno(), ballast.stat().st_size, 5 << 20)
    offset = client.offset(location)
    assert offset == 1 << 20
    assert client.patch(location, offset, begun.data[offset:]).status in (204, 507)

    ballast.unlink()
    offset = client.offset(location)
    if offset < len(begun.data):
        assert client.patch(location, offset, begun.data[offset:]).status == 204
    assert client.settled(location)["state"] == "accepted"
    assert client.push(bundle)["state"] == "accepted"
    assert running.stop() == 0


def test_an_envelope_waits_for_room_and_leaves_nothing_behind(
    disk: Disk, serve: Any, tools: Any
) -> None:
    running, client = started(disk, serve, tools, "free_space_floor: 4MiB\n")
    made = pushed(client, tools)
    ballast = fill(disk.seen, 3 << 20)
    answer = send(client, made)
    assert (answer.status, "no room for this envelope" in answer.json["detail"]) == (507, True)
    assert answer.headers["retry-after"]
    root = disk.seen / "collector"
    assert list(root.glob("archive/*/*.envelope")) == []
    assert list((root / "uploads").iterdir()) == []
    ballast.unlink()
    assert send(client, made).status == 201
    assert running.stop() == 0


def test_a_disk_that_fills_within_a_body_acknowledges_only_what_is_durable(
    disk: Disk, serve: Any, tools: Any
) -> None:
    _running, client = started(disk, serve, tools, "free_space_floor: 0\ncommit_bytes: 1MiB\n")
    root = disk.seen / "collector"
    bundle = tools.make_bundle(client.signer, payload=os.urandom(12 << 20))
    location = client.create(bundle).headers["location"]
    part = next((root / "uploads").iterdir())
    os.truncate(part, 0)  # gives the reserved room back, as a file system without fallocate would
    ballast = fill(disk.seen, 5 << 20)
    answer = client.patch(location, 0, bundle.data)
    assert answer.status == 507
    reached = client.offset(location)
    assert 0 <= reached < len(bundle.data)
    assert part.read_bytes()[:reached] == bundle.data[:reached]
    ballast.unlink()
    deadline = time.monotonic() + 10
    while client.patch(location, reached, bundle.data[reached:]).status != 204:
        assert time.monotonic() < deadline
        reached = client.offset(location)
    assert client.settled(location)["state"] == "accepted"


def test_the_reservation_is_real(tmp_path: Path) -> None:
    from hozen_collector.intake import blockfile

    with (tmp_path / "x").open("wb") as file:
        blockfile.reserve(file.fileno(), 10 << 20)
        found = os.fstat(file.fileno())
    assert found.st_size == 0
    assert found.st_blocks * 512 >= 10 << 20
    with (
        (tmp_path / "x").open("wb") as file,
        pytest.raises(OSError, match=r"No space|File too large"),
    ):
        blockfile.reserve(file.fileno(), 1 << 60)
