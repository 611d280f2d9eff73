"""A power cut: what was not synced is gone, torn or mixed, and still at most one epoch is lost."""

from __future__ import annotations

import random
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from powercut import STRACE, Disk, Event, read_trace
from provable import LostError, judge, must

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from synthetic_host import Host

pytestmark = pytest.mark.needs("strace")

_EPOCH = 256 << 10
_PROFILE = f"""name: logs
version: 1
description: {{en: "logs only", ja: "ログのみ"}}
artifacts: [linux_logs]
limits: {{free_space_floor: 1MiB, free_space_floor_share: 0%}}
epoch: {{seconds: 2s, bytes: {_EPOCH}}}
"""
_LOGS = r"""
head -c 2000000 /dev/urandom | split -b 40000 -a 3 --additional-suffix=.log - /var/log/a
seq 1 1300000 >/var/log/big.log
"""
_UNSYNCED = """
import os
os.fdatasync = lambda fd: None
"""
# On ext4 the fsync of a directory also brings the data of earlier writes out, so there both must go.
_NO_SYNC_AT_ALL = _UNSYNCED + "os.fsync = lambda fd: None\n"
_REVERSED = """
from hozen_hashes.writer import BundleWriter
class Early:
    def __init__(self, sidecar, sync): self.sidecar, self.sync = sidecar, sync
    def put(self, segment, files): self.sidecar.put(segment, files); self.sync()
    def put_start(self, segment, p7s): self.sidecar.put_start(segment, p7s); self.sync()
def settle(self, segment, files, settle=BundleWriter._settle):
    sidecar, sync = self._sidecar, self._sink.sync
    self._sidecar, self._sink.sync = Early(sidecar, sync), lambda: None
    try: settle(self, segment, files)
    finally: self._sidecar, self._sink.sync = sidecar, sync
BundleWriter._settle = settle
"""


@dataclass(frozen=True)
class Traced:
    """One capture as strace saw it, and what it left in the end."""

    events: list[Event]
    final: dict[str, bytes]


@pytest.fixture
def traced(host: Host, case_options: str) -> Callable[[str], Traced]:
    """Capture a synthetic host under strace, with a change to the program first if one is given."""
    (host.work / "logs.yaml").write_text(_PROFILE, encoding="utf-8")

    def run(change: str) -> Traced:
        program = f"{change}\nimport sys\nfrom hozen_hashes.front import main\nsys.exit(main())"
        words = f"-q capture {case_options} --profile ./logs.yaml --allow-local --out usb"
        done = host.run(f"{STRACE} python -c {shlex.quote(program)} {words}", setup=_LOGS)
        assert done.returncode == 0, done.stderr
        usb = host.work / "usb"
        events = read_trace(host.work / "trace.out", usb)
        return Traced(events, {path.name: path.read_bytes() for path in usb.iterdir()})

    return run


def _cut_points(events: list[Event], chance: random.Random) -> list[int]:
    """Return the numbers of events before which the power goes: around the syncs, and any others."""
    syncs = [n for n, event in enumerate(events) if event.kind == "sync"]
    some = min(35, len(syncs))
    before, after = chance.sample(syncs, some), [n + 1 for n in chance.sample(syncs, some)]
    return sorted({*before, *after, *chance.sample(range(len(events) + 1), 60)})


def _cut_and_judge(capture: Traced, where: Path, *, seed: int) -> tuple[int, int, int]:
    """Cut the power at many points of a capture; return (cuts, most epochs, prefixes proved), or raise LostError."""
    chance = random.Random(seed)
    disk, done, epochs, prefixes = Disk(), 0, 0, 0
    points = _cut_points(capture.events, chance)
    for point in points:
        for event in capture.events[done:point]:
            disk.take(event)
        done = point
        durable = _durable_epochs(disk.after_cut())
        for left in (disk.after_cut(), disk.after_cut(chance)):
            proved = _judge_one(left, where, durable, capture.final)
            epochs, prefixes = max(epochs, proved[0]), max(prefixes, proved[1])
    return len(points), epochs, prefixes


def _durable_epochs(left: dict[str, bytes]) -> int:
    """Return how many epochs from the first on have their text, signature and key beside the container."""
    stems = {path.rpartition("/")[2].partition(".")[0] for path in left if path.endswith(".pub")}
    texts = {path.rpartition("/")[2] for path in left}
    epochs = 0
    while f"{epochs:06d}" in stems and {f"{epochs:06d}.jsonl", f"{epochs:06d}.sig"} <= texts:
        epochs += 1
    return epochs


def _judge_one(
    left: dict[str, bytes], where: Path, durable: int, final: dict[str, bytes]
) -> tuple[int, int]:
    finished = {path: data for path, data in left.items() if path.endswith(".zip")}
    if finished:
        must(finished == final, "a finished name stands for other bytes than were sealed")
        return 0, 0
    if not any(path.endswith(".journal/") for path in left):
        must(durable == 0, "the journal is gone")
        return 0, 0
    shutil.rmtree(where, ignore_errors=True)
    for path, data in sorted(left.items()):
        place = where / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(data)
    remains = judge(where, durable=durable)
    return remains.epochs, remains.prefixes


def test_a_power_cut_at_100_points_loses_at_most_one_epoch(
    traced: Callable[[str], Traced], tmp_path: Path
) -> None:
    capture = traced("")
    whole = Disk()
    most = 0
    for event in capture.events:
        whole.take(event)
        most = max(most, whole.unsynced(".zip.partial"))
    assert whole.after_cut() == capture.final, "the replayed disk is the real one"
    # What a cut can lose is one epoch: its payload, and the piece of a file that was in hand when it became full.
    assert most < _EPOCH + (4 << 20)
    cuts, epochs, prefixes = _cut_and_judge(capture, tmp_path / "cut", seed=11)
    assert cuts >= 100
    assert epochs >= 8
    assert prefixes >= 2
    late = [one for one in capture.events if (one.kind, one.path[-12:]) != ("sync", ".zip.partial")]
    assert len(late) < len(capture.events)
    with pytest.raises(
        LostError, match=r"named and (?:not proved|lost)"
    ):  # the same disk without the container's syncs
        _cut_and_judge(Traced(late, capture.final), tmp_path / "cut", seed=11)


@pytest.mark.parametrize("change", [_UNSYNCED, _REVERSED], ids=["no fdatasync", "reversed order"])
def test_the_same_cuts_tell_a_capture_that_does_not_sync_or_syncs_too_late(
    traced: Callable[[str], Traced], tmp_path: Path, change: str
) -> None:
    capture = traced(change)
    with pytest.raises(LostError):
        _cut_and_judge(capture, tmp_path / "cut", seed=11)


def _reflink_disk(host: Host, kind: str) -> str:
    """Return a setup that mounts a `kind` medium whose image lies on a reflink XFS, or skip."""
    for tool in ("mkfs.xfs", f"mkfs.{kind}"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    setup = f"""
        truncate -s 2G below.img; mkfs.xfs -q -m reflink=1 below.img; mkdir below; mount -o loop below.img below
        truncate -s 400M below/medium.img; mkfs.{kind} -q below/medium.img; mount -o loop below/medium.img usb"""
    probe = host.run(
        f"{setup}\ncp --reflink=always below/medium.img below/cut.img && echo able; rm -rf below.img"
    )
    if "able" not in probe.stdout:
        pytest.skip(f"no loop device on a reflink XFS here: {probe.stderr.strip()}")
    (host.work / "below").rmdir()
    return setup


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.parametrize(
    ("kind", "change"),
    [("ext4", ""), ("xfs", ""), ("ext4", _NO_SYNC_AT_ALL)],
    ids=["ext4", "xfs", "ext4, nothing synced must fail"],
)
def test_images_of_a_real_file_system_taken_at_20_instants_lose_at_most_one_epoch(
    host: Host, case_options: str, kind: str, change: str
) -> None:
    setup = _reflink_disk(host, kind)
    (host.work / "logs.yaml").write_text(
        _PROFILE.replace("seconds: 2s", "seconds: 100ms"), encoding="utf-8"
    )
    # Before each image the epochs that are durable are counted: a key file is there only after the epoch before.
    program = f"{change}\nimport sys\nfrom hozen_hashes.front import main\nsys.exit(main())"
    options = "loop,nouuid" if kind == "xfs" else "loop"
    script = f"""
        python -c {shlex.quote(program)} -q capture {case_options} \\
          --profile ./logs.yaml --allow-local --out usb & pid=$!
        until compgen -G "usb/*.journal/000000.sig" >/dev/null; do sleep 0.005; done
        n=0
        while kill -0 $pid 2>/dev/null && [ $n -lt 40 ]; do
          durable=$(ls usb/*.journal 2>/dev/null | grep -c pub)
          cp --reflink=always below/medium.img below/cut$n.img || exit 9
          echo $durable >durable$n; n=$((n+1)); sleep 0.0$((RANDOM % 9 + 1))
        done
        wait $pid; echo "code $?"; umount usb; mkdir at
        for cut in $(seq 0 $((n-1))); do
          mount -o {options} below/cut$cut.img at && cp -r at k$cut && umount at || exit 8
        done"""
    logs = (
        "head -c 60000000 /dev/urandom | split -b 200000 -a 3 --additional-suffix=.log - /var/log/a"
    )
    run = host.run(script, setup=f"{setup}\n{logs}", timeout=200)
    assert run.returncode == 0, run.stderr
    assert "code 0" in run.stdout
    images = sorted(host.work.glob("k*"))
    if change:  # an image that shows nothing at all counts too: epochs were said to be durable
        with pytest.raises(LostError):
            assert max(_judge_image(host, image) for image in images) >= 8
    else:
        torn = [path for path in images if list(path.glob("*.partial"))]
        assert len(torn) >= 20, "most images must show a running capture"
        assert max(_judge_image(host, image) for image in torn) >= 8
    for image in [*host.work.glob("k*"), host.work / "below.img"]:
        shutil.rmtree(image) if image.is_dir() else image.unlink()


def _judge_image(host: Host, image: Path) -> int:
    """Return how many epochs one image proves: all but the one whose key file had been begun."""
    begun = int((host.work / image.name.replace("k", "durable")).read_text())
    return judge(image, durable=max(0, begun - 1)).epochs
